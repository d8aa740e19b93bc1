"""What can be restored: an archive that `StoreExport` wrote, or a table's export to S3.

Files may come from anywhere. Each is compared with its digest before a line of it is used, and its
lines are read one by one, within bounds: a file that is larger than it says is refused where that
shows, however far it would expand.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

from dynamo_chat.archive.files import (
    EXPORT_JOURNAL,
    MANIFEST,
    opened,
    read_manifest,
    sha256_of,
)
from dynamo_chat.archive.lines import MAX_LINE_BYTES, item_of, line_of
from dynamo_chat.archive.tally import Tally
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.errors import InvalidArchive
from dynamo_chat.importing.migration.sources import ExportSource

S3_MANIFEST: Final = "manifest-files.json"


class Line(NamedTuple):
    """A line that was read."""

    number: int
    item: AttributeValues
    text: bytes


class Source(Protocol):
    """Something that a store can be restored from."""

    @property
    def digest(self) -> str:
        """What names it exactly: the SHA-256 of its manifest."""

    @property
    def parts(self) -> Mapping[str, int | None]:
        """Its files, each with the number of its items, if that is known."""

    def lines(self, part: str) -> Iterator[Line]:
        """The lines of a file. InvalidArchive."""

    def check(self, tally: Tally) -> None:
        """InvalidArchive unless these are the counts and digests of all its lines."""


def source_of(folder: Path) -> Source:
    """What the folder has. InvalidArchive."""
    if (folder / S3_MANIFEST).is_file() and not (folder / MANIFEST).exists():
        return S3Export(folder)
    if (folder / EXPORT_JOURNAL).exists() and not (folder / MANIFEST).exists():
        raise InvalidArchive(MANIFEST, "is missing: the export was not finished; run it again")
    return StoreArchive(folder)


class StoreArchive:
    """An archive that `StoreExport` wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest = read_manifest(folder)
        self._parts = {part.name: part for part in self._manifest.parts}

    @property
    def digest(self) -> str:
        """The SHA-256 of its manifest."""
        return self._manifest.digest

    @property
    def parts(self) -> Mapping[str, int | None]:
        """Its files, each with the number of its items."""
        return {name: part.items for name, part in self._parts.items()}

    def lines(self, part: str) -> Iterator[Line]:
        """The lines of a file. InvalidArchive."""
        listed = self._parts[part]
        with opened(self._folder, part) as file:
            if sha256_of(file) != listed.sha256:
                raise InvalidArchive(part, "was changed: its digest is another")
            number = size = 0
            for line in _unpacked(part, file):
                number, size = number + 1, size + len(line)
                if number > listed.items or size > listed.size:
                    raise InvalidArchive(part, "has more than the manifest says")
                found = _line(part, number, line)
                if line_of(found.item) != line:
                    raise InvalidArchive(part, "is not written as an export writes it", number)
                yield found
        if (number, size) != (listed.items, listed.size):
            raise InvalidArchive(part, "has less than the manifest says")

    def check(self, tally: Tally) -> None:
        """InvalidArchive unless these are the counts and digests of all its lines."""
        if tally.as_dict() != self._manifest.kinds:
            raise InvalidArchive(MANIFEST, "has other counts or digests than the lines")


class S3Export:
    """The folder of a full export to S3 in DynamoDB's JSON: the table as it was at one moment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._source = ExportSource(folder)
        names = self._source.segments(1)
        self._parts = {name: self._source.items(name) for name in names}
        if not self._source.is_complete:
            raise InvalidArchive(S3_MANIFEST, "is of an incremental export; a full one is needed")
        with opened(folder, S3_MANIFEST) as file:
            self._digest = sha256_of(file)

    @property
    def digest(self) -> str:
        """The SHA-256 of its manifest, which has the checksums of its files."""
        return self._digest

    @property
    def parts(self) -> Mapping[str, int | None]:
        """Its files, each with the number of its items, if the manifest gives it."""
        return self._parts

    def lines(self, part: str) -> Iterator[Line]:
        """The lines of a file. InvalidArchive."""
        number = 0
        self._source.checked(part)
        with opened(self._folder / "data", part) as file:
            for line in _unpacked(part, file):
                number += 1
                yield _line(part, number, line)
        wanted = self._parts[part]
        if wanted is not None and number != wanted:
            raise InvalidArchive(part, "has another number of lines than the manifest says")

    def check(self, tally: Tally) -> None:
        """InvalidArchive unless it has so many items as its summary says, if it has one."""
        if self._source.item_count not in {None, tally.items}:
            raise InvalidArchive(S3_MANIFEST, "names other files than the export has")


def _unpacked(part: str, file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a compressed file. InvalidArchive."""
    number = 0
    try:
        with gzip.GzipFile(fileobj=file) as packed:
            while line := packed.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    why = f"has more than {MAX_LINE_BYTES:,} bytes"
                    raise InvalidArchive(part, why, number)
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidArchive(part, "can't be decompressed") from error


def _line(part: str, number: int, line: bytes) -> Line:
    try:
        return Line(number, item_of(line), line)
    except ValueError as error:
        raise InvalidArchive(part, str(error), number) from error
