"""What the documents' shapes share: how times are written, and that empty fields are omitted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, PlainSerializer

from dynamo_chat.core.entity import Model, Time
from dynamo_chat.core.keys import format_time

M = TypeVar("M", bound=Model)


def _read_moment(value: Any) -> Any:
    """ISO 8601 text as a time; UTC if it has no zone, as these products write it."""
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be an ISO 8601 time such as 2025-12-30T14:00:00Z") from None
    return moment if moment.utcoffset() is not None else moment.replace(tzinfo=UTC)


def _write_moment(moment: datetime) -> str:
    return f"{format_time(moment)[:19]}Z"


Moment = Annotated[Time, BeforeValidator(_read_moment), PlainSerializer(_write_moment)]
"""A time that the documents write as ``2025-12-30T14:00:00Z``."""


def known(shape: type[M], **fields: Any) -> M:
    """A shape with only the fields that are not None, so that `plain` omits the others."""
    return shape(**{name: value for name, value in fields.items() if value is not None})


def plain(shape: Model) -> dict[str, Any]:
    """The shape as JSON values, without what was not set."""
    return shape.model_dump(mode="json", by_alias=True, exclude_unset=True)
