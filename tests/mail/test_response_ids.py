"""Response ids of the caller's: found by their account, whoever else uses them."""

import json
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import EmailMessage, keyspace
from dynamo_chat.core.errors import NotFound
from dynamo_chat.testing import RequestMeter
from tests.mail.scenes import new_email
from tests.scene import Item, Scene

pytestmark = pytest.mark.engine

OTHERS = 60
"""More than what is looked through of ids that do not say whose they are."""


def added(scene: Scene, account_id: str, conversation_id: str) -> EmailMessage:
    new = new_email(account_id=account_id, response_id="1", body=account_id)
    return scene.store.emails.add(conversation_id, new)


def found(scene: Scene, account_id: str | None, *, requests: int) -> EmailMessage | None:
    """The e-mail under the id ``1``; what it takes to find it, or to find that there is none."""
    with RequestMeter(scene.store.connection.client) as meter:
        try:
            return scene.store.emails.get_by_response_id("1", account_id=account_id)
        except NotFound:
            return None
        finally:
            assert meter.count == requests


def make_old(scene: Scene, *, without: tuple[str, ...] = ()) -> None:
    """The id items as version 1 wrote them: later ones said their account, and no key did."""
    table = scene.store.connection.table_name
    for item in scene.items():
        if item["kind"]["S"] == "email_response_id":
            (conversation_id,) = keyspace.MAIL_PARTITION.decode(item["PK"]["S"])
            key = keyspace.EMAIL_RESPONSE_ID_OF_NO_OWNER.encode(conversation_id)
            old = {**item, "v": {"N": "1"}, "GSI2SK": {"S": key}}
            kept = {name: value for name, value in old.items() if name not in without}
            scene.client.put_item(TableName=table, Item=kept)


@pytest.mark.once
def test_an_account_finds_its_own_in_two_requests(scene: Scene) -> None:
    """However many others use the id, in conversations that sort before and behind."""
    for number in range(OTHERS):
        added(scene, f"b-{number:02}", f"c-{number:02}")
    ours = added(scene, "a-1", "c-5~")
    assert found(scene, "a-1", requests=2) == ours
    assert found(scene, "b-17", requests=2) == added(scene, "b-17", "c-17")
    assert found(scene, "a-2", requests=2) is None  # the second looks at ids of version 1
    assert found(scene, None, requests=2) is not None


def test_of_its_own_an_account_gets_the_first(scene: Scene) -> None:
    """By the conversation's id. What is another's never stands before it."""
    added(scene, "b-1", "c-0")
    second = added(scene, "a-1", "c-2")
    first = added(scene, "a-1", "c-1")
    assert found(scene, "a-1", requests=2) == first
    scene.store.threads.delete("c-1")
    assert found(scene, "a-1", requests=2) == second
    scene.store.threads.delete("c-2")
    assert found(scene, "a-1", requests=2) is None


def test_names_that_look_like_one_another_are_told_apart(scene: Scene) -> None:
    made = {name: added(scene, name, f"of {name}") for name in ("a", "a#", "OWNER", "a$23", "of a")}
    for name, email in made.items():
        assert found(scene, name, requests=2) == email


@pytest.mark.parametrize("without", [(), ("account_id",)])
def test_ids_of_earlier_releases_are_found(scene: Scene, without: tuple[str, ...]) -> None:
    """Beside new ones, and with a request more."""
    ours, theirs = added(scene, "a-1", "c-2"), added(scene, "b-1", "c-1")
    make_old(scene, without=without)
    assert found(scene, None, requests=2) == theirs
    assert found(scene, "b-1", requests=3) == theirs
    if not without:
        assert found(scene, "a-1", requests=3) == ours
    new = added(scene, "c-1", "c-3")
    assert found(scene, "c-1", requests=2) == new
    assert added(scene, "b-1", "c-1") == theirs  # a retry is recognised still
    scene.store.threads.delete("c-1")
    assert found(scene, "b-1", requests=2 + bool(without)) is None


def test_the_released_item_is_the_old_one(scene: Scene) -> None:
    """What the tests here take for version 1 is what was released."""
    path = Path(__file__).parents[1] / "compatibility" / "v1" / "email_response_id.json"
    released: Item = json.loads(path.read_text("utf-8"))["plain"]["item"]
    scene.store.emails.add("mail", new_email(response_id="r-1"))
    make_old(scene, without=("account_id",))
    (old,) = (item for item in scene.items() if item["kind"]["S"] == "email_response_id")
    drawn: dict[str, Any] = {name: old[name] for name in ("timestamp", "entry_id", "digest")}
    assert {**released, **drawn} == old
    for item in scene.items():
        key = {name: item[name] for name in ("PK", "SK")}
        scene.client.delete_item(TableName=scene.store.connection.table_name, Key=key)
