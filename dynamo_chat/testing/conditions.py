"""What DynamoDB checks of parsed expressions: operators, operands, key conditions, updates.

Every check raises `StrictViolation`. The grammar has been checked before, by `expressions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any

from dynamo_chat.core.size import MAX_ITEM_BYTES, attribute_size
from dynamo_chat.testing.expressions import (
    Action,
    Arithmetic,
    Between,
    Both,
    Comparison,
    Condition,
    Either,
    Function,
    Membership,
    Node,
    Not,
    Operand,
    Path,
    Value,
    walk,
)
from dynamo_chat.testing.schema import KeyNames, TableSchema
from dynamo_chat.testing.values import (
    MAX_NESTING,
    StrictViolation,
    check_attribute,
    check_key_value,
    check_together,
)

MAX_OPERATORS = 300
MAX_OPTIONS = 100

_SCALARS = frozenset({"S", "N", "B"})
_SETS = frozenset({"SS", "NS", "BS"})
_TYPES = _SCALARS | _SETS | {"BOOL", "NULL", "L", "M"}
_PREDICATES = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
}
_OPERATORS = (Comparison, Between, Membership, Both, Either, Not, Function, Arithmetic)


# ------------------------------------------------------------------------- every expression


def check_operators(nodes: Iterable[Node]) -> None:
    """The number of operators and functions, and the depth of document paths."""
    operators = 0
    for root in nodes:
        for node in walk(root):
            operators += isinstance(node, _OPERATORS)
            if isinstance(node, Path) and len(node.parts) > MAX_NESTING:
                raise StrictViolation(f"the path {node} has more than {MAX_NESTING} elements")
    if operators > MAX_OPERATORS:
        raise StrictViolation(f"{operators} operators and functions; at most {MAX_OPERATORS}")


def check_paths(paths: Iterable[Path]) -> None:
    """No path may contain another one, nor treat as a list what another one treats as a map."""
    for one, other in combinations(paths, 2):
        shared = next(
            (i for i, (a, b) in enumerate(zip(one.parts, other.parts, strict=False)) if a != b),
            None,
        )
        if shared is None:
            raise StrictViolation(f"the document paths {one} and {other} overlap")
        if isinstance(one.parts[shared], int) != isinstance(other.parts[shared], int):
            raise StrictViolation(f"the document paths {one} and {other} conflict")


# ------------------------------------------------------------------------------- conditions


def check_condition(condition: Condition) -> None:
    """A condition or filter expression: operators with operands that DynamoDB allows them."""
    match condition:
        case Both(left, right) | Either(left, right):
            check_condition(left)
            check_condition(right)
        case Not(inner):
            check_condition(inner)
        case Comparison(operator, left, right):
            _check_operands(operator, left, right)
            _check_distinct(operator, left, (right,))
            if operator not in {"=", "<>"}:
                _check_ordered(operator, left, right)
        case Between(operand, low, high):
            _check_operands("BETWEEN", operand, low, high)
            _check_ordered("BETWEEN", operand, low, high)
            check_bounds(low, high)
        case Membership(operand, options):
            _check_operands("IN", operand, *options)
            _check_distinct("IN", operand, options)
            if len(options) > MAX_OPTIONS:
                raise StrictViolation(f"IN compares with {len(options)}; at most {MAX_OPTIONS}")
        case Function():
            _check_predicate(condition)


def check_bounds(low: Operand, high: Operand) -> None:
    """BETWEEN takes its bounds in ascending order, and of one type."""
    if not (isinstance(low, Value) and isinstance(high, Value)):
        return
    if low.kind != high.kind:
        raise StrictViolation(f"BETWEEN has bounds of two types, {low.kind} and {high.kind}")
    if _order(low.content) > _order(high.content):
        raise StrictViolation("BETWEEN has its bounds the wrong way round")


def check_filter(condition: Condition, keys: KeyNames | None) -> None:
    """A filter may not name the `keys` of what is queried: the key condition does that."""
    check_condition(condition)
    for node in walk(condition):
        if keys is not None and isinstance(node, Path) and node.attribute in keys:
            raise StrictViolation(f"the filter names the key attribute {node.attribute}")


def _check_operands(operator: str, *operands: Operand) -> None:
    for operand in operands:
        if isinstance(operand, Function):
            if operand.name != "size":
                raise StrictViolation(f"{operand.name}() cannot be an operand of {operator}")
            _check_arity(operand, 1)


def _check_ordered(operator: str, *operands: Operand) -> None:
    for operand in operands:
        if isinstance(operand, Value) and operand.kind not in _SCALARS:
            raise StrictViolation(f"{operator} cannot order {operand.kind} ({operand.placeholder})")


def _check_distinct(operator: str, first: Operand, rest: Iterable[Operand]) -> None:
    if isinstance(first, Path) and first in rest:
        raise StrictViolation(f"{operator} compares {first} with itself")


def _check_arity(function: Function, arguments: int) -> None:
    if len(function.arguments) != arguments:
        raise StrictViolation(f"{function.name}() takes {arguments} argument(s)")


def _check_predicate(function: Function) -> None:
    name = function.name
    if name not in _PREDICATES:
        raise StrictViolation(f"{name}() is no condition")
    _check_arity(function, _PREDICATES[name])
    if not isinstance(function.arguments[0], Path):
        raise StrictViolation(f"the first argument of {name}() must be a path")
    if name in {"begins_with", "attribute_type"}:
        argument = function.arguments[1]
        if isinstance(argument, Value) and argument.kind not in {"S", "B"}:
            raise StrictViolation(f"{name}() takes text, not {argument.kind}")
        if name == "attribute_type" and (
            not isinstance(argument, Value) or argument.content.get("S") not in _TYPES
        ):
            raise StrictViolation("attribute_type() takes the name of a type as a value")


def _order(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "N":
        return Decimal(content)
    return content.encode("utf-8", "surrogatepass") if kind == "S" else bytes(content)


# --------------------------------------------------------------------------- key conditions


@dataclass(frozen=True, slots=True)
class KeyCondition:
    """What a query asks of its keys: one partition, and perhaps one condition on the sort key."""

    partition: str
    sort: Condition | None

    def holds(self, partition: str, sort: str) -> bool:
        """Whether an item with these keys would be found."""
        return partition == self.partition and _holds(self.sort, sort.encode())


def key_condition(condition: Condition, keys: KeyNames) -> KeyCondition:
    """The checked key condition. StrictViolation for anything that is none."""
    terms = list(_terms(condition))
    by_name: dict[str, Condition] = {}
    for term in terms:
        name = _key_of(term)
        if name not in keys:
            raise StrictViolation(f"{name} is no key attribute of what is queried")
        if name in by_name:
            raise StrictViolation(f"two conditions on the key attribute {name}")
        by_name[name] = term
    match by_name.get(keys.partition):
        case Comparison("=", _, Value(_, content)):
            check_key_value(keys.partition, content, keys)
        case _:
            raise StrictViolation(f"the partition key {keys.partition} needs one equality")
    sort = by_name.get(keys.sort)
    if sort is not None:
        _check_sort_condition(sort, keys)
    return KeyCondition(content["S"], sort)


def _terms(condition: Condition) -> Iterable[Condition]:
    match condition:
        case Both(left, right):
            yield from _terms(left)
            yield from _terms(right)
        case Either() | Not() | Membership() | Comparison("<>", _, _):
            raise StrictViolation("a key condition knows no OR, NOT, IN or <>")
        case _:
            yield condition


def _key_of(term: Condition) -> str:
    match term:
        case Comparison(_, Path((str(name),)), _) | Between(Path((str(name),)), _, _):
            return name
        case Function("begins_with", (Path((str(name),)), _)):
            return name
        case _:
            raise StrictViolation("a key condition compares a top-level key attribute with values")


def _check_sort_condition(condition: Condition, keys: KeyNames) -> None:
    for operand in _constants(condition):
        if not isinstance(operand, Value):
            raise StrictViolation("a key condition compares a key attribute with values")
        check_key_value(keys.sort, operand.content, keys)
    if isinstance(condition, Between):
        check_bounds(condition.low, condition.high)


def _constants(condition: Condition) -> tuple[Operand, ...]:
    match condition:
        case Comparison(_, _, right):
            return (right,)
        case Between(_, low, high):
            return (low, high)
        case Function(_, arguments):
            return arguments[1:]
        case _:
            return ()


def _holds(condition: Condition | None, key: bytes) -> bool:
    if condition is None:
        return True
    bounds = [_order(value.content) for value in walk(condition) if isinstance(value, Value)]
    match condition:
        case Function():
            return key.startswith(bounds[0])
        case Between():
            return bool(bounds[0] <= key <= bounds[1])
        case Comparison(operator):
            return bool(
                {
                    "=": key == bounds[0],
                    "<": key < bounds[0],
                    "<=": key <= bounds[0],
                    ">": key > bounds[0],
                    ">=": key >= bounds[0],
                }[operator]
            )
        case _:
            return False


# ---------------------------------------------------------------------------------- updates


def check_update(actions: list[Action], schema: TableSchema) -> None:
    """The actions of one update expression against one another and against the table's keys."""
    check_paths(action.path for action in actions)
    for action in actions:
        if action.path.attribute in schema.keys:
            raise StrictViolation(f"an update cannot change the key attribute {action.path}")
        if action.path.attribute in schema.index_keys:
            _check_index_key(action, schema)
        _check_action(action)
        if isinstance(action.value, Value) and len(action.path.parts) == 1:
            check_attribute(action.path.attribute, action.value.content, schema)
    for index, keys in schema.indexes.items():
        for clause in ("SET", "REMOVE"):
            touched = (action.path.attribute for action in actions if action.clause == clause)
            check_together(touched, keys, f"{clause} gives {index} half a key")
    size = sum(
        len(action.path.attribute.encode()) + attribute_size(action.value.content)
        for action in actions
        if isinstance(action.value, Value)
    )
    if size > MAX_ITEM_BYTES:
        raise StrictViolation(f"the update alone takes {size:,} bytes of {MAX_ITEM_BYTES:,}")


def _check_index_key(action: Action, schema: TableSchema) -> None:
    """An index key is text at the top level: set to text, or removed."""
    if len(action.path.parts) > 1 or action.clause in {"ADD", "DELETE"}:
        raise StrictViolation(f"{action.clause} {action.path} would break the type of an index key")
    if action.value is None:
        return
    for node in walk(action.value):
        if isinstance(node, Arithmetic) or (
            isinstance(node, Function) and node.name == "list_append"
        ):
            raise StrictViolation(f"the index key {action.path} must stay text")
        if isinstance(node, Value):
            check_attribute(action.path.attribute, node.content, schema)


def _check_action(action: Action) -> None:
    match action:
        case Action("ADD", path, value):
            if not isinstance(value, Value) or value.kind not in _SETS | {"N"}:
                raise StrictViolation(f"ADD {path} takes a number or a set as a value")
        case Action("DELETE", path, value):
            if not isinstance(value, Value) or value.kind not in _SETS:
                raise StrictViolation(f"DELETE {path} takes a set as a value")
        case Action("SET", path, value) if value is not None:
            for node in walk(value):
                _check_set_operand(path, node)


def _check_set_operand(path: Path, node: Node) -> None:
    match node:
        case Arithmetic(operator, left, right):
            for operand in (left, right):
                if isinstance(operand, Value) and operand.kind != "N":
                    raise StrictViolation(f"SET {path}: {operator} takes numbers")
        case Function("if_not_exists", arguments):
            _check_arity(node, 2)
            if not isinstance(arguments[0], Path):
                raise StrictViolation(f"SET {path}: if_not_exists() takes a path first")
        case Function("list_append", arguments):
            _check_arity(node, 2)
            for operand in arguments:
                if isinstance(operand, Value) and operand.kind != "L":
                    raise StrictViolation(f"SET {path}: list_append() takes lists")
        case Function(name):
            raise StrictViolation(f"SET {path}: {name}() cannot be assigned")
