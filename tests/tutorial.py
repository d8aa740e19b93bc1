"""The programs of the tutorial, by the file that a reader writes them into."""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "tutorial.md"
_BLOCK = re.compile(r"<!-- file: (\S+) -->\n\n```python\n(.*?)```", re.DOTALL)
_COMMAND = re.compile(r"^\$ (.+)$", re.MULTILINE)


def written() -> Mapping[str, str]:
    """The text of each file, whose blocks a reader puts one below the other."""
    files: dict[str, list[str]] = defaultdict(list)
    for name, text in _BLOCK.findall(PAGE.read_text("utf-8")):
        files[name].append(text)
    return {name: "\n\n".join(blocks) for name, blocks in files.items()}


def commands() -> list[str]:
    """What the reader types into a terminal, in order."""
    return _COMMAND.findall(PAGE.read_text("utf-8"))
