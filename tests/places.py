"""Where the tests are, and where the package that they test is."""

import pkgutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import dynamo_chat

ROOT = Path(__file__).parents[1]
"""The working copy."""

INSTALLED = Path(dynamo_chat.__file__).parents[1]
"""What a new process needs on its path. Under tox it has the wheel; else it is the working copy."""

HAS_FRAMEWORKS = find_spec("langgraph") is not None
"""True where the frameworks of the adapters are installed, as in ``tox -e frameworks``."""
_ELSEWHERE = ("dynamo_chat.cli.__main__", "dynamo_chat.provision.cdk")
"""What runs when it is imported, and what needs an extra that is in no other environment."""


def modules() -> Iterator[str]:
    """The name of every module of the package that can be imported here."""
    for module in pkgutil.walk_packages(dynamo_chat.__path__, "dynamo_chat."):
        is_adapter = module.name.startswith("dynamo_chat.integrations.")
        if module.name not in _ELSEWHERE and (HAS_FRAMEWORKS or not is_adapter):
            yield module.name
