"""Find every scenario by the name of its method."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from dynamo_chat import cases
from dynamo_chat.cases.stage import Scenario
from dynamo_chat.catalogue import catalogue
from dynamo_chat.store import ChatStore


def scenarios(store: type[ChatStore] = ChatStore) -> Mapping[str, Scenario]:
    """The scenario of each method, by the method's name and in the catalogue's order.

    Those of an application's own methods are in the modules that its store's `cases` names. A
    method without one is left out.
    """
    named: Any = store
    return _found(named)


@cache
def _found(store: Any) -> Mapping[str, Scenario]:
    names = [f"{cases.__name__}.{each.name}" for each in iter_modules(cases.__path__)]
    modules = [import_module(name) for name in (*names, *store.cases)]
    named = {name: found for module in modules for name, found in vars(module).items()}
    return {
        entry.method: named[name]
        for entry in catalogue(store)
        if (name := entry.method.replace(".", "_")) in named
    }
