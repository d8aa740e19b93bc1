"""The files of an archive: written so that a crash at any moment leaves nothing half done.

A file gets its name only when it is complete and on the disk. How far the work is, is in a journal:
a line is added when a step is done, and a last line that is cut short was not done. Only the owner
can read any of them, and one process at a time works with a journal.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, NamedTuple, Self

from dynamo_chat.core.errors import InvalidArchive, InvalidArgument

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
EXPORT_JOURNAL: Final = "export.jsonl"
PARTIAL: Final = ".partial"
MAX_MANIFEST_BYTES: Final = 64 * 2**20
_LONGEST_JOURNAL_LINE: Final = 64 * 2**20
_JOURNAL_BEGINS: Final = b'{"journal":'
_OWNERS_FILE: Final = 0o600
_OWNERS_FOLDER: Final = 0o700
_PART_NAME: Final = re.compile(r"items-[0-9]{4}-[0-9]{6}\.jsonl\.gz", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PIECE: Final = 2**20
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
"""A pipe in the place of a file must not wait for its other end."""


class Part(NamedTuple):
    """A file of lines."""

    name: str
    items: int
    size: int
    """The number of bytes of its lines."""
    sha256: str
    """The digest of the file, as it is on the disk."""

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """A part, of JSON values. ValueError, TypeError or LookupError."""
        part = cls(told["name"], told["items"], told["size"], told["sha256"])
        # It becomes the name of a file: nothing but a name that an export gives.
        if _PART_NAME.fullmatch(part.name) is None or _SHA256.fullmatch(part.sha256) is None:
            raise ValueError("a part has an impossible name or digest")
        if any(type(each) is not int or each < 0 for each in (part.items, part.size)):
            raise ValueError("a part has impossible counts")
        return part


def part_name(segment: int, number: int) -> str:
    """The name of a part's file."""
    return f"items-{segment:04}-{number:06}.jsonl.gz"


def is_own_file(name: str) -> bool:
    """True if an export may have written a file with this name, and may delete it."""
    return _PART_NAME.fullmatch(name.removesuffix(PARTIAL)) is not None


def make_folder(folder: Path) -> None:
    """Make the folder, for its owner only, unless it exists."""
    for each in (*reversed(folder.parents), folder):
        with suppress(FileExistsError):
            each.mkdir(_OWNERS_FOLDER)


def sync_folder(folder: Path) -> None:
    """Make the names of its files outlive a crash of the machine, where that is possible."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _create(path: Path) -> BinaryIO:
    """A new file that only its owner can read; one that is there is replaced."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNERS_FILE), "wb")


def _finish(file: IO[bytes], path: Path) -> None:
    """Give a complete file its name."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    _partial(path).replace(path)
    sync_folder(path.parent)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + PARTIAL)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file at once: it has its old content or the new one, also after a crash."""
    with _create(_partial(path)) as file:
        file.write(content)
        _finish(file, path)


class PartWriter:
    """Writes the lines of one part, compressed. The file has its name after `finish` only."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / name
        self._file = _create(_partial(self._path))
        self._hashed = _Hashed(self._file)
        # No time and no name inside: equal lines make equal files.
        self._packed = gzip.GzipFile(
            filename="", mode="wb", fileobj=self._hashed, compresslevel=6, mtime=0
        )
        self.items = 0
        self.size = 0

    def add(self, line: bytes) -> None:
        """Write a line."""
        self._packed.write(line)
        self.items += 1
        self.size += len(line)

    def finish(self) -> Part:
        """Complete the file, and return what it has."""
        self._packed.close()
        _finish(self._file, self._path)
        return Part(self._path.name, self.items, self.size, self._hashed.digest.hexdigest())

    def close(self) -> None:
        """Close what was not finished; its file is overwritten next time."""
        self._packed.close()
        self._file.close()


class _Hashed:
    """A file that is written, and the digest of its bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()


# -- the journal --------------------------------------------------------------------------------


def journal_header(**told: Any) -> dict[str, Any]:
    """The first entry of a journal, which shows that a file is one."""
    return {"journal": FORMAT, **told}


class Journal:
    """What was done, a line of JSON for each step.

    InvalidArgument if the file is no journal, or if another process has it. A file that is none is
    left as it is: the path may be mistaken, or that of a link in an archive from elsewhere.
    """

    def __init__(self, path: Path, argument: str) -> None:
        self.path = path
        self._file = self._opened(argument)
        try:
            self._own(argument)
            self._check(argument)
            self.entries = list(self._read())
        except BaseException:
            self._file.close()
            raise

    def _opened(self, argument: str) -> BinaryIO:
        flags = os.O_RDWR | os.O_CREAT | _NO_LINK | _NO_WAIT
        try:
            handle = os.open(self.path, flags, _OWNERS_FILE)
        except OSError as error:
            why = f"{self.path.name!r} can't be opened for writing: {error.strerror}"
            raise InvalidArgument(argument, why) from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise InvalidArgument(argument, f"{self.path.name!r} is not a regular file")
        return os.fdopen(handle, "r+b")

    def _check(self, argument: str) -> None:
        begin = self._file.read(len(_JOURNAL_BEGINS))
        if not _JOURNAL_BEGINS.startswith(begin):  # it may have been cut short
            raise InvalidArgument(argument, f"{self.path.name!r} is a file with other content")
        self._file.seek(0)

    def _own(self, argument: str) -> None:
        # Without a name, the one who had it has finished meanwhile.
        if not _lock(self._file) or not os.fstat(self._file.fileno()).st_nlink:
            raise InvalidArgument(argument, f"another process works with {self.path.name!r}")

    def _read(self) -> Iterator[dict[str, Any]]:
        """The entries. What follows the last complete one is cut off."""
        good = 0
        while True:
            line = self._file.readline(_LONGEST_JOURNAL_LINE)
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not isinstance(entry, dict):
                break
            good = self._file.tell()
            yield entry
        self._file.truncate(good)
        self._file.seek(good)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write down that a step is done. It is on the disk when this returns."""
        self._file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def restart(self) -> None:
        """Forget every step."""
        self.entries = []
        self._file.seek(0)
        self._file.truncate(0)

    def remove(self) -> None:
        """Delete the journal: all is done."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file, and let others work with it."""
        self._file.close()


def _lock(file: BinaryIO) -> bool:
    """Lock the file until it is closed, where that is possible. False if somebody else has it."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# -- the manifest -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a complete archive has."""

    format: int
    archive: str
    """The archive's own id."""
    package: str
    """The version of the package that wrote it."""
    table: str
    started: str
    finished: str
    layout: Mapping[str, Any]
    """The table's key, and those of its indexes."""
    kinds: Mapping[str, Any]
    """For each kind: the number of items, their digest, and how many have each schema version."""
    items: int
    expired: int
    """Items that were left out, because they had expired."""
    damaged: Mapping[str, int]
    """Problems of single items that the export has seen, by the doctor's code."""
    parts: tuple[Part, ...]

    def content(self) -> dict[str, Any]:
        """As JSON values, without the digest."""
        return {**asdict(self), "parts": [part._asdict() for part in self.parts]}

    @property
    def digest(self) -> str:
        """The SHA-256 of all that the manifest says. With it, an archive can be named exactly."""
        text = json.dumps(self.content(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write the manifest, which makes the archive a complete one."""
        told = {**self.content(), "digest": self.digest}
        write_whole(folder / MANIFEST, json.dumps(told, indent=1).encode() + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a complete archive. InvalidArchive."""
    with opened(folder, MANIFEST) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_MANIFEST_BYTES:
            raise InvalidArchive(MANIFEST, f"has more than {MAX_MANIFEST_BYTES:,} bytes")
        text = file.read(size)
    try:
        told = json.loads(text)
        digest = told.pop("digest")
        if told["format"] != FORMAT:
            raise InvalidArchive(
                MANIFEST, "has another format than this version of the package can read"
            )
        told["parts"] = tuple(map(Part.from_dict, told["parts"]))
        manifest = Manifest(**told)
        if digest != manifest.digest:
            raise InvalidArchive(MANIFEST, "was changed: its digest is another")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        if isinstance(error, InvalidArchive):
            raise
        raise InvalidArchive(MANIFEST, "is not the manifest of an archive") from error
    names = [part.name for part in manifest.parts]
    if len(set(names)) != len(names) or sum(p.items for p in manifest.parts) != manifest.items:
        raise InvalidArchive(MANIFEST, "contradicts itself")
    return manifest


@contextmanager
def opened(folder: Path, name: str) -> Iterator[BinaryIO]:
    """A regular file of the folder, for reading; no link to somewhere else. InvalidArchive."""
    path = folder / name
    try:
        handle = os.open(path, os.O_RDONLY | _NO_LINK | _NO_WAIT)
    except OSError as error:
        raise InvalidArchive(name, "is missing, or can't be opened") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InvalidArchive(name, "is not a regular file")
    with os.fdopen(handle, "rb") as file:
        yield file


def sha256_of(file: IO[bytes]) -> str:
    """The digest of an open file, which is then at its beginning again."""
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()
