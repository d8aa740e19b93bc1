"""Which engine a command works on, and whose credentials it signs with."""

from pathlib import Path

import pytest

from dynamo_chat.cli.target import Target

LOCAL = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))


def test_an_engine_that_wants_any_signature_gets_one() -> None:
    store = Target("chat", LOCAL).store()
    assert store.connection.options.aws_access_key_id == "local"


def test_credentials_that_are_there_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some engines keep the tables of each access key apart."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert Target("chat", LOCAL).store().connection.options.aws_access_key_id is None


@pytest.mark.parametrize("endpoint", [None, "https://dynamodb.eu-west-1.amazonaws.com"])
def test_aws_never_gets_made_up_credentials(endpoint: str | None) -> None:
    store = Target("chat", endpoint, "eu-west-1").store()
    assert store.connection.options.aws_access_key_id is None


def test_a_target_says_where_it_is() -> None:
    assert str(Target("chat", LOCAL)) == LOCAL
    assert str(Target("chat", region="eu-west-1")) == "AWS in eu-west-1"
    assert str(Target("chat", is_embedded=True)) == "an engine inside this process"
