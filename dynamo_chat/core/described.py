"""What tools show of a model: its signature, and a description of each field.

The descriptions are the texts below the fields in the source. They are read when a JSON schema is
made, not when the class is: reading sources would double the time of a cold start.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any


class LazySignature:
    """The ``__signature__`` of a class until its validator is built, which sets the real one."""

    def __get__(self, instance: object, owner: Any) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        if vars(owner).get("__signature__") is self:
            del owner.__signature__
            owner.model_rebuild(force=True)
        found: inspect.Signature = owner.__signature__
        return found


def descriptions(model: type) -> Mapping[str, str]:
    """The text below each field of a class and of its bases, by the name of the field."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        found |= _below_fields(each.__module__).get(each.__qualname__, {})
    return found


@cache
def _below_fields(module: str) -> dict[str, dict[str, str]]:
    """The text below each field of each class of a module; empty if there is no source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError, SyntaxError):
        return {}
    return {node.name: _texts(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _texts(node: ast.ClassDef) -> dict[str, str]:
    found: dict[str, str] = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = inspect.cleandoc(text)
    return found
