"""Where old records are read from: a DynamoDB table, the files of an S3 export, or JSON Lines.

A source is read in segments, each of them in batches; a batch has the position after it, so that
reading can go on there. Records have plain JSON values. A line that can't be read is a `Bad` line,
which is reported; it doesn't stop the others.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from gzip import GzipFile
from io import BufferedReader
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from dynamo_chat.core.connection import Connection
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.text import cut
from dynamo_chat.importing.migration.numerals import read_numeral
from dynamo_chat.provision.table import Table
from dynamo_chat.store import StoreFactory

BATCH: Final = 200
"""Lines in one batch."""
_LONGEST_LINE: Final = 16 * 1024 * 1024
_LARGEST_MANIFEST: Final = 64 * 1024 * 1024
_MANIFEST: Final = "manifest-files.json"
_SUMMARY: Final = "manifest-summary.json"


class Bad(NamedTuple):
    """A line that can't be read."""

    text: str
    reason: str


class Gone(NamedTuple):
    """A record that an incremental export reports as deleted: its key attributes."""

    key: dict[str, Any]


class Batch(NamedTuple):
    """Some records, and the position after them; None at the end of the segment."""

    records: Sequence[dict[str, Any] | Bad | Gone]
    position: str | None


class Source(Protocol):
    """Something that old records can be read from."""

    def segments(self, wanted: int) -> Sequence[str]:
        """The names of its segments; about `wanted`, if it can be split at will."""

    def read(self, segment: str, start: str | None) -> Iterator[Batch]:
        """The records of a segment after the position `start`."""

    def estimate(self) -> int | None:
        """About how many records it has; None if that is unknown."""

    @property
    def is_complete(self) -> bool:
        """True if it has all records; False if only those that changed."""


def source(where: str | Path, *, store: StoreFactory | None = None) -> Source:
    """The source that a text names: ``table:NAME``, an export's folder, or a JSON Lines file.

    For a table, `store` makes a store on it: ``source("table:old", store=ChatStore)``.
    InvalidArgument.
    """
    text = str(where)
    if text.startswith("table:"):
        if store is None:
            raise InvalidArgument("store", "must be given to read a table, such as ChatStore")
        return TableSource(store(text.removeprefix("table:")).connection)
    path = Path(where)
    if path.is_dir():
        return ExportSource(path)
    if not path.is_file():
        raise InvalidArgument("source", f"there is no file or folder {text!r}; for a table, table:")
    return LinesSource(path)


@dataclass(frozen=True, slots=True)
class TableSource:
    """A DynamoDB table, read by a parallel Scan."""

    connection: Connection
    page_size: int = 500
    is_complete: bool = True

    def segments(self, wanted: int) -> Sequence[str]:
        """So many segments of the Scan."""
        return [f"{each}/{wanted}" for each in range(wanted)]

    def read(self, segment: str, start: str | None) -> Iterator[Batch]:
        """The items of a segment, page by page. ServiceError, such as TableNotFound."""
        number, _, total = segment.partition("/")
        request: dict[str, Any] = {
            "TableName": self.connection.table_name,
            "Limit": self.page_size,
            "Segment": int(number),
            "TotalSegments": int(total),
        }
        if start is not None:
            request["ExclusiveStartKey"] = json.loads(start)
        while True:
            answer = self.connection.call("Scan", request)
            after = answer.get("LastEvaluatedKey")
            position = json.dumps(after) if after else None
            yield Batch([plain_item(item) for item in answer["Items"]], position)
            if position is None:
                return
            request["ExclusiveStartKey"] = after

    def estimate(self) -> int | None:
        """The number of items that DynamoDB reports, some hours old."""
        found = Table(self.connection).describe().get("ItemCount")
        return int(found) if found else None


@dataclass(frozen=True, slots=True)
class LinesSource:
    """A file with a record per line: plain JSON, or an item as ``{"Item": {"id": {"S": …}}}``."""

    path: Path
    is_complete: bool = True

    def segments(self, wanted: int) -> Sequence[str]:  # noqa: ARG002 - a file is read in order
        """One: lines are found by reading those before them."""
        return [self.path.name]

    def read(self, segment: str, start: str | None) -> Iterator[Batch]:  # noqa: ARG002
        """The records of the lines after `start`."""
        return _batches(self.path, int(start or 0))

    def estimate(self) -> int | None:
        """The number of its lines."""
        with _opened(self.path) as lines:
            return sum(1 for _ in lines)


class ExportSource:
    """The folder of a table's export to S3, in DynamoDB JSON: full or incremental.

    The folder has the manifest files, and the data files in ``data/``. Each data file is compared
    with its checksum before it is read. InvalidArgument if something is missing or differs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        manifest = folder / _MANIFEST
        if not manifest.is_file():
            raise InvalidArgument("source", f"the folder {folder.name!r} has no {_MANIFEST}")
        self.is_complete = True
        summary = folder / _SUMMARY
        self.item_count: int | None = None
        """The number of its records, if its summary gives it."""
        if summary.is_file():
            (said,) = _objects(summary, [_text(summary)])
            self.is_complete = said.get("exportType") != "INCREMENTAL_EXPORT"
            self.item_count = said.get("itemCount")
            form = said.get("outputFormat", "DYNAMODB_JSON")
            if form != "DYNAMODB_JSON":
                why = f"the export has the form {cut(form, 40)}; export it anew"
                raise InvalidArgument("source", why)
        self._files: dict[str, Mapping[str, Any]] = {}
        for listed in _objects(manifest, filter(str.strip, _text(manifest).splitlines())):
            name = listed.get("dataFileS3Key")
            if not isinstance(name, str):
                raise _damaged(manifest)
            self._files[Path(name).name] = listed

    def segments(self, wanted: int) -> Sequence[str]:  # noqa: ARG002 - as many as there are files
        """Its data files."""
        return sorted(self._files)

    def read(self, segment: str, start: str | None) -> Iterator[Batch]:
        """The records of a data file after the line `start`."""
        return _batches(self.checked(segment), int(start or 0))

    def checked(self, segment: str) -> Path:
        """The path of a data file, which was compared with its checksum. InvalidArgument."""
        path = self._folder / "data" / segment
        if not path.is_file():
            raise InvalidArgument("source", f"the export's file {segment!r} is missing")
        self._check(path, self._files[segment])
        return path

    def items(self, segment: str) -> int | None:
        """The number of records of a data file, as the manifest gives it; None if it doesn't."""
        count: int | None = self._files[segment].get("itemCount")
        return count

    def estimate(self) -> int | None:
        """The number of records that the manifest gives."""
        return sum(listed.get("itemCount") or 0 for listed in self._files.values())

    def _check(self, path: Path, listed: Mapping[str, Any]) -> None:
        wanted = listed.get("md5Checksum")
        if wanted is None:
            return
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        if base64.b64encode(digest.digest()).decode() != wanted:
            raise _damaged(path)


def _text(path: Path) -> str:
    """The text of a manifest. InvalidArgument."""
    if path.stat().st_size > _LARGEST_MANIFEST:
        raise InvalidArgument(
            "source", f"the file {path.name!r} has more than {_LARGEST_MANIFEST:,} bytes"
        )
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(path) from error


def _objects(path: Path, texts: Iterable[str]) -> list[dict[str, Any]]:
    """The JSON objects of a manifest, with counts and forms of the right types. InvalidArgument."""
    try:
        found = [json.loads(text) for text in texts]
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    for each in found:
        if (
            not isinstance(each, dict)
            or type(each.get("itemCount", 0)) is not int
            or type(each.get("outputFormat", "")) is not str
        ):
            raise _damaged(path)
    return found


def _damaged(path: Path) -> InvalidArgument:
    return InvalidArgument("source", f"the file {path.name!r} is damaged")


def _batches(path: Path, start: int) -> Iterator[Batch]:
    records: list[dict[str, Any] | Bad | Gone] = []
    number = 0
    with _opened(path) as lines:
        for line in lines:
            number += 1
            if number <= start or not line.strip():
                continue
            records.append(_parsed(line))
            if len(records) == BATCH:
                yield Batch(records, str(number))
                records = []
    yield Batch(records, None)


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[bytes]]:
    with path.open("rb") as raw:
        is_packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with GzipFile(fileobj=raw) if is_packed else nullcontext(raw) as file:
            yield _lines(path, file)


def _lines(path: Path, file: GzipFile | BufferedReader) -> Iterator[bytes]:
    try:
        yield from iter(lambda: file.readline(_LONGEST_LINE), b"")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path) from error


def _parsed(line: bytes) -> dict[str, Any] | Bad | Gone:
    try:
        text = line.decode("utf-8").strip()
    except UnicodeDecodeError:
        return Bad(line.decode("utf-8", "replace").strip(), "the line is not UTF-8")
    try:
        found = read_json(text)
        if not isinstance(found, dict):
            return Bad(text, "the line must be a JSON object")
        if "Keys" in found and ("NewImage" in found or "Metadata" in found):
            image = found.get("NewImage")
            return Gone(plain_item(found["Keys"])) if image is None else plain_item(image)
        if found.keys() == {"Item"} and isinstance(found["Item"], dict):
            return plain_item(found["Item"])
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        return Bad(text, f"the line can't be read: {error}")
    return found


# -- values -------------------------------------------------------------------------------------


def plain_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item in DynamoDB JSON as plain JSON values. ValueError."""
    return {name: _plain(value) for name, value in item.items()}


def _plain(value: Mapping[str, Any]) -> Any:  # noqa: PLR0911 - one for each type
    ((kind, content),) = value.items()
    match kind:
        case "S" | "BOOL":
            return content
        case "N":
            return _number(content)
        case "NULL":
            return None
        case "M":
            return plain_item(content)
        case "L":
            return [_plain(each) for each in content]
        case "SS":
            return sorted(content)
        case "NS":
            return sorted(map(_number, content))
        case "B":
            return _binary(content)
        case "BS":
            return sorted(map(_binary, content))
    raise ValueError(f"{kind!r} is no type of DynamoDB")


def _binary(content: bytes | str) -> str:
    """Binary data as base64 text, as it is in an export."""
    return base64.b64encode(content).decode() if isinstance(content, bytes) else content


def _number(text: str) -> int | float | str:
    """A number; as text if it has more digits than a float holds, so that none is lost."""
    if not isinstance(text, str):
        raise TypeError("a number must be written as text")
    exact = read_numeral(text)
    if text.lstrip("+-").isdecimal():
        return int(text)
    return float(text) if Decimal(repr(float(text))) == exact else text


def read_json(text: str) -> Any:
    """A JSON text, whose numbers lose no digit. ValueError, RecursionError."""
    found = json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_no_constant)
    if "\\ud" in text.lower():
        try:
            json.dumps(found, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("it has half a character (a lone surrogate)") from None
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
