"""The worked calls of every method, run on the embedded engine: their text, cost and result."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from types import CodeType
from typing import Any, Self, TypeAlias

from dynamo_chat.cases.playing import Played
from dynamo_chat.catalogue import repositories
from dynamo_chat.operations.atlas.collecting import collect_embedded
from dynamo_chat.operations.atlas.shown import Atlas
from dynamo_chat.store import ChatStore

_Code: TypeAlias = ast.Lambda | ast.FunctionDef
_CODE = (ast.Lambda, ast.FunctionDef)
_PLAIN_NAMES = frozenset(
    {"timedelta", "Decimal", "NewMessage", "NewState", "Feedback", "Exchange", "ToolCall"}
)
_PRIVATE = re.compile(r"(?<![\w.])_(?=[a-z])")
_TIME_PASSES = re.compile(r"^ *stage\.later\(.*\n", re.MULTILINE)
_UNIQUE = re.compile(r"-[0-9a-f]{12}\b")
"""What makes the names of a stage unused; nobody needs to read it."""


@dataclass(frozen=True)
class WorkedCall:
    """One call of a method, as it was run."""

    text: str
    """The call, with `store` as the store."""
    label: str
    """What is special about it; empty for the plain call."""
    cost: str
    """Its requests and capacity units."""
    result: str
    """What it returned, in one short line."""

    def lines(self) -> Iterator[str]:
        """The call as Python, between comments with its cost and its result."""
        yield f"# {f'{self.label}: ' if self.label else ''}{self.cost}"
        yield from self.text.splitlines()
        yield f"# → {self.result}"


@dataclass(frozen=True)
class Measured:
    """What came of calling every method once, for all pages that show it."""

    atlas: Atlas
    calls: Mapping[str, Sequence[WorkedCall]]
    """The worked calls of each method, by its name, such as ``conversations.create``."""


@cache
def measured() -> Measured:
    """The cases of the whole catalogue, run on the embedded engine; it takes half a minute."""
    calls: dict[str, list[WorkedCall]] = {}

    def keep(played: Played) -> None:
        calls.setdefault(played.entry.method, []).append(_worked(played))

    return Measured(collect_embedded(watch=keep), calls)


def _worked(played: Played) -> WorkedCall:
    taken = played.taken
    counted = [(taken.requests, "request"), (taken.wcu, "write unit"), (taken.rcu, "read unit")]
    cost = ", ".join(
        f"{count:g} {what}{'' if count == 1 else 's'}" for count, what in counted if count
    )
    told = _UNIQUE.sub("", played.told)
    return WorkedCall(call_text(played.case.call), played.case.label, cost or "no request", told)


def call_text(call: Callable[[], object]) -> str:
    """The source of what `call` runs, with stores and repositories under their usual names.

    Values that the scenario wrote out, such as a dict, come before the call.
    """
    if inspect.ismethod(call):
        return f"{_usual(call.__self__)}.{call.__name__}()"
    source = _Source.of(call.__code__.co_filename)
    node = next(each for each in source.functions if _is_of(each, call.__code__))
    used = inspect.getclosurevars(call)
    names = {name: _usual(value) for name, value in used.nonlocals.items()}
    body = node.body if isinstance(node, ast.Lambda) else node.body[-1]
    match body:
        case ast.Call(func=ast.Name(id=helper), args=[ast.Name(id="stage"), *_]):
            text = source.body(helper)
        case _:
            values = source.values(node, set(used.nonlocals))
            text = "\n".join(source.text(each, names) for each in (*values, body))
    return (
        _PRIVATE.sub("", text)
        .removeprefix("return ")
        .replace("stage.store", "store")
        .replace("stage.clock()", "now")
    )


@dataclass(frozen=True)
class _Source:
    """The source of a module of scenarios."""

    raw: bytes
    functions: Sequence[_Code]
    """The functions and lambdas, outer ones first."""

    @classmethod
    @cache
    def of(cls, path: str) -> Self:
        raw = Path(path).read_bytes()
        found = [each for each in ast.walk(ast.parse(raw)) if isinstance(each, _CODE)]
        return cls(raw, found)

    def values(self, node: _Code, names: set[str]) -> list[ast.Assign]:
        """The assignments before `node` that say what these names are, without the stage."""
        found: dict[str, ast.Assign] = {}
        around = next(each for each in self.functions if node in ast.walk(each))
        for each in ast.walk(around):
            match each:
                case ast.Assign(targets=[ast.Name(id=name)]) if each.lineno < node.lineno:
                    found[name] = each
        return [
            each for name, each in found.items() if name in names and not _is_prepared(each.value)
        ]

    def body(self, name: str) -> str:
        """The statements of a function, without its docstring and the passing of time."""
        function = next(each for each in self.functions if getattr(each, "name", "") == name)
        statements: Sequence[Any] = function.body if isinstance(function.body, list) else ()
        text = "\n".join(self.text(each, {}) for each in statements[1:-1])
        return _TIME_PASSES.sub("", text)

    def text(self, node: Any, names: Mapping[str, str]) -> str:
        """The text of `node`, with these names replaced."""
        starts = [0]
        for line in self.raw.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))

        def place(each: Any) -> tuple[int, int]:
            begin = starts[each.lineno - 1] + each.col_offset
            return begin, starts[each.end_lineno - 1] + each.end_col_offset

        raw, (begin, end) = self.raw, place(node)
        replaced = [
            (*place(each), names[each.id].encode())
            for each in ast.walk(node)
            if isinstance(each, ast.Name) and names.get(each.id)
        ]
        for start, stop, name in sorted(replaced, reverse=True):
            raw = raw[:start] + name + raw[stop:]
            end += len(name) - (stop - start)
        line = raw[starts[node.lineno - 1] :]
        indent = len(line) - len(line.lstrip(b" "))
        return dedent(" " * indent + raw[begin:end].decode())


def _is_prepared(value: ast.expr) -> bool:
    """True if the value was made with a store or a stage, so that its text says little."""
    names = {each.id for each in ast.walk(value) if isinstance(each, ast.Name)}
    return bool(names - _PLAIN_NAMES) or isinstance(value, ast.Constant | ast.Name)


def _is_of(node: _Code, code: CodeType) -> bool:
    """True if the code was compiled from this function or lambda."""
    if node.lineno != code.co_firstlineno:
        return False
    if isinstance(node, ast.FunctionDef):
        return node.name == code.co_name
    body = node.body
    begin, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    places = [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        if end_column  # else it is the code's own beginning
    ]
    return code.co_name == "<lambda>" and all(begin <= a and b <= end for a, b in places)


def _usual(value: object) -> str:
    """``store``, or ``store.messages``, and so on; empty for anything else."""
    if isinstance(value, ChatStore):
        return "store"
    return next(
        (f"store.{name}" for name, kind in repositories().items() if type(value) is kind), ""
    )
