"""A parser for DynamoDB's expressions: condition, key condition, filter, projection and update.

The parser knows the grammar. What an expression may say beyond that (types, limits, key
attributes) is in `conditions`. Placeholders are resolved while parsing, so the nodes hold real
attribute names and real AttributeValues.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path as FilePath
from typing import Any, NamedTuple, TypeVar

AttributeValue = Mapping[str, Any]
T = TypeVar("T")


class ExpressionError(ValueError):
    """An expression that DynamoDB would not accept."""


# ---------------------------------------------------------------------------------------- nodes


@dataclass(frozen=True, slots=True)
class Path:
    """A document path: the attribute's name, then map keys and list positions."""

    parts: tuple[str | int, ...]

    @property
    def attribute(self) -> str:
        """The top-level attribute that the path starts at."""
        return str(self.parts[0])

    def __str__(self) -> str:
        steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.parts[1:])
        return self.attribute + "".join(steps)


@dataclass(frozen=True, slots=True)
class Value:
    """A placeholder such as ``:limit`` and the AttributeValue that it stands for."""

    placeholder: str
    content: AttributeValue

    @property
    def kind(self) -> str:
        """The type of the AttributeValue, such as ``S`` or ``N``."""
        return next(iter(self.content), "")


@dataclass(frozen=True, slots=True)
class Function:
    """A function and its arguments. The name is lower case, as DynamoDB demands."""

    name: str
    arguments: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A sum or a difference, in a SET action."""

    operator: str
    left: Operand
    right: Operand


Operand = Path | Value | Function | Arithmetic


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left operator right``, with one of = <> < <= > >=."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    """``operand BETWEEN low AND high``."""

    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class Membership:
    """``operand IN (options)``."""

    operand: Operand
    options: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Both:
    """``left AND right``."""

    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Either:
    """``left OR right``."""

    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Not:
    """``NOT condition``."""

    condition: Condition


Condition = Comparison | Between | Membership | Both | Either | Not | Function
Node = Condition | Operand


class Action(NamedTuple):
    """One action of an update. ``clause`` is SET, REMOVE, ADD or DELETE; REMOVE has no value."""

    clause: str
    path: Path
    value: Operand | None


def walk(node: Node) -> Iterator[Node]:
    """`node` and everything in it, outermost first."""
    yield node
    for child in _children(node):
        yield from walk(child)


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Function(_, arguments):
            return arguments
        case Arithmetic(_, left, right) | Comparison(_, left, right):
            return (left, right)
        case Both(before, after) | Either(before, after):
            return (before, after)
        case Between(operand, low, high):
            return (operand, low, high)
        case Membership(operand, options):
            return (operand, *options)
        case Not(condition):
            return (condition,)
        case Path() | Value():
            return ()


# --------------------------------------------------------------------------------- placeholders


class Placeholders:
    """ExpressionAttributeNames and ExpressionAttributeValues, and which of them were used."""

    def __init__(
        self, names: Mapping[str, str] | None, values: Mapping[str, AttributeValue] | None
    ) -> None:
        self._names = names or {}
        self._values = values or {}
        self._used: set[str] = set()

    def name(self, placeholder: str) -> str:
        """The attribute name behind ``#placeholder``."""
        self._used.add(placeholder)
        try:
            return self._names[placeholder]
        except KeyError:
            raise ExpressionError(
                f"{placeholder} is used but not defined in ExpressionAttributeNames"
            ) from None

    def value(self, placeholder: str) -> Value:
        """The value behind ``:placeholder``."""
        self._used.add(placeholder)
        try:
            return Value(placeholder, self._values[placeholder])
        except KeyError:
            raise ExpressionError(
                f"{placeholder} is used but not defined in ExpressionAttributeValues"
            ) from None

    def unused(self) -> list[str]:
        """Placeholders that no expression parsed so far has used."""
        return sorted((self._names.keys() | self._values.keys()) - self._used)


# ------------------------------------------------------------------------------------ tokenizer

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<name>\#[A-Za-z0-9_]+)
      | (?P<value>:[A-Za-z0-9_]+)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>[0-9]+)
      | (?P<symbol><>|<=|>=|[=<>()\[\],.+\-])
    )""",
    re.VERBOSE | re.ASCII,
)
_KEYWORDS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"})
_COMPARATORS = ("=", "<>", "<", "<=", ">", ">=")


class Token(NamedTuple):
    """A piece of an expression: its kind, its text, and where it starts."""

    kind: str
    text: str
    position: int


def tokenize(expression: str) -> list[Token]:
    """The tokens of `expression`, closed by one of kind ``end``."""
    tokens = []
    position = 0
    end = len(expression.rstrip())
    while position < end:
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise ExpressionError(f"syntax error at {expression[position : position + 12]!r}")
        kind, text = match.lastgroup, match.group(match.lastgroup)
        if kind == "word" and text.upper() in _KEYWORDS:
            kind, text = "keyword", text.upper()
        tokens.append(Token(kind, text, match.start(match.lastgroup)))
        position = match.end()
    tokens.append(Token("end", "", end))
    return tokens


@cache
def reserved_words() -> frozenset[str]:
    """The words, in capitals, that are no attribute names unless behind a placeholder.

    AWS lists 573 of them. The list is read from moto, which is there wherever these tools are
    installed as described; without it, no word counts as reserved.
    """
    moto = find_spec("moto")
    if moto is None or not moto.submodule_search_locations:
        return frozenset()
    words = FilePath(
        moto.submodule_search_locations[0], "dynamodb", "parsing", "reserved_keywords.txt"
    )
    return frozenset(words.read_text("utf-8").upper().split()) if words.exists() else frozenset()


# --------------------------------------------------------------------------------------- parser


def parse_condition(expression: str, placeholders: Placeholders) -> Condition:
    """The tree of a condition, key condition or filter expression."""
    parser = _Parser(expression, placeholders)
    condition = parser.condition()
    parser.expect_end()
    return condition


def parse_projection(expression: str, placeholders: Placeholders) -> list[Path]:
    """The paths of a projection expression, in its order."""
    parser = _Parser(expression, placeholders)
    paths = parser.separated(parser.path)
    parser.expect_end()
    return paths


def parse_update(expression: str, placeholders: Placeholders) -> list[Action]:
    """The actions of an update expression, in its order."""
    parser = _Parser(expression, placeholders)
    actions = parser.update()
    parser.expect_end()
    return actions


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, expression: str, placeholders: Placeholders) -> None:
        self._tokens = tokenize(expression)
        self._expression = expression
        self._placeholders = placeholders
        self._next = 0
        self._brackets: set[tuple[int, int]] = set()
        if len(self._tokens) == 1:
            raise ExpressionError("the expression is empty")

    # -- tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> Token | None:
        """The next token, taken, if it is one of these keywords or symbols."""
        token = self._token
        if token.kind in {"keyword", "symbol"} and token.text in texts:
            self._next += 1
            return token
        return None

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            raise self._error(f"{text} expected")

    def _error(self, why: str) -> ExpressionError:
        at = self._token.position
        return ExpressionError(f"{why} at {self._expression[at : at + 20]!r}")

    def expect_end(self) -> None:
        """Refuse what is left over after a complete expression."""
        if self._token.kind != "end":
            raise self._error("syntax error")

    def separated(self, one: Callable[[], T]) -> list[T]:
        """One or more, with commas between them."""
        found = [one()]
        while self._take(","):
            found.append(one())
        return found

    def _bracketed(self, one: Callable[[], T]) -> T:
        """What stands up to the closing bracket; the opening one has been taken."""
        opened = self._next - 1
        inside = one()
        closed = self._next
        self._expect(")")
        self._brackets.add((opened, closed))
        if (opened + 1, closed - 1) in self._brackets:
            raise ExpressionError("the expression has redundant parentheses")
        return inside

    # -- conditions, loosest binding first

    def condition(self) -> Condition:
        left = self._conjunction()
        while self._take("OR"):
            left = Either(left, self._conjunction())
        return left

    def _conjunction(self) -> Condition:
        left = self._negation()
        while self._take("AND"):
            left = Both(left, self._negation())
        return left

    def _negation(self) -> Condition:
        if self._take("NOT"):
            return Not(self._negation())
        if self._take("("):
            return self._bracketed(self.condition)
        return self._predicate()

    def _predicate(self) -> Condition:
        operand = self.operand()
        if token := self._take(*_COMPARATORS):
            return Comparison(token.text, operand, self.operand())
        if self._take("BETWEEN"):
            low = self.operand()
            self._expect("AND")
            return Between(operand, low, self.operand())
        if self._take("IN"):
            self._expect("(")
            options = self.separated(self.operand)
            self._expect(")")
            return Membership(operand, tuple(options))
        if isinstance(operand, Function):
            return operand
        raise self._error("a comparison expected")

    # -- operands

    def operand(self) -> Operand:
        token = self._token
        if token.kind == "value":
            self._next += 1
            return self._placeholders.value(token.text)
        if token.kind == "word" and self._tokens[self._next + 1].text == "(":
            self._next += 2
            arguments = self.separated(self.operand)
            self._expect(")")
            return Function(token.text, tuple(arguments))
        return self.path()

    def path(self) -> Path:
        parts: list[str | int] = [self._attribute_name()]
        while token := self._take(".", "["):
            if token.text == ".":
                parts.append(self._attribute_name())
                continue
            if self._token.kind != "number":
                raise self._error("a list position expected")
            parts.append(int(self._token.text))
            self._next += 1
            self._expect("]")
        return Path(tuple(parts))

    def _attribute_name(self) -> str:
        token = self._token
        if token.kind not in {"name", "word"}:
            raise self._error("an attribute name expected")
        self._next += 1
        if token.kind == "name":
            return self._placeholders.name(token.text)
        if token.text.upper() in reserved_words():
            raise ExpressionError(f"{token.text} is a reserved word; use a placeholder")
        return token.text

    # -- updates

    def update(self) -> list[Action]:
        one_of = {
            "SET": self._set,
            "REMOVE": self._remove,
            "ADD": self._add,
            "DELETE": self._delete,
        }
        actions: list[Action] = []
        seen: set[str] = set()
        while token := self._take(*one_of):
            if token.text in seen:
                raise ExpressionError(f"the {token.text} section may appear only once")
            seen.add(token.text)
            actions += self.separated(one_of[token.text])
        return actions

    def _set(self) -> Action:
        path = self.path()
        self._expect("=")
        return Action("SET", path, self._sum())

    def _remove(self) -> Action:
        return Action("REMOVE", self.path(), None)

    def _add(self) -> Action:
        return Action("ADD", self.path(), self.operand())

    def _delete(self) -> Action:
        return Action("DELETE", self.path(), self.operand())

    def _sum(self) -> Operand:
        left = self._term()
        while token := self._take("+", "-"):
            left = Arithmetic(token.text, left, self._term())
        return left

    def _term(self) -> Operand:
        return self._bracketed(self._sum) if self._take("(") else self.operand()
