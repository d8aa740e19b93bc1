"""Checks a Terraform configuration against the provider's arguments.

The provider itself is not at hand where the tests run. ``terraform_provider.json`` holds what the
generated bindings of its maker say: names, types, and which arguments are required.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PROVIDER: Mapping[str, Any] = json.loads(
    Path(__file__).with_name("terraform_provider.json").read_text("utf-8")
)["resources"]

_META = {"lifecycle", "depends_on", "count", "for_each", "provider"}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "bool": (bool,),
    "map": (dict,),
    "list of string": (list,),
}


def problems(configuration: Mapping[str, Any]) -> list[str]:
    """What the provider would refuse: unknown, missing and mistyped arguments."""
    return [
        problem
        for kind, resources in configuration["resource"].items()
        for name, resource in resources.items()
        for problem in _of_resource(kind, name, resource)
    ]


def _of_resource(kind: str, name: str, resource: Mapping[str, Any]) -> Iterator[str]:
    if kind not in PROVIDER:
        yield f"{kind} is no resource"
        return
    given = {argument: value for argument, value in resource.items() if argument not in _META}
    yield from _of_block(f"{kind}.{name}", PROVIDER[kind], given)


def _of_block(where: str, schema: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    for argument, known in schema.items():
        if known.get("required") and argument not in given:
            yield f"{where}.{argument} is missing"
    for argument, value in given.items():
        at = f"{where}.{argument}"
        known = schema.get(argument)
        if known is None:
            yield f"{at} is no argument"
        elif "block" in known:
            blocks = value if isinstance(value, list) else [value]
            if len(blocks) > 1 and not known["many"]:
                yield f"{at} may be there once"
            for block in blocks:
                yield from _of_block(at, known["block"], block)
        elif not _fits(value, known["type"]):
            yield f"{at} must be a {known['type']}: {value!r}"


def _fits(value: Any, wanted: str) -> bool:
    if isinstance(value, str) and value.startswith("${"):
        return True
    if wanted in {"number", "string"} and isinstance(value, bool):
        return False
    return isinstance(value, _TYPES[wanted])


def references(value: Any) -> Iterator[str]:
    """The addresses of resources that a configuration refers to: ``aws_dynamodb_table.chat``."""
    if isinstance(value, str):
        for part in value.split("${")[1:]:
            words = part.split("}")[0].split(".")
            if words[0].startswith("aws_"):
                yield ".".join(words[:2])
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)
