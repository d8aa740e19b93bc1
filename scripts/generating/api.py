"""The pages of the API reference: what stands on which page. Sphinx fills them from the docstrings.

A new repository has its page, and a new public name its place, without a line here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import dynamo_chat
from dynamo_chat import entities, integrations, testing
from dynamo_chat.catalogue import repositories
from dynamo_chat.core import errors
from dynamo_chat.core.entity import Model
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.store import ChatStore
from generating.reference import MADE_BY

FOLDER = Path("docs", "reference", "api")

_GUIDE = "../../guide"
_INTRODUCTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "store": (
        "The store and its options",
        "What a program makes, what its calls return, and what it may listen to.",
    ),
    "entities-chat": ("Entities: conversations and messages", ""),
    "entities-identity": ("Entities: users and logins", ""),
    "entities-orgs": ("Entities: organizations, members, invites", ""),
    "entities-mail": ("Entities: e-mail", ""),
    "entities-limits": ("Entities: rate limits", ""),
    "entities-telemetry": ("Entities: LLM usage, reports, invocations", ""),
    "entities-calls": ("Entities: callers, queues, calls", ""),
    "entities-workflows": ("Entities: a person's data", ""),
    "errors": ("Errors", f"[What a web service answers]({_GUIDE}/errors.md) to each."),
    "formats": ("Formats of models", f"[How they are used]({_GUIDE}/model-formats.md)."),
    "streams": ("Changes and stream handlers", f"[How they are used]({_GUIDE}/streams.md)."),
    "provision": ("The definition of the table", f"[How it is used]({_GUIDE}/provisioning.md)."),
    "own-entities": (
        "dynamo_chat.entities",
        f"What your own entities are made of: [how]({_GUIDE}/own-entities.md).",
    ),
    "testing": (
        "dynamo_chat.testing",
        f"[How these are used, and the fixtures of pytest]({_GUIDE}/testing.md).",
    ),
    "integrations": (
        "dynamo_chat.integrations",
        "The adapters of frameworks. How they are used is on the pages below *With a framework*.",
    ),
    "aio": (
        "dynamo_chat.aio",
        (
            "The repositories are those of `ChatStore`: every method is awaited, and what\n"
            f"iterates is used with `async for`. [How it is used]({_GUIDE}/async.md)."
        ),
    ),
}

_EVERY_CALL: Final = (
    "Each method names its own errors. Every call may also raise `InvalidArgument`, before",
    "anything is sent, and a `ServiceError` when DynamoDB or the network fails:",
    "see [Errors](errors.md). Below a method are its worked calls, which were run when this page",
    "was built, with what they cost and returned.",
)


def files() -> Mapping[Path, str]:
    """The text of each page, by its path in the repository."""
    pages = {f"{name.replace('.', '-')}": _repository(name) for name in repositories()}
    pages |= {page: _names_page(page, names) for page, names in _placed().items()}
    pages["index"] = _index(pages)
    return {FOLDER / f"{name}.md": text for name, text in pages.items()}


def _index(pages: Iterable[str]) -> str:
    """The page of the pages, in the order of the store."""
    lines = ["Every public name, from its docstring.", "", "```{toctree}", ":maxdepth: 1", ""]
    order = ["store", *(page for page in pages if page != "store")]
    return "\n".join([MADE_BY, "", "# API", "", *lines, *order, "```", ""])


def _repository(name: str) -> str:
    kind = repositories()[name]
    return _page(
        f"store.{name}",
        _EVERY_CALL,
        [f".. autoclass:: {kind.__module__}.{kind.__qualname__}", "   :members:", *_INHERITED],
    )


def _placed() -> dict[str, list[str]]:
    """The directives of each page that is no repository's."""
    pages: dict[str, list[str]] = {name: [] for name in _INTRODUCTIONS}
    tree = (errors.__doc__ or "").splitlines()
    pages["errors"] += [".. code-block:: text", "", *(f"   {line}".rstrip() for line in tree), ""]
    for name, module in _modules():
        value = getattr(dynamo_chat, name)
        pages[_page_of(value, module)] += _directive(f"dynamo_chat.{name}", value)
    own = [name for name in public_names(entities) if name not in dynamo_chat.__all__]
    for page, kept, names in (
        ("own-entities", entities, own),
        ("testing", testing, public_names(testing)),
    ):
        for name in names:
            pages[page] += _directive(f"{kept.__name__}.{name}", getattr(kept, name))
    for name in adapter_names():
        is_function = name.rpartition(".")[2].islower()
        pages["integrations"] += (
            [f".. autofunction:: {name}", ""]
            if is_function
            else [f".. autoclass:: {name}", "   :members:", ""]
        )
    pages["aio"] += _directive("dynamo_chat.aio.AsyncChatStore", ChatStore)
    return pages


def adapter_names() -> Iterator[str]:
    """The public names of the integrations, read without their frameworks."""
    folder = Path(integrations.__file__).parent
    for path in sorted([*folder.glob("*/__init__.py"), *folder.glob("[a-z]*.py")]):
        module = f"{integrations.__name__}.{path.relative_to(folder).parts[0].removesuffix('.py')}"
        for node in ast.parse(path.read_text("utf-8")).body:
            match node:
                case ast.ImportFrom(names=names) if path.name == "__init__.py":
                    yield from (f"{module}.{each.name}" for each in names)
                case ast.ClassDef(name=name) if not name.startswith("_"):
                    yield f"{module}.{name}"


def _modules() -> Iterator[tuple[str, str]]:
    """Each public name, in the stub's order, and the module that it is from."""
    for node in ast.parse(Path(dynamo_chat.__file__).with_suffix(".pyi").read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            yield from ((alias.name, str(node.module)) for alias in node.names)


def public_names(module: Any) -> list[str]:
    """The public names of a module that lists them in its source."""
    source = Path(module.__file__).read_text("utf-8")
    return sorted(name for name in vars(module) if f" as {name}" in source)


def _page_of(value: Any, module: str) -> str:
    if isinstance(value, type) and issubclass(value, DynamoChatError):
        return "errors"
    package = module.split(".")[1]
    for page in ("formats" if ".formats." in module else "", package, f"entities-{package}"):
        if page in _INTRODUCTIONS:
            return page
    return "store"


def _names_page(page: str, directives: Iterable[str]) -> str:
    title, introduction = _INTRODUCTIONS[page]
    return _page(title, [introduction] if introduction else [], directives)


def _page(title: str, introduction: Iterable[str], directives: Iterable[str]) -> str:
    return "\n".join(
        [MADE_BY, "", f"# {title}", "", *introduction, "", "```{eval-rst}", *directives, "```", ""]
    )


_INHERITED: Final = ("   :inherited-members:", "")


def _directive(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, type) and issubclass(value, BaseException):
        yield from (f".. autoexception:: {name}", "   :members:", "   :show-inheritance:", "")
    elif isinstance(value, type) and issubclass(value, Model):
        # What an entity inherits belongs to pydantic, or to the table: see `documenting`.
        yield from (f".. autoclass:: {name}", "   :members:", "   :undoc-members:", *_INHERITED)
    elif isinstance(value, type):
        yield from (f".. autoclass:: {name}", "   :members:", "")
    elif callable(value) and hasattr(value, "__name__"):
        yield from (f".. autofunction:: {name}", "")
    else:
        yield from (f".. autodata:: {name}", "   :no-value:", "")
