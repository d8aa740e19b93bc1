"""Signature Version 4 for DynamoDB's requests: a POST to `/` with a JSON body.

botocore's general signer takes an eighth of the client's time for a get. This one signs only this
kind of request and keeps the day's signing key. On the short way (`core/wire.py`) it is called
directly. Otherwise it uses two public events of a client: `choose-signer` replaces botocore's plain
v4 signer, and no other one; `before-sign` signs. botocore still finds and renews the credentials.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import botocore
from botocore.exceptions import NoCredentialsError

_ALGORITHM = "AWS4-HMAC-SHA256"
_TAKEN_OVER = "dynamo_chat_signs"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Scope(NamedTuple):
    """What a signature is valid for."""

    host: str
    region: str
    service: str


class PostSigner:
    """Signs the requests of one client. Safe to share between threads."""

    def __init__(self) -> None:
        # One entry, replaced as a whole: the inputs of the key, and the key.
        self._key: tuple[tuple[str, str, str, str], bytes] | None = None

    def attach(self, client: Any) -> None:
        """Sign every later request of `client`."""
        client.meta.events.register("choose-signer.dynamodb", self._choose)
        client.meta.events.register("before-sign.dynamodb", self._before_sign)

    def takes(self, identity: Any, operation: str, context: dict[str, Any]) -> bool:
        """True if this operation is signed here: `identity` is the client's own signer."""
        identity._choose_signer(operation, "standard", context)  # noqa: SLF001 - it only decides
        return bool(context.pop(_TAKEN_OVER, False))

    def _choose(self, signature_version: Any, context: dict[str, Any], **_: Any) -> Any:
        if signature_version != "v4":
            return None
        context[_TAKEN_OVER] = True
        return botocore.UNSIGNED

    def _before_sign(
        self, request: Any, signing_name: str, region_name: str, request_signer: Any, **_: Any
    ) -> None:
        if not request.context.pop(_TAKEN_OVER, False):
            return
        credentials = request_signer._credentials  # noqa: SLF001 - as PynamoDB itself asks
        if credentials is None:
            raise NoCredentialsError
        signing = request.context.get("signing", {})
        self.sign(
            request,
            credentials.get_frozen_credentials(),
            signing.get("region") or region_name,
            signing.get("signing_name") or signing_name,
            datetime.now(UTC),
        )

    def sign(
        self, request: Any, credentials: Any, region: str, service: str, now: datetime
    ) -> None:
        """Add the date, security token and authorization headers to `request`."""
        headers = request.headers
        # A retry still has the headers of the attempt before it.
        for name in ("Authorization", "X-Amz-Date", "X-Amz-Security-Token"):
            del headers[name]
        more = self.headers(
            dict(headers.items()),
            _bytes(request.body),
            credentials,
            Scope(host_of(request.url), region, service),
            stamp=now.strftime("%Y%m%dT%H%M%SZ"),
            method=request.method,
        )
        for name, value in more.items():
            headers[name] = value

    def headers(
        self,
        given: Mapping[str, str],
        body: bytes,
        credentials: Any,
        scope: Scope,
        *,
        stamp: str,
        method: str = "POST",
    ) -> dict[str, str]:
        """The date, security token and authorization of a request with the headers `given`.

        `stamp` is the time of signing, as ``20260131T235959Z``.
        """
        more = {"X-Amz-Date": stamp}
        if credentials.token:
            more["X-Amz-Security-Token"] = credentials.token
        signed = {"host": scope.host}
        for headers in (given, more):
            for name, value in headers.items():
                lower = name.lower()
                if lower == "content-type" or lower.startswith("x-amz-"):
                    signed[lower] = " ".join(value.split())
        names = sorted(signed)
        listed = ";".join(names)
        lines = "\n".join([f"{name}:{signed[name]}" for name in names])
        hashed = hashlib.sha256(body).hexdigest()
        canonical = f"{method}\n/\n\n{lines}\n\n{listed}\n{hashed}"
        where = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"{_ALGORITHM}\n{stamp}\n{where}\n{digest}"
        key = self._signing_key(credentials.secret_key, stamp[:8], scope.region, scope.service)
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        more["Authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{where}, "
            f"SignedHeaders={listed}, Signature={signature}"
        )
        return more

    def _signing_key(self, secret: str, day: str, region: str, service: str) -> bytes:
        made_for = (secret, day, region, service)
        known = self._key
        if known is not None and known[0] == made_for:
            return known[1]
        key = f"AWS4{secret}".encode()
        for part in (day, region, service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = (made_for, key)
        return key


def host_of(url: str) -> str:
    """The Host header of a request to `url`, without a port that goes without saying."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"


def _bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body or b"")
