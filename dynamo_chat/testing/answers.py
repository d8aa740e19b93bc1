"""HTTP responses for handlers of botocore's ``before-send`` event, in place of a server's."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

from botocore.awsrequest import AWSResponse

_ERROR_SPACE = "com.amazonaws.dynamodb.v20120810#"


def answer(url: str, body: bytes, status: int = 200) -> AWSResponse:
    """An HTTP response with this body."""
    return AWSResponse(url, status, {"Content-Type": "application/x-amz-json-1.0"}, _Body(body))


def json_answer(url: str, payload: Mapping[str, Any], status: int = 200) -> AWSResponse:
    """An HTTP response whose body is `payload` as JSON."""
    return answer(url, json.dumps(payload).encode(), status)


def error_answer(
    url: str, code: str, message: str, *, status: int = 400, **details: Any
) -> AWSResponse:
    """An error in DynamoDB's form; `details` are further fields such as CancellationReasons."""
    payload = {"__type": _ERROR_SPACE + code, "message": message, **details}
    return json_answer(url, payload, status)


class _Body(io.BytesIO):
    """A raw response body, as botocore reads it."""

    def stream(self, **_: Any) -> list[bytes]:
        return [self.read()]
