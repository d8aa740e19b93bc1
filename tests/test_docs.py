"""The documentation is true: its programs run, and its links, paths and names of code exist."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

import dynamo_chat
from tests.tutorial import PAGE as TUTORIAL, written

ROOT = Path(__file__).parents[1]
HAS_FRAMEWORKS = find_spec("langgraph") is not None
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FOLDERS = ("docs", "dynamo_chat", "scripts", "tests")


def programs(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(
    ("page", "number"),
    [
        ("README.md", 0),
        ("docs/guide/quickstart.md", 0),
        ("docs/guide/testing.md", 2),
        ("docs/guide/global-tables.md", 0),
        ("docs/guide/limits.md", 0),
        ("docs/guide/testing.md", 4),
    ],
)
def test_programs_run_as_they_stand(
    page: str, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """They print what their comments promise."""
    program = programs(page)[number]
    promised = re.findall(r"print\(.*\)\s+# (.+)", program)
    assert promised
    exec(compile(program, page, "exec"), {})  # noqa: S102 - the page is ours
    assert capsys.readouterr().out.splitlines() == promised


def test_every_program_of_the_guide_compiles() -> None:
    for page in PAGES:
        for number, program in enumerate(programs(str(page.relative_to(ROOT)))):
            compile(program, f"{page.name}#{number}", "exec")


def test_the_version_is_the_installed_one() -> None:
    assert dynamo_chat.__version__ == version("dynamo_chat")


def test_the_request_hook_of_the_guide_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The logging hook that the guide shows writes one line for each request."""
    from dynamo_chat.testing import EmbeddedEngine

    program = programs("docs/guide/observing.md")[0].split("store = ")[0]
    names: dict[str, object] = {}
    exec(compile(program, "observing", "exec"), names)  # noqa: S102 - the page is ours
    with EmbeddedEngine() as engine, caplog.at_level("INFO", "chat.dynamodb"):
        store = engine.store("observed", on_request=names["log_request"])
        caplog.clear()
        store.conversations.create("user-1")
    assert [record.getMessage().split()[:2] for record in caplog.records] == [["C1", "PutItem"]]


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_path_on_a_page_exists(page: Path) -> None:
    """A folder of the repository, or a module: from its root, from the package, or by its name."""
    reader = written() if page == TUTORIAL else {}  # files that the reader writes
    for path in re.findall(r"`([\w./*-]+)`", page.read_text(encoding="utf-8")):
        if path in reader:
            continue
        if path.endswith(".py") or path.partition("/")[0] in FOLDERS:
            assert any(_found(path)), f"{path} does not exist"


def _found(path: str) -> Iterator[Path]:
    yield from ROOT.glob(path)
    for folder in FOLDERS:
        yield from (ROOT / folder).rglob(path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_module_on_a_page_exists(page: Path) -> None:
    """``dynamo_chat.x.y.Name``: the module is a file, in whose text the name is.

    Attributes of spans and names of metrics begin like a module.
    """
    recorded = (ROOT / "dynamo_chat/core/spans.py").read_text("utf-8")
    for name in re.findall(r"(?<![\w\"./-])dynamo_chat(?:\.\w+)+", page.read_text("utf-8")):
        if f'"{name}"' in recorded:
            continue
        module, rest = ROOT, name.split(".")
        while rest and (module / rest[0]).is_dir():
            module /= rest.pop(0)
        if rest and (module / f"{rest[0]}.py").exists():
            module /= f"{rest.pop(0)}.py"
        files = [module] if module.is_file() else sorted(module.glob("__init__.py*"))
        text = "".join(file.read_text("utf-8") for file in files)
        assert all(re.search(rf"\b{part}\b", text) for part in rest), f"{name} does not exist"


def test_every_import_of_the_guide_works() -> None:
    for page in PAGES:
        for program in programs(str(page.relative_to(ROOT))):
            for node in ast.walk(ast.parse(program)):
                name = getattr(node, "module", None) or ""
                if name.startswith("dynamo_chat.integrations.") and not HAS_FRAMEWORKS:
                    continue
                if isinstance(node, ast.ImportFrom) and name.startswith("dynamo"):
                    module = import_module(name)
                    for each in node.names:
                        assert hasattr(module, each.name), f"{page.name}: {each.name}"
