"""Requests are signed exactly as botocore would sign them."""

import json
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError
from hypothesis import given, strategies as st

from dynamo_chat import ChatStore
from dynamo_chat.core.signing import PostSigner

SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
TIMES = st.datetimes(datetime(2015, 1, 1), datetime(2099, 1, 1))  # noqa: DTZ001 - botocore's are naive
HOSTS = st.sampled_from(
    [
        "https://dynamodb.eu-west-1.amazonaws.com/",
        "https://dynamodb.eu-west-1.amazonaws.com:443/",
        "http://127.0.0.1:8000/",
        "http://localhost/",
        "https://123456789012.ddb.eu-west-1.amazonaws.com/",
    ]
)


def request_to(url: str, body: bytes) -> AWSRequest:
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.GetItem",
        "Content-Type": "application/x-amz-json-1.0",
        "User-Agent": "anything",
    }
    return AWSRequest(method="POST", url=url, headers=headers, data=body)


@given(
    url=HOSTS,
    body=st.one_of(st.binary(), st.text().map(lambda text: json.dumps(text).encode())),
    access=SECRETS,
    secret=SECRETS,
    token=st.none() | SECRETS,
    now=TIMES,
)
def test_signatures_are_those_of_botocore(
    url: str, body: bytes, access: str, secret: str, token: str | None, now: datetime
) -> None:
    """Whatever is sent, to whomever, with whichever credentials."""
    ours, theirs = request_to(url, body), request_to(url, body)
    frozen = ReadOnlyCredentials(access, secret, token)
    signer = PostSigner()
    for _ in range(2):  # a retry is signed anew, over the headers of the try before it
        signer.sign(ours, frozen, "eu-west-1", "dynamodb", now.replace(tzinfo=UTC))
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        credentials = Credentials(access, secret, token)
        botocore.auth.SigV4Auth(credentials, "dynamodb", "eu-west-1").add_auth(theirs)
    assert ours.headers["Authorization"] == theirs.headers["Authorization"]
    assert sorted(ours.headers.items()) == sorted(theirs.headers.items())


def test_the_signing_key_changes_with_the_day_and_the_credentials() -> None:
    signer = PostSigner()
    seen = set()
    for secret in ("one", "two"):
        for day in (1, 2):
            request = request_to("http://127.0.0.1:8000/", b"{}")
            now = datetime(2026, 1, day, tzinfo=UTC)
            signer.sign(request, ReadOnlyCredentials("a", secret, None), "r", "dynamodb", now)
            seen.add(request.headers["Authorization"].rpartition("=")[2])
    assert len(seen) == 4


def test_other_ways_of_signing_stay_with_botocore() -> None:
    context: dict[str, Any] = {}
    assert PostSigner()._choose(signature_version="v4a", context=context) is None
    assert context == {}


def test_without_credentials_nothing_is_signed() -> None:
    request = request_to("http://127.0.0.1:8000/", b"{}")
    signer = PostSigner()
    signer._choose(signature_version="v4", context=request.context)
    with pytest.raises(NoCredentialsError):
        signer._before_sign(request, "dynamodb", "r", mock.Mock(_credentials=None))


def test_a_store_signs_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client of a store sends the signature made here, under the public events of botocore."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    store = ChatStore("signed", endpoint_url="http://127.0.0.1:9")
    client = store.connection.client
    sent: list[str] = []

    def stop(request: Any, **_: Any) -> None:
        sent.append(request.headers["Authorization"].decode())
        raise InterruptedError

    client.meta.events.register_first("before-send.dynamodb", stop)
    with mock.patch("botocore.auth.SigV4Auth.add_auth") as theirs, pytest.raises(InterruptedError):
        client.get_item(TableName="signed", Key={"PK": {"S": "a"}, "SK": {"S": "b"}})
    theirs.assert_not_called()
    assert sent[0].startswith("AWS4-HMAC-SHA256 Credential=testing/")
