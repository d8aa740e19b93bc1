"""The part of JSON Schema that pydantic writes: enough to check a value against it."""

import re
from collections.abc import Iterator
from typing import Any, Final

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN: Final = {
    *("$ref", "$defs", "$schema", "title", "description", "default", "examples", "format"),
    *("type", "const", "enum", "anyOf", "oneOf", "properties", "required", "items"),
    *("additionalProperties", "minLength", "maxLength", "minimum", "maximum", "pattern"),
    *("minItems", "maxItems", "uniqueItems", "maxProperties", "propertyNames"),
}


def problems(value: Any, schema: Any, root: Any, at: str = "") -> Iterator[str]:
    """What is wrong with a value; nothing if it is as the schema says."""
    if schema is True or not schema:
        return
    unknown = set(schema) - _KNOWN
    assert not unknown, f"teach {__file__} {unknown}"
    if "$ref" in schema:
        yield from problems(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
    for name in ("anyOf", "oneOf"):
        fitting = [each for each in schema.get(name, ()) if not [*problems(value, each, root)]]
        if name in schema and (not fitting or (name == "oneOf" and len(fitting) > 1)):
            yield f"{at}: fits {len(fitting)} of {name}"
    if "type" in schema and not _is(value, schema["type"]):
        yield f"{at}: is no {schema['type']}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{at}: is not {schema['const']}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: is not one of {schema['enum']}"
    if isinstance(value, dict):
        yield from _of_object(value, schema, root, at)
    elif isinstance(value, list):
        yield from _of_list(value, schema, root, at)
    else:
        yield from _of_scalar(value, schema, at)


def _of_list(value: list[Any], schema: Any, root: Any, at: str) -> Iterator[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        yield f"{at}: has {len(value)} items"
    for place, each in enumerate(value):
        yield from problems(each, schema.get("items", True), root, f"{at}[{place}]")


def _of_scalar(value: Any, schema: Any, at: str) -> Iterator[str]:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{at}: is {value}"
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            yield f"{at}: has {len(value)} characters"
        if "pattern" in schema and re.search(schema["pattern"], value) is None:
            yield f"{at}: does not match {schema['pattern']}"


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])


def _of_object(value: dict[str, Any], schema: Any, root: Any, at: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}.{name}: is missing"
    if len(value) > schema.get("maxProperties", len(value)):
        yield f"{at}: has {len(value)} entries"
    for name, each in value.items():
        yield from problems(name, schema.get("propertyNames", True), root, f"{at} {name!r}")
        more = schema.get("additionalProperties", True)
        if name not in properties and more is False:
            yield f"{at}.{name}: is not allowed"
        yield from problems(each, properties.get(name, more), root, f"{at}.{name}")
