"""The documentation tells the truth: its programs run, its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def programs(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(("page", "number"), [("quickstart", 0), ("testing", 1)])
def test_programs_run_as_they_stand(
    page: str, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """They print what their comments promise."""
    program = programs(f"docs/guide/{page}.md")[number]
    promised = re.findall(r"print\(.*\)\s+# (.+)", program)
    assert promised
    exec(compile(program, page, "exec"), {})  # noqa: S102 - the page is ours
    assert capsys.readouterr().out.splitlines() == promised


def test_every_program_of_the_guide_compiles() -> None:
    pages = [*sorted((ROOT / "docs" / "guide").glob("*.md")), ROOT / "README.md"]
    for page in pages:
        for number, program in enumerate(programs(str(page.relative_to(ROOT)))):
            compile(program, f"{page.name}#{number}", "exec")


def test_the_request_hook_of_the_guide_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The logging hook that the guide shows writes one line for each request."""
    from dynamo_chat.testing import EmbeddedEngine

    program = programs("docs/guide/observing.md")[0].split("store = ")[0]
    names: dict[str, object] = {}
    exec(compile(program, "observing", "exec"), names)  # noqa: S102 - the page is ours
    with EmbeddedEngine() as engine, caplog.at_level("INFO", "chat.dynamodb"):
        store = engine.store("observed", on_request=names["told"])
        caplog.clear()
        store.conversations.create("user-1")
    assert [record.getMessage().split()[:2] for record in caplog.records] == [["C1", "PutItem"]]


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
