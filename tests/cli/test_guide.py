"""The page about the command shows commands that exist."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "cli.md"
LINES = re.findall(r"^dynamo-chat (.*?)(?:\s+#.*)?$", PAGE.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("line", LINES)
def test_every_command_and_option_exists(run: Callable[..., Any], line: str) -> None:
    words = line.split()
    command = [word for word in words[:2] if re.fullmatch("[a-z]+(-[a-z]+)*", word)]
    explained = run(*command, "--help")
    assert explained.exit_code == 0
    for option in re.findall(r"--[a-z-]+", line):
        assert option in explained.stdout


def test_the_page_names_every_command(run: Callable[..., Any]) -> None:
    shown = {tuple(line.split()[:2]) for line in LINES}
    for command in ("demo", "patterns"):
        assert any(words[0] == command for words in shown)
    for command in ("create", "check", "describe"):
        assert ("table", command) in shown
