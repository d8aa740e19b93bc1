"""Chat products on one DynamoDB table: typed repositories, one method per access pattern.

The names are listed in ``__init__.pyi``, where type checkers find them, and imported when they are
first used: a service pays, at its cold start, for the domains that it uses.
"""

from functools import cache
from importlib import import_module
from typing import Any


@cache
def _modules() -> dict[str, str]:
    """The module that each public name is from."""
    import ast

    # Of the loader, so that a package in a zip file is read, too.
    stub = __spec__.loader.get_data(f"{__path__[0]}/__init__.pyi")
    imports = [node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted(_modules())
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    module = None if name.startswith("_") else _modules().get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_modules()})
