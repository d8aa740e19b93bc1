"""What botocore reads from the environment and its files holds for every HTTP client."""

import datetime as dt
import gc
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from dynamo_chat.core.connection import Connection
from dynamo_chat.core.errors import CredentialsMissing, Unreachable
from dynamo_chat.core.transport import Outgoing, Reply, Waiting
from tests.core.forked import forked
from tests.wire.conftest import GET, KEY, ON_LOOP, carry_on_loop, connect, options_for, outcome
from tests.wire.scripted import Action, Server, answer, error, serving, silent

FOUND = answer({"Item": KEY})


class Recorder(Waiting):
    """A transport that keeps requests, and finds nothing."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    def send(self, request: Outgoing) -> Reply:
        self.sent.append(request)
        return Reply(200, {}, b"{}")

    def let_go(self) -> None:
        """Nothing."""


def sent_by(connection: Connection) -> Outgoing:
    """The request of a get, by the short way or by botocore's own steps."""
    recorder = Recorder()
    way = connection._pynamo._current()
    if way.transport is not None:
        connection._pynamo._way = way._replace(transport=recorder)
    else:
        from dynamo_chat.testing.answers import answer as found

        def keep(request: Any, **_: Any) -> Any:
            headers = {
                n: v if isinstance(v, str) else v.decode() for n, v in request.headers.items()
            }
            recorder.sent.append(Outgoing(request.url, headers, request.body))
            return found(request.url, b"{}")

        way.client.meta.events.register_first("before-send.dynamodb", keep)
    connection.call(*GET)
    return recorder.sent[-1]


# -- credentials ----------------------------------------------------------------------------------


def test_credentials_of_the_environment(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "T")
    sent = sent_by(connect(None, way))
    assert "Credential=KEY-1/" in sent.headers["Authorization"]
    assert sent.headers["X-Amz-Security-Token"] == "T"


def test_credentials_of_the_options(way: str) -> None:
    given = {"aws_access_key_id": "KEY-2", "aws_secret_access_key": "s"}
    assert "Credential=KEY-2/" in sent_by(connect(None, way, **given)).headers["Authorization"]


def test_a_profile_with_its_region(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").write_text(
        "[work]\naws_access_key_id = KEY-3\naws_secret_access_key = s\n"
    )
    (tmp_path / "config").write_text("[profile work]\nregion = eu-north-1\n")
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    made = Connection("chat", options=options_for(way))
    if way == ON_LOOP:
        carry_on_loop(made)
    sent = sent_by(made)
    assert "Credential=KEY-3/" in sent.headers["Authorization"]
    assert "/eu-north-1/dynamodb/" in sent.headers["Authorization"]
    assert sent.url == "https://dynamodb.eu-north-1.amazonaws.com/"


def test_no_credentials_are_an_error_before_anything_is_sent(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with serving() as server:
        ended = outcome(connect(server.url, way), *GET)
        assert ended.result[0] is CredentialsMissing
        assert (ended.tries, ended.code) == (0, "NoCredentialsError")
        assert server.asked == []
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY-4")


def test_credentials_that_come_later_are_found(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with serving(FOUND) as server:
        connection = connect(server.url, way)
        assert outcome(connection, *GET).result[0] is CredentialsMissing
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY-4")
        assert outcome(connection, *GET).result == {"Item": KEY}
        assert server.asked[0].key_id == "KEY-4"


def test_a_program_s_credentials_are_renewed_when_they_end(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By botocore's own chain; each time the program runs it gives others, that end at once."""
    counter = tmp_path / "runs"
    program = tmp_path / "give.py"
    program.write_text(
        "import json, pathlib\n"
        f"runs = pathlib.Path({str(counter)!r})\n"
        "n = int(runs.read_text()) + 1 if runs.exists() else 1\n"
        "runs.write_text(str(n))\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'RUN-{n}', 'SecretAccessKey': 's',"
        " 'SessionToken': 't', 'Expiration': '2000-01-01T00:00:00Z' if n == 1 else"
        " '2099-01-01T00:00:00Z'}))\n"
    )
    (tmp_path / "config").write_text(
        f"[default]\ncredential_process = {sys.executable} {program}\n"
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with serving(FOUND, FOUND) as server:
        connection = connect(server.url, way)
        for _ in range(2):
            assert outcome(connection, *GET).result == {"Item": KEY}
        assert [each.key_id for each in server.asked] == ["RUN-2", "RUN-2"]


def after(happening: Callable[[], None], action: Action) -> Action:
    """`action`, after something has happened while the request was under way."""

    def act(server: Server, there: socket.socket) -> bool:
        happening()
        return action(server, there)

    return act


def renewable(renew: Callable[[], dict[str, str]]) -> RefreshableCredentials:
    """Credentials that have ended, and are renewed by `renew`."""
    past = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    return RefreshableCredentials("OLD", "s", "t", past, renew, "test")


def test_credentials_that_end_between_two_attempts_are_renewed(way: str) -> None:
    """Each attempt is signed with what is valid then."""
    made: list[str] = []

    def renew() -> dict[str, str]:
        made.append(f"NEW-{len(made)}")
        return {
            "access_key": made[-1],
            "secret_key": "s",
            "token": "t",
            "expiry_time": "2099-01-01T00:00:00Z",
        }

    with serving(error("InternalServerError", 500), FOUND) as server:
        connection = connect(server.url, way)
        current = renewable(renew)
        connection.client._request_signer._credentials = current

        def end() -> None:
            current._expiry_time = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)

        server.script[0] = after(end, server.script[0])
        ended = outcome(connection, *GET)
        assert ended.result == {"Item": KEY}
        assert ended.tries == 2
        assert [each.key_id for each in server.asked] == ["NEW-0", "NEW-1"]


def test_credentials_that_cannot_be_renewed_in_mid_flight(way: str) -> None:
    def fail() -> dict[str, str]:
        raise CredentialRetrievalError(provider="test", error_msg="no")

    with serving(error("InternalServerError", 500), FOUND) as server:
        connection = connect(server.url, way)
        current = Credentials("KEY-5", "s")
        connection.client._request_signer._credentials = current

        def end() -> None:
            connection.client._request_signer._credentials = renewable(fail)

        server.script[0] = after(end, server.script[0])
        ended = outcome(connection, *GET)
        assert ended.result[0] is CredentialsMissing
        assert ended.tries == 1


def test_signatures_are_those_of_botocore(way: str) -> None:
    """Made again from what arrived, with botocore's own signer."""
    with serving(FOUND) as server:
        outcome(connect(server.url, way), *GET)
        (asked,) = server.asked
    headers = {
        name: asked.headers[name.lower()] for name in ("X-Amz-Target", "Content-Type", "X-Amz-Date")
    }
    again = AWSRequest("POST", server.url + "/", headers=headers, data=asked.body)
    again.context["timestamp"] = asked.headers["x-amz-date"]
    signer = botocore.auth.SigV4Auth(Credentials("KEY-1", "secret"), "dynamodb", "eu-west-1")
    text = signer.string_to_sign(again, signer.canonical_request(again))
    assert asked.headers["authorization"].endswith(signer.signature(text, again))
    assert asked.headers["amz-sdk-request"] == "attempt=1; max=3"
    assert asked.headers["user-agent"].startswith("dynamo_chat botocore/")
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"
    assert "expect" not in asked.headers


# -- addresses ------------------------------------------------------------------------------------

ADDRESSES: dict[str, tuple[dict[str, str], str]] = {
    "plain": ({}, "https://dynamodb.eu-west-1.amazonaws.com/"),
    "dual stack": (
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        "https://dynamodb.eu-west-1.api.aws/",
    ),
    "FIPS": ({"AWS_USE_FIPS_ENDPOINT": "true"}, "https://dynamodb-fips.eu-west-1.amazonaws.com/"),
    "account": (
        {"AWS_ACCOUNT_ID": "123456789012"},
        "https://123456789012.ddb.eu-west-1.amazonaws.com/",
    ),
    "no account wanted": (
        {"AWS_ACCOUNT_ID": "123456789012", "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled"},
        "https://dynamodb.eu-west-1.amazonaws.com/",
    ),
    "one address": ({"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9"}, "http://127.0.0.1:9/"),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_the_address_follows_botocore_s_rules(
    way: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, wanted = ADDRESSES[case]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert sent_by(connect(None, way)).url == wanted


def test_an_account_that_is_required_and_unknown(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "required")
    ended = outcome(connect(None, way), *GET)
    assert ended.tries == 0
    assert ended.result[0].__name__ == "RequestRejected"


def test_the_table_s_own_account_is_in_its_address(way: str) -> None:
    """If the table is named by an ARN."""
    arn = "arn:aws:dynamodb:eu-west-1:210987654321:table/chat"
    connection = connect(None, way)
    urls = []
    for name in ("chat", arn, "chat"):
        recorder = sent_by_table(connection, name)
        urls.append(recorder)
    assert urls[0] == urls[2] == "https://dynamodb.eu-west-1.amazonaws.com/"
    assert urls[1] == sent_by_table(connect(None, "botocore"), arn)


def sent_by_table(connection: Connection, table: str) -> str:
    """The address of a get from a table."""
    request = GET[1]
    request["TableName"] = table
    try:
        return sent_by(connection).url
    finally:
        request["TableName"] = "chat"


# -- proxies and certificates ---------------------------------------------------------------------


def test_a_proxy_of_the_environment(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(FOUND, FOUND) as proxy:
        address = proxy.url.replace("http://", "http://user:pass@")
        monkeypatch.setenv("HTTP_PROXY", address)
        monkeypatch.setenv("http_proxy", address)
        ended = outcome(connect("http://dynamodb.invalid:8000", way), *GET)
        assert ended.result == {"Item": KEY}
        (asked,) = proxy.asked
        assert asked.line == "POST http://dynamodb.invalid:8000/ HTTP/1.1"
        assert asked.headers["host"] == "dynamodb.invalid:8000"
        assert asked.headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"


def test_no_proxy_where_the_environment_says_so(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(FOUND) as server:
        assert outcome(connect(server.url, way), *GET).result == {"Item": KEY}


def test_a_proxy_that_is_not_there(fast: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:pass@127.0.0.1:9")
    ended = [outcome(connect("http://dynamodb.invalid", each), *GET) for each in (fast, "botocore")]
    assert ended[0] == ended[1]
    assert ended[0].code == "ProxyConnectionError"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private authority, and certificates for `localhost` and for another name."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("certificates")
    now = dt.datetime.now(dt.UTC)

    def made(name: str, issuer: Any, *, authority: bool) -> Any:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        parent, parent_key = issuer or (subject, key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(parent)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        )
        signed = builder.sign(parent_key, hashes.SHA256())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / f"{name}.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM) + pem)
        return subject, key

    authority = made("authority", None, authority=True)
    made("localhost", authority, authority=False)
    made("elsewhere", authority, authority=False)
    return folder


def secured(certificates: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem")
    return context


def test_a_private_authority(way: str, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates / "authority.pem"))
    with serving(FOUND, FOUND, tls=secured(certificates, "localhost")) as server:
        connection = connect(f"https://localhost:{server.port}", way)
        for _ in range(2):
            assert outcome(connection, *GET).result == {"Item": KEY}
        assert server.connections == 1


@pytest.mark.parametrize("trusted", [True, False])
def test_a_server_that_proves_nothing_gets_nothing(
    fast: str, trusted: bool, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its authority is unknown, or its certificate is for another name."""
    if trusted:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates / "authority.pem"))
    name = "elsewhere" if trusted else "localhost"
    ended = []
    for each in (fast, "botocore"):
        with serving(tls=secured(certificates, name)) as server:
            ended.append(outcome(connect(f"https://localhost:{server.port}", each), *GET))
            assert server.asked == []
    assert ended[0] == ended[1]
    assert ended[0].code == "SSLError"
    assert ended[0].result[0] is Unreachable


def test_a_tunnel_through_a_proxy(
    way: str, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates / "authority.pem"))
    with (
        serving(FOUND, FOUND, tls=secured(certificates, "localhost")) as server,
        serving() as proxy,
    ):
        monkeypatch.setenv("https_proxy", proxy.url)
        connection = connect(f"https://localhost:{server.port}", way)
        for _ in range(2):
            assert outcome(connection, *GET).result == {"Item": KEY}
        (asked,) = proxy.asked
        assert asked.line.startswith(f"CONNECT localhost:{server.port} HTTP/")
        assert not {"authorization", "x-amz-target"} & set(asked.headers)  # not the proxy's to see
        assert len(server.asked) == 2


def test_a_proxy_that_refuses_a_tunnel(
    fast: str, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "")
    ended = []
    for each in (fast, "botocore"):
        with serving(*[answer(b"", 403)] * 9) as proxy:
            proxy.refuses = True
            monkeypatch.setenv("https_proxy", proxy.url)
            ended.append(outcome(connect("https://dynamodb.invalid", each), *GET))
    assert ended[0] == ended[1]
    assert ended[0].code == "ProxyConnectionError"


def test_a_body_is_sent_as_json(way: str) -> None:
    """Bytes are base64 in DynamoDB's alphabet, other text is itself."""
    body = bytes(range(256))
    item = {"PK": {"S": '{"B":"'}, "t": {"S": "é 😀"}, "b": {"B": body}, "s": {"SS": ["a", "b"]}}
    with serving(answer({})) as server:
        connect(server.url, way).call("PutItem", {"TableName": "chat", "Item": item})
        (asked,) = server.asked
    import base64

    wanted = {**item, "b": {"B": base64.b64encode(body).decode()}}
    assert asked.json == {"TableName": "chat", "Item": wanted, "ReturnConsumedCapacity": "TOTAL"}
    assert json.loads(asked.body.decode()) == asked.json


# -- processes and signals ------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_does_not_end_its_parent_s_tls_session(
    way: str, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a copy of the session; a farewell in it would be the parent's."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates / "authority.pem"))
    with serving(*[FOUND] * 6, tls=secured(certificates, "localhost")) as server:
        connection = connect(f"https://localhost:{server.port}", way, max_attempts=1)
        for _ in range(2):
            connection.call(*GET)

        def in_child() -> Any:
            gc.collect()
            found = connection.call(*GET)
            return found["Item"]

        assert forked(in_child) == [KEY]
        for _ in range(2):
            assert connection.call(*GET)["Item"] == KEY
        assert server.connections == 2  # the parent's own, all the time, and the child's


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_a_signal_is_handled_while_a_server_says_nothing(way: str) -> None:
    """Such as Ctrl-C, or a worker's request to stop; not only after the read timeout."""

    def stop(*_: Any) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, stop)
    with serving(silent) as server:
        try:
            connection = connect(server.url, way, read_timeout=3600.0, max_attempts=1)
            gc.disable()  # Python drops what is raised while it collects
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises((InterruptedError, Unreachable)):
                connection.call(*GET)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            gc.enable()
            signal.signal(signal.SIGALRM, before)
            server.is_over.set()
