"""The project's own lint: rules that general linters do not have.

- A Python file of more than 600 lines has stopped reading as one story.
- Only the codec builds or takes apart key strings: elsewhere in the package no ``f"TAG#{…}"``, no
  ``"TAG#" + …`` and no ``.split("#")`` or its like.
- Nothing in the repository names a path of one machine.
- A skipped or expected failure gives its reason.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FOLDERS = (".ci", "docs", "dynamo_chat", "scripts", "tests")
GENERATED = {"_build", "__pycache__"}
LONGEST_FILE = 600
PACKAGE = "dynamo_chat"
CODEC = Path(PACKAGE, "core", "keys.py")
TAG_AT_END = re.compile(r"\b[A-Z][A-Z_]*#$")
TAG_AND_FIELD = re.compile(r"\b[A-Z][A-Z_]*#[%{]")
TAKES_APART = {"split", "rsplit", "partition", "rpartition", "strip", "lstrip", "rstrip"}
# Written so that it does not find itself.
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:[r]oot|[w]ork|[h]ome/\w+|[U]sers/\w+)/|\b[C]:\\Users\\")


@dataclass(frozen=True, order=True)
class Finding:
    """Something that breaks a rule, and where."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def main() -> int:
    """Print every finding in the repository. Returns 0 if there are none."""
    findings = sorted(found for path in _files() for found in look_at(path, _text(ROOT / path)))
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings" if findings else "The project's own rules are kept.")
    return 1 if findings else 0


def look_at(path: Path, text: str) -> Iterator[Finding]:
    """The findings in the file at ``path`` (relative to the repository) with this ``text``."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if found := MACHINE_PATH.search(line):
            yield Finding(path, number, f"{found.group()}… is a path of one machine")
    if path.suffix != ".py":
        return
    if len(lines) > LONGEST_FILE:
        yield Finding(path, len(lines), f"{len(lines)} lines; {LONGEST_FILE} is the most")
    for node in ast.walk(ast.parse(text)):
        if _skips_without_reason(node):
            yield Finding(path, _line(node), "a skipped or failing test gives its reason")
        if path.parts[0] == PACKAGE and path != CODEC and _handles_key_text(node):
            yield Finding(path, _line(node), "only the codec builds or takes apart key strings")


def _handles_key_text(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr(values=parts):
            return any(_holds(part, TAG_AT_END) for part in parts[:-1])
        case ast.BinOp(left=left, op=ast.Add()):
            return _holds(left, TAG_AT_END)
        case ast.BinOp(left=left, op=ast.Mod()):
            return _holds(left, TAG_AND_FIELD)
        case ast.Call(func=ast.Attribute(attr="format", value=template)):
            return _holds(template, TAG_AND_FIELD)
        case ast.Call(func=ast.Attribute(attr=name), args=[ast.Constant(value=str(mark)), *_]):
            return name in TAKES_APART and "#" in mark
    return False


def _holds(node: ast.AST, pattern: re.Pattern[str]) -> bool:
    match node:
        case ast.Constant(value=str(text)):
            return pattern.search(text) is not None
    return False


def _skips_without_reason(node: ast.AST) -> bool:
    """True if this is ``pytest.mark.skip``, ``skipif`` or ``xfail`` without ``reason=``."""
    match node:
        case ast.Call(
            func=ast.Attribute(attr="skip" | "skipif" | "xfail", value=ast.Attribute(attr="mark")),
            keywords=named,
        ):
            return all(keyword.arg != "reason" for keyword in named)
    return False


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 1)


def _files() -> Iterator[Path]:
    """The files of the repository, with or without git."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not GENERATED.intersection(path.parts):
                yield path.relative_to(ROOT)
    for path in sorted(ROOT.iterdir()):
        if path.is_file() and path.name != ".git":  # which is a file in a linked worktree
            yield path.relative_to(ROOT)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:  # a picture holds no rule
        return ""


if __name__ == "__main__":
    sys.exit(main())
