"""The package is built the way its layout says, beyond what the import contracts can state."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import dynamo_chat
from dynamo_chat.core import errors

PACKAGE = Path(dynamo_chat.__file__).parent


def test_every_init_only_exports() -> None:
    """An ``__init__.py`` holds a docstring, imports and ``__all__``: no code to look for there.

    The package's own imports its names when they are used, by a table that is checked below.
    """
    for init in PACKAGE.rglob("__init__.py"):
        if init.parent == PACKAGE:
            continue
        for node in ast.parse(init.read_text("utf-8")).body:
            match node:
                case ast.Expr(value=ast.Constant(value=str())):
                    pass
                case ast.Import() | ast.ImportFrom():
                    pass
                case ast.Assign(targets=[ast.Name(id="__all__" | "__version__")]):
                    pass
                case _:
                    pytest.fail(f"{init.relative_to(PACKAGE)}:{node.lineno} does something")


def imported_for_checkers() -> dict[str, tuple[str, ...]]:
    """What the package's ``__init__`` tells type checkers: names by the module they are from."""
    source = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    block = next(node for node in source.body if isinstance(node, ast.If))
    return {
        str(node.module): tuple(alias.name for alias in node.names)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }


def test_checkers_and_programs_see_the_same_names() -> None:
    """What is imported on use is what type checkers are told, and what ``__all__`` says."""
    assert imported_for_checkers() == dynamo_chat._HOMES
    listed = [name for names in dynamo_chat._HOMES.values() for name in names]
    assert sorted(listed) == sorted(dynamo_chat.__all__)


def test_all_lists_what_is_there() -> None:
    """Every name in ``dynamo_chat.__all__`` exists, once, and is of the module it is said to be."""
    assert len(dynamo_chat.__all__) == len(set(dynamo_chat.__all__))
    assert all(hasattr(dynamo_chat, name) for name in dynamo_chat.__all__)
    assert set(dynamo_chat.__all__) <= set(dir(dynamo_chat))
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = dynamo_chat.Nonsense  # type: ignore[attr-defined]


def test_every_error_is_public() -> None:
    """Whatever a caller may catch can be imported from the package itself."""
    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.DynamoChatError)
    }
    assert raised <= set(dynamo_chat.__all__)


def test_a_store_costs_no_domain() -> None:
    """Importing `ChatStore` imports no entity: a service pays for the domains that it uses."""
    program = "import sys; from dynamo_chat import ChatStore; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, check=True, cwd=PACKAGE.parent, capture_output=True, text=True)
    assert not {"dynamo_chat.core.entity", "pynamodb.models"} & set(loaded.stdout.split())


@pytest.mark.once
def test_every_module_imports_first() -> None:
    """No module depends on another one having been imported before it."""
    modules = pkgutil.walk_packages([str(PACKAGE)], "dynamo_chat.")
    # The construct needs an extra that is too large for every environment.
    apart = {"dynamo_chat.cli.__main__", "dynamo_chat.provision.cdk"}
    names = [module.name for module in modules if module.name not in apart]
    program = """
import importlib, sys
for name in sys.argv[1:]:
    for loaded in [known for known in sys.modules if known.startswith("dynamo_chat")]:
        del sys.modules[loaded]
    importlib.import_module(name)
"""
    command = [sys.executable, "-c", program, *names]
    subprocess.run(command, check=True, cwd=PACKAGE.parent)


def test_types_are_shipped() -> None:
    """``py.typed`` is installed with the package."""
    assert (PACKAGE / "py.typed").exists()
