"""What is added to the docstrings that autodoc reads, and what is left out of its pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel

import dynamo_chat
from documenting.worked_calls import measured
from dynamo_chat.catalogue import Entry, catalogue, repositories
from dynamo_chat.core.entity import Entity, Model
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.patterns import OWNER_CHECKS
from dynamo_chat.core.renamed import is_old_name

_SCHEMA = re.compile(r"[~\w.]*Annotated\[(.*), [~\w.]*_SchemaOf\w+\]")
_GIVEN = re.compile(r"\w+ = ")
"""What is given to several calls is shown at the first."""
_STORE = "dynamo_chat.ChatStore."
_WORD = re.compile(r"[A-Z]\w+")


def complete(_: Any, what: str, name: str, obj: Any, __: Any, lines: list[str]) -> None:
    """Add to a method's docstring what is declared and measured of it."""
    if name.startswith(_STORE) and name.removeprefix(_STORE) in repositories():
        # What `help()` shows of a repository has a page of its own here.
        kind = repositories()[name.removeprefix(_STORE)]
        lines[1:] = ["", f"See :py:class:`~{kind.__module__}.{kind.__qualname__}`."]
        return
    if what == "exception" and obj.__name__ in _errors():
        lines += ["", f":HTTP status: {obj.http_status}"]
    entry = _entries().get(name) if what in {"method", "function"} else None
    if entry is None:
        return
    lines += ["", *_declared(entry, obj.__doc__ or ""), "", ".. code-block:: python", ""]
    said: set[str] = set()
    for call in measured().calls.get(entry.method, ()):
        shown = [line for line in call.lines() if line not in said or not _GIVEN.match(line)]
        lines += [*(f"   {line}" for line in shown), ""]
        said.update(shown)


def _declared(entry: Entry, docstring: str) -> Iterator[str]:
    yield f":Pattern: {entry.id}: {entry.operation} on {entry.index}"
    yield f":Requests: {entry.requests}"
    owner = entry.unowned_because or OWNER_CHECKS[entry.owner]  # type: ignore[index]
    yield f":Owner: {owner}"
    named = dict.fromkeys(word for word in _WORD.findall(docstring) if word in _errors())
    if named:
        yield f":Errors: {', '.join(f':py:exc:`~dynamo_chat.{name}`' for name in named)}"


def sign(
    _: Any, what: str, __: str, obj: Any, ___: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Without what no caller writes: how a repository is made, how a page is made a schema.

    The fields of an entity, with their types, are listed below its name.
    """
    if what == "class" and (obj in repositories().values() or issubclass(obj, BaseModel)):
        return "", None
    if what == "exception" and issubclass(obj, DynamoChatError):
        return "", None
    plain = _SCHEMA.sub(r"\1", returned) if returned else returned
    return signature, plain


def skip(_: Any, what: str, name: str, obj: Any, is_skipped: bool, options: Any) -> bool | None:
    """Leave out what pydantic and the table need of an entity, and old names of methods."""
    del options
    if is_old_name(obj) or isinstance(obj, Layout):
        return True
    if what in {"class", "pydantic_model"} and (hasattr(Model, name) or hasattr(Entity, name)):
        return True
    return True if is_skipped else None


@cache
def _entries() -> dict[str, Entry]:
    """The entries of the catalogue by the full name of the method."""
    kinds = repositories()
    return {
        f"{owner.__module__}.{owner.__qualname__}.{method}": entry
        for entry in catalogue()
        for owner in [kinds[entry.repository]]
        for method in [entry.method.rpartition(".")[2]]
    }


@cache
def _errors() -> frozenset[str]:
    public = {name: getattr(dynamo_chat, name) for name in dynamo_chat.__all__}
    return frozenset(
        name
        for name, value in public.items()
        if isinstance(value, type) and issubclass(value, DynamoChatError)
    )
