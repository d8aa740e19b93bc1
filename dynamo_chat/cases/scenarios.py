"""Find every scenario by the name of its method."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from dynamo_chat import cases
from dynamo_chat.cases.stage import Scenario
from dynamo_chat.catalogue import catalogue


@cache
def scenarios() -> Mapping[str, Scenario]:
    """The scenario of each method, by the method's name and in the catalogue's order.

    A method without one is left out.
    """
    modules = [
        import_module(f"{cases.__name__}.{each.name}") for each in iter_modules(cases.__path__)
    ]
    named = {name: found for module in modules for name, found in vars(module).items()}
    return {
        entry.method: named[name]
        for entry in catalogue()
        if (name := entry.method.replace(".", "_")) in named
    }
