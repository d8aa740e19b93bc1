"""``scripts/generate``: write every file that is generated from the code.

Run it after a change of a layout, of an `@access_pattern`, of the first sentence of its docstring,
or of how an item is stored. A test fails, and names the file, when one is out of date.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from generating import api, async_stub, costs, key_chart, limits, reference, stored_items
from tooling.environment import ROOT


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write what is out of date, or with ``--check`` name it and return 1."""
    options = _parser().parse_args(arguments)
    texts = stale(generated(), root)
    for path, text in texts.items():
        if options.check:
            print(f"{path} is out of date. Run scripts/generate.")
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, "utf-8")
            print(f"wrote {path}")
    if not texts:
        print("Every generated file is up to date.")
    return 1 if texts and options.check else 0


def generated() -> dict[Path, str]:
    """What each generated file should hold, by its path in the repository."""
    return {
        **reference.files(),
        **api.files(),
        **async_stub.files(),
        **key_chart.files(),
        **costs.files(),
        **limits.files(),
        **stored_items.files(),
    }


def stale(texts: Mapping[Path, str], root: Path = ROOT) -> dict[Path, str]:
    """Those of the files that are missing below `root`, or hold another text."""
    return {path: text for path, text in texts.items() if _read(root / path) != text}


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/generate",
        description="Write every file of this repository that is generated from the code.",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; name the files that are out of date and exit with 1",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
