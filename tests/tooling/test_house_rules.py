"""The project's own lint finds what it is there for, and nothing else."""

from pathlib import Path

import pytest

from tooling import house_rules

CHAT = Path("dynamo_chat/chat/messages.py")


def findings(path: Path, text: str) -> list[str]:
    return [found.text for found in house_rules.look_at(path, text)]


@pytest.mark.parametrize(
    "line",
    [
        'key = f"CONV#{conversation_id}"',
        'key = "CONV#" + conversation_id',
        'key = "MSG#%s" % position',
        'key = "MSG#{}".format(position)',
        'parts = key.split("#")',
        'head, _, tail = key.partition("#")',
        'bare = key.strip("CONV#")',
    ],
)
def test_key_text_belongs_to_the_codec(line: str) -> None:
    """Building or taking apart a key string is a finding everywhere but in the codec."""
    assert findings(CHAT, line) == ["only the codec builds or takes apart key strings"]
    assert findings(house_rules.CODEC, line) == []
    assert findings(Path("tests/chat/test_messages.py"), line) == []


@pytest.mark.parametrize(
    "line",
    ['words = text.split(",")', 'heading = f"# {title}"', 'note = "CONV# is a tag"', 'n = a + "b"'],
)
def test_other_text_is_free(line: str) -> None:
    """Text that only resembles a key is no finding."""
    assert findings(CHAT, line) == []


def test_a_long_file_is_a_finding() -> None:
    """600 lines pass, 601 do not."""
    assert findings(CHAT, "a = 1\n" * 600) == []
    assert findings(CHAT, "a = 1\n" * 601) == ["601 lines; 600 is the most"]


@pytest.mark.parametrize("home", ["root", "work", "home/ann", "Users/ann"])
def test_a_path_of_one_machine_is_a_finding(home: str) -> None:
    """Also outside Python files."""
    assert len(findings(Path("README.md"), f"see /{home}/x")) == 1


@pytest.mark.parametrize("home", ["root", "work", "home/ann", "Users/ann"])
def test_a_relative_path_or_address_is_none(home: str) -> None:
    """What works on every machine is no finding."""
    text = f"docs/{home}/x, https://example.com/{home}/a, ~/{home}/"
    assert findings(Path("README.md"), text) == []


def test_a_skip_gives_its_reason() -> None:
    """A bare skip is a finding, one with a reason is not."""
    assert findings(Path("tests/a.py"), "@pytest.mark.skipif(True)\ndef test_a(): ...") == [
        "a skipped or failing test gives its reason"
    ]
    assert findings(Path("tests/a.py"), 'mark = pytest.mark.skip(reason="needs a sea")') == []


@pytest.mark.once
def test_the_repository_keeps_its_rules(capsys: pytest.CaptureFixture[str]) -> None:
    """The lint passes on the repository that it belongs to."""
    assert house_rules.main() == 0, capsys.readouterr().out
