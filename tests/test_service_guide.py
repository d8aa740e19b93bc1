"""The programs of the guide's pages on the e-mail service print what their comments promise."""

import re
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import ChatStore

GUIDE = Path(__file__).parents[1] / "docs" / "guide"
PROMISED = re.compile(r"print\((?:[^#]|#(?! ))*?\)\s*# (.+)")


@pytest.mark.parametrize(
    "page", ["users-and-organizations", "mail-limits-telemetry", "errors", "models"]
)
def test_a_page_does_what_it_says(
    chat_store: ChatStore, page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (GUIDE / f"{page}.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {"store": chat_store}
    for program in programs:
        exec(compile(program, page, "exec"), names)  # noqa: S102 - the page is ours
        assert capsys.readouterr().out.splitlines() == PROMISED.findall(program)
        assert program.count("print(") == len(PROMISED.findall(program))
