"""The programs of the guide page run as they stand."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "own-entities.md"


def test_the_guides_notes_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """A layout, an entity, a repository and a store in fewer than 60 lines."""
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(programs) == 2
    assert len(programs[0].splitlines()) < 60
    promised = re.findall(r"print\(.*\)\s+# (.+)", programs[1])
    assert promised
    names = {"__name__": "guide"}
    exec(compile("\n".join(programs), "guide", "exec"), names)  # noqa: S102 - the page is ours
    assert capsys.readouterr().out.splitlines() == promised


def test_the_files_that_the_page_shows_exist() -> None:
    shown = re.findall(r"```{literalinclude} (\S+)", PAGE.read_text("utf-8"))
    assert len(shown) == 5
    assert all((PAGE.parent / name).is_file() for name in shown)
    for name, start in re.findall(
        r"{literalinclude} (\S+)\n:language: python\n:start-at: (.+)", PAGE.read_text("utf-8")
    ):
        assert start in (PAGE.parent / name).read_text("utf-8")
