"""The catalogue: every access pattern of the store, as data.

Repository methods declare their access pattern with a decorator (`core.patterns`). This module
collects the declarations from the repositories of `ChatStore`, so none has to be registered.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any, Final

from dynamo_chat.core.layout import APPLICATION, INTEGRATIONS, PACKAGE
from dynamo_chat.core.patterns import AccessPattern, NoOwner, declared_pattern
from dynamo_chat.store import ChatStore

OWNER_ARGUMENTS: Final = ("organization_id", "account_id", "user_id")
"""The names of arguments that are owners. If a method has several, the first is the owner."""

REPLACES: Final[Mapping[str, str]] = json.loads(
    (files("dynamo_chat") / "replaces.json").read_text("utf-8")
)
"""What the methods replace in the documents that the store was designed from."""

_PLACES = re.compile(r"table|GSI1|GSI2")
_OPERATIONS = re.compile(r"\b(?:Query|Scan|[A-Z][a-z]+(?:[A-Z][a-z]+)+)\b")


@dataclass(frozen=True, slots=True)
class Entry:
    """One method of the store, with its access pattern."""

    id: str
    """The id in the requirements, such as ``C3``. Several methods may share one."""
    method: str
    """The method as called on a store, such as ``conversations.list_by_user``."""
    index: str
    operation: str
    requests: str
    budget: int
    description: str
    replaces: str
    """The index or table of the source documents that it replaces; may be empty."""
    domain: str
    """The package that it belongs to: ``chat``, …; ``provision`` for T1 and T5.

    ``application`` for a method of the application's own repositories."""
    owner: str
    """How the owner is checked: a key of `OWNER_CHECKS`, or ``none``."""
    owner_argument: str
    """The argument that is the owner; empty if there is none."""
    unowned_because: str
    """Why no owner is checked; empty if one is."""
    reads: str
    """Whether its answers may show the past: a key of `READS`."""
    regions: str
    """In which regions of a global table it may be called: a key of `REGIONS`."""

    @property
    def repository(self) -> str:
        """The method's repository, such as ``conversations`` or ``table.backups``."""
        return self.method.rpartition(".")[0]

    @property
    def places(self) -> frozenset[str]:
        """Which of ``table``, ``GSI1`` and ``GSI2`` the method may use."""
        return frozenset(_PLACES.findall(self.index))

    @property
    def operations(self) -> frozenset[str]:
        """The names of the DynamoDB operations that the method may use."""
        return frozenset(_OPERATIONS.findall(self.operation))

    def as_dict(self) -> dict[str, Any]:
        """The entry as a dict of JSON values."""
        return asdict(self)


def catalogue(store: type[ChatStore] = ChatStore) -> list[Entry]:
    """Every access pattern of the store, sorted by id, then in the order of the store."""
    entries = [
        _entry(f"{name}.{method}", declared, getattr(repository, method))
        for name, repository in repositories(store).items()
        for method, declared in _declarations(repository)
    ]
    return sorted(entries, key=lambda entry: id_order(entry.id))


def repositories(store: type[ChatStore] = ChatStore) -> dict[str, type]:
    """The classes of the store's repositories, by name, in the order of the store.

    A repository's own parts follow it, such as ``table.backups``.
    """
    example = store("catalogue")  # sends nothing
    named = {
        name: None
        for owner in reversed(store.__mro__)
        for name, member in vars(owner).items()
        if isinstance(member, cached_property) and not name.startswith("_")
    }
    found: dict[str, type] = {}
    for name in named:
        repository = getattr(example, name)
        found[name] = type(repository)
        for part, inside in vars(type(repository)).items():
            if isinstance(inside, property) and not part.startswith("_"):
                exposed = type(getattr(repository, part))
                if _declarations(exposed):
                    found[f"{name}.{part}"] = exposed
    return found


def id_order(pattern_id: str) -> tuple[str, int]:
    """A sort key that puts ``C2`` before ``C10``."""
    letters = pattern_id.rstrip("0123456789")
    digits = pattern_id[len(letters) :]
    return letters, int(digits or 0)


def _declarations(repository: type) -> list[tuple[str, AccessPattern]]:
    """The methods of a repository that declare a pattern, inherited ones first, in file order."""
    found: dict[str, AccessPattern] = {}
    for owner in reversed(repository.__mro__):
        for name in vars(owner):
            declared = declared_pattern(getattr(repository, name))
            if declared is not None:
                found[name] = declared
    return list(found.items())


def _entry(method: str, declared: AccessPattern, function: Any) -> Entry:
    package = function.__module__.split(".")
    unowned = declared.owner if isinstance(declared.owner, NoOwner) else None
    return Entry(
        id=declared.id,
        method=method,
        index=declared.index,
        operation=declared.operation,
        requests=declared.requests,
        budget=declared.budget,
        description=declared.description,
        replaces=REPLACES.get(method, ""),
        domain=declared.domain or _domain(package),
        owner="none" if isinstance(declared.owner, NoOwner) else declared.owner,
        owner_argument=_owner_argument(declared, function),
        unowned_because=unowned.why if unowned else "",
        reads=declared.reads,
        regions=declared.regions,
    )


def _domain(module: list[str]) -> str:
    if module[0] != PACKAGE or ".".join(module).startswith(INTEGRATIONS):
        return APPLICATION
    return module[1] if len(module) > 2 else module[-1]


def _owner_argument(declared: AccessPattern, function: Any) -> str:
    """The argument that is the owner. An optional one only counts if the owner is checked."""
    named = [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty or declared.owner in {"key", "read", "condition"}
    ]
    return next((each for each in OWNER_ARGUMENTS if each in named), "")
