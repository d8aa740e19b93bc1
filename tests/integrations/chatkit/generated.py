"""Any object of a pydantic model, for property tests: every field of every model inside it."""

import types
import typing
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, TypeAdapter
from typing_extensions import is_typeddict

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-(10**6), 10**6)
FLOATS = st.floats(-1e6, 1e6, allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
_ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=-5, minutes=-30))])
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    Any: JSON,
    str: TEXTS,
    int: NUMBERS,
    float: FLOATS,
    bool: st.booleans(),
    type(None): st.none(),
    datetime: st.datetimes(timezones=_ZONES),
    AnyUrl: st.sampled_from(["https://a.example/x?y=1#z", "http://b.example:8080/"]),
}
_DEEP = 4


def data_of(  # noqa: PLR0911 - one for each form of an annotation
    kind: Any, depth: int = 0
) -> st.SearchStrategy[Any]:
    """What the model, or another annotation, validates."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Annotated, NotRequired):
        prefix = next((each.pattern for each in args[1:] if hasattr(each, "pattern")), None)
        if isinstance(prefix, str):  # names of icons: ^vendor: and the like
            return TEXTS.map(lambda name: prefix.removeprefix("^") + name)
        return data_of(args[0], depth)
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (Union, types.UnionType):
        # Where it is deep, without those that go deeper, if there are others.
        shallow = [each for each in args if depth < _DEEP or not _is_deep(each)]
        return st.one_of([_later(each, depth) for each in shallow or args])
    if origin is list:
        inner = _later(args[0], depth + 1)
        return st.lists(inner, max_size=0 if depth >= _DEEP else 2)
    if origin is dict:
        return st.dictionaries(TEXTS, data_of(args[1], depth + 1), max_size=2)
    if is_typeddict(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        required = {name: data_of(hints[name], depth + 1) for name in kind.__required_keys__}
        optional = {name: data_of(hints[name], depth + 1) for name in kind.__optional_keys__}
        return st.fixed_dictionaries(required, optional=optional)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _model(kind, depth)
    raise TypeError(f"no strategy for {kind!r}")


def _model(kind: type[BaseModel], depth: int) -> st.SearchStrategy[Any]:
    required, optional = {}, {}
    hints = typing.get_type_hints(kind, include_extras=True)
    for name, field in kind.model_fields.items():
        made = _later(hints[name], depth + 1)
        if field.is_required() or name == "type":
            required[field.alias or name] = made
        elif depth < _DEEP:
            optional[field.alias or name] = made
    return st.fixed_dictionaries(required, optional=optional)


def _later(kind: Any, depth: int) -> st.SearchStrategy[Any]:
    """The same, made when it is needed: models contain themselves."""
    return st.deferred(lambda: data_of(kind, depth))


def _is_deep(kind: Any) -> bool:
    return kind not in _PLAIN and get_origin(kind) is not Literal


def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any object of this annotation."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    return data_of(kind).map(adapter.validate_python)
