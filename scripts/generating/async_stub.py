"""The stub of `AsyncChatStore`'s repositories."""

from pathlib import Path

from dynamo_chat.aio.stubs import stub_of_the_package


def files() -> dict[Path, str]:
    """The stub, by its path in the repository."""
    return {Path("dynamo_chat/aio/derived.pyi"): stub_of_the_package()}
