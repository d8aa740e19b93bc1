"""Converts records of DynamoDB Streams into changes of entities.

Records have two forms: in Lambda's events, binary values are base64 text and times are seconds;
from GetRecords they are bytes and datetimes, and the identity's names are capitalized. Both are
accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TypedDict

from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import CorruptItem, ImageMissing, InvalidArgument
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KIND, HasKeySpace, Layout
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.streams.changes import Change, Changed, Created, Deleted, Expired, UnknownKind

Image = Mapping[str, Any]
"""An item in a record, in DynamoDB's JSON."""

_OLD, _NEW = "OldImage", "NewImage"
_IMAGES: Final = {"INSERT": (_NEW,), "MODIFY": (_OLD, _NEW), "REMOVE": (_OLD,)}
"""The images that a record must have, by the name of its event."""

_TTL_SERVICE: Final = ("Service", "dynamodb.amazonaws.com")
"""The user identity of a deletion that DynamoDB made itself: its type and principal."""


class _Recorded(TypedDict):
    sequence_number: str
    event_id: str
    recorded_at: datetime | None


def parse_stream_record(
    record: Mapping[str, Any], store: HasKeySpace | type[HasKeySpace] | None = None
) -> Change | None:
    """The change that a stream record describes; None for a helper item.

    `record` is one of a Lambda event's ``Records``, or of those that GetRecords returns. The
    stream must carry both images (``NEW_AND_OLD_IMAGES``); otherwise ImageMissing. With `store`, an
    application's store or its class, the application's own kinds are known, too.

    An entity that is replaced by a tombstone is Deleted, because readers no longer see it. An item
    of an unknown kind is returned as UnknownKind. CorruptItem when an item cannot be read,
    InvalidArgument when `record` is not a stream record.
    """
    layouts = (KEY_SPACE if store is None else store.key_space).layouts
    event, images = _parts(record)
    old, new = (_image(images, name, event) for name in (_OLD, _NEW))
    about = _about(record, images)
    for image in (old, new):
        if image is not None and (kind := _kind_of(image)) not in layouts:
            return UnknownKind(kind, old, new, **about)
    before, after = _entity(old, layouts), _entity(new, layouts)
    if before is not None and after is not None:
        if type(before) is not type(after):
            raise CorruptItem(_kind_of(new or {}) or "", f"it was a {_kind_of(old or {})} before")
        return Changed(before, after, **about)
    if after is not None:
        return Created(after, **about)
    if before is None:
        return None
    return Expired(before, **about) if _is_expiry(record) else Deleted(before, **about)


def _parts(record: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The name of the event, and the part of the record with the images. InvalidArgument."""
    if isinstance(record, Mapping):
        event, images = record.get("eventName"), record.get("dynamodb")
        if isinstance(event, str) and event in _IMAGES and isinstance(images, Mapping):
            return event, images
    raise InvalidArgument("record", "must be a record of a DynamoDB stream")


def _image(images: Mapping[str, Any], name: str, event: str) -> Image | None:
    """One image of a record; None if the event has none. ImageMissing, InvalidArgument."""
    if name not in _IMAGES[event]:
        return None
    image = images.get(name)
    if not image:
        raise ImageMissing(event, name, str(images.get("StreamViewType", "")))
    if not isinstance(image, Mapping):
        raise InvalidArgument(f"record.dynamodb.{name}", "must be an item in DynamoDB's JSON")
    return image


def _kind_of(image: Image) -> str | None:
    stored = image.get(KIND)
    kind = stored.get("S") if isinstance(stored, Mapping) else None
    return kind if isinstance(kind, str) else None


def _entity(image: Image | None, layouts: Mapping[str, Layout]) -> Entity | None:
    """The entity in an image of a known kind; None for a helper item or no image."""
    if image is None:
        return None
    layout = layouts[_kind_of(image) or ""]
    entity = None if layout.helper else layout.resolved()
    if entity is None:
        return None
    return plan(entity).decode(image)


def _is_expiry(record: Mapping[str, Any]) -> bool:
    """True if DynamoDB itself deleted the item because its TTL had passed."""
    by = record.get("userIdentity")
    if record["eventName"] != "REMOVE" or not isinstance(by, Mapping):
        return False
    return (
        by.get("type", by.get("Type")),
        by.get("principalId", by.get("PrincipalId")),
    ) == _TTL_SERVICE


def _about(record: Mapping[str, Any], images: Mapping[str, Any]) -> _Recorded:
    return {
        "sequence_number": str(images.get("SequenceNumber", "")),
        "event_id": str(record.get("eventID", "")),
        "recorded_at": _moment(images.get("ApproximateCreationDateTime")),
    }


def _moment(value: object) -> datetime | None:
    # Only extra information: a time that cannot be read must not block the shard.
    with suppress(ValueError, OverflowError, OSError):
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value, UTC)
    return None
