"""The style of the documentation, checked by Harper: plain words, and slips of grammar.

Harper has hundreds of rules; the pages keep those in `RULES`, and the project's own, each of which
is a file in `style/`. A newer Harper brings no new rules by itself.
"""

import json
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OWN = sorted((Path(__file__).parent / "style").glob("*.weir"))
RULES = ("AnA", "RepeatedWords", "The", *(each.stem for each in OWN))
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
FOLDERS = ("docs", "docs/guide", "docs/guide/integrations", "docs/design", "docs/reference")


def pack(folder: Path) -> Path:
    """The project's own rules as one file, which is how Harper reads them."""
    made = folder / "style.weirpack"
    about = {"author": "dynamo_chat", "version": "1", "description": "Style", "license": "MIT"}
    with zipfile.ZipFile(made, "w") as packed:
        packed.writestr("manifest.json", json.dumps(about))
        for each in OWN:
            packed.write(each, each.name)
    return made


def check(pages: list[Path]) -> int:
    """Print what Harper finds on these pages. Returns 0 if that is nothing."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-color", "lint", "--quiet", "--format", "compact"]
        options += ["--only", ",".join(RULES), "--weirpacks", str(pack(Path(folder)))]
        command = [str(Path(sysconfig.get_path("scripts")) / "harper"), *options, *map(str, pages)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout.strip() or done.stderr if done.returncode else "The pages' style is kept.")
    return done.returncode


if __name__ == "__main__":
    given = [Path(each) for each in sys.argv[1:]]
    in_folders = [page for folder in FOLDERS for page in sorted((ROOT / folder).glob("*.md"))]
    sys.exit(check(given or [*(ROOT / page for page in PAGES), *in_folders]))
