"""The package is built the way its layout says, beyond what the import contracts can state."""

import ast
import os
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

import dynamo_chat
from dynamo_chat.core import errors
from tests.places import INSTALLED, ROOT, modules

PACKAGE = Path(dynamo_chat.__file__).parent


@pytest.mark.skipif("TOX_ENV_NAME" not in os.environ, reason="only tox builds a wheel")
def test_tox_tests_the_wheel() -> None:
    """Here, in each worker of pytest, and in every process that a test starts anywhere."""
    assert not INSTALLED.is_relative_to(ROOT) or "site-packages" in INSTALLED.parts
    command = [sys.executable, "-c", "import dynamo_chat; print(dynamo_chat.__file__)"]
    told = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    assert told.stdout.strip() == dynamo_chat.__file__


def test_every_init_only_exports() -> None:
    """An ``__init__.py`` holds a docstring and imports: no code to look for there.

    The package's own imports its names when they are used; that is checked below.
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
                case _:
                    pytest.fail(f"{init.relative_to(PACKAGE)}:{node.lineno} does something")


def exports(init: Path) -> dict[str, str]:
    """The module of each name that an ``__init__`` exports; it must keep its name."""
    imports = [
        node for node in ast.parse(init.read_text("utf-8")).body if isinstance(node, ast.ImportFrom)
    ]
    assert all(alias.asname == alias.name for node in imports for alias in node.names)
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_the_stub_lists_what_is_there() -> None:
    """Programs get the names that ``__init__.pyi`` tells type checkers, and no others."""
    listed = exports(PACKAGE / "__init__.pyi")
    assert sorted(listed) == dynamo_chat.__all__
    for name, module in listed.items():
        assert getattr(dynamo_chat, name) is getattr(import_module(module), name)
    assert set(listed) <= set(dir(dynamo_chat))
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = dynamo_chat.Nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize("package", ["cli", "streams", "testing"])
def test_what_a_package_exports_says_so(package: str) -> None:
    """``import X as X``: type checkers take other imports for the package's own."""
    assert exports(PACKAGE / package / "__init__.py")


def test_the_package_can_be_in_a_zip_file(tmp_path: Path) -> None:
    """As in a wheel that is put on the path."""
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in (*PACKAGE.glob("*.py*"), *PACKAGE.glob("core/*.py")):
            packed.write(file, file.relative_to(PACKAGE.parent))
    program = "import dynamo_chat; print(dynamo_chat.__file__, dynamo_chat.NotFound.__name__)"
    command = [sys.executable, "-c", program]
    told = subprocess.run(
        command, check=True, cwd=tmp_path, env={"PYTHONPATH": str(archive)}, capture_output=True
    )
    assert told.stdout.decode().split() == [f"{archive}/dynamo_chat/__init__.py", "NotFound"]


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


def test_nobody_needs_what_is_in_the_command() -> None:
    """What tests and scripts share with the command is where both find it: never in ``cli/``.

    That the package keeps to it, the import contracts say.
    """
    files = [*ROOT.glob("scripts/**/*.py"), *ROOT.glob("tests/**/*.py")]
    assert files
    for path in files:
        if path.is_relative_to(ROOT / "tests" / "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Import(names=names):
                    found = {alias.name for alias in names}
                case ast.ImportFrom(module=str(module)):
                    found = {module, *(f"{module}.{alias.name}" for alias in node.names)}
                case _:
                    continue
            assert not {each for each in found if each.startswith("dynamo_chat.cli")}, path


@pytest.mark.once
def test_every_module_imports_first() -> None:
    """No module depends on another one having been imported before it."""
    program = """
import importlib, sys
for name in sys.argv[1:]:
    for loaded in [known for known in sys.modules if known.startswith("dynamo_chat")]:
        del sys.modules[loaded]
    importlib.import_module(name)
"""
    command = [sys.executable, "-c", program, *modules()]
    subprocess.run(command, check=True, cwd=PACKAGE.parent)


def test_types_are_shipped() -> None:
    """``py.typed`` and the list of public names are installed with the package."""
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "__init__.pyi").exists()
