"""Records of a stream, written by hand, in both spellings."""

import base64
import json
from collections.abc import Mapping
from typing import Any

TTL_SERVICE = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
TTL_SERVICE_OF_THE_API = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}

Image = Mapping[str, Any]


def record(
    old: Image | None = None,
    new: Image | None = None,
    *,
    number: str = "111",
    by: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What the stream tells when `old` becomes `new`, as GetRecords has it."""
    event = "MODIFY" if old and new else "INSERT" if new else "REMOVE"
    images = {"OldImage": old, "NewImage": new}
    made: dict[str, Any] = {
        "eventID": f"event-{number}",
        "eventName": event,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "SequenceNumber": number,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **{name: image for name, image in images.items() if image is not None},
        },
    }
    if by is not None:
        made["userIdentity"] = by
    return made


def as_lambda(told: Mapping[str, Any]) -> dict[str, Any]:
    """The same record as it comes in a Lambda event: JSON, where bytes are base64 text."""

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        return value.timestamp()  # a datetime

    event: dict[str, Any] = json.loads(json.dumps(told, default=plain))
    return event
