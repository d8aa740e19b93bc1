"""Items of an older schema version: read by everybody, and written anew by the doctor."""

from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import keyspace
from dynamo_chat.chat.message import Message
from dynamo_chat.chat.reviews import Review
from dynamo_chat.core.errors import NotFound
from dynamo_chat.limits.rate_limit import RateLimit
from dynamo_chat.operations.doctor.doctor import Doctor
from tests.doctor.damage import changed, one
from tests.doctor.test_races import before
from tests.scene import Item, Scene

pytestmark = pytest.mark.engine


def _note_is_comments(item: Item) -> Item:
    """From version 1, which said ``note``. What version 2 wrote into it meanwhile counts."""
    upgraded = dict(item)
    note = upgraded.pop("note", None)
    return upgraded if note is None else {"comments": note, **upgraded}


@pytest.fixture
def version_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose reviews have been changed since the table was filled."""
    monkeypatch.setattr(Review, "schema_version", 2)
    monkeypatch.setattr(Review, "upgrades", {1: _note_is_comments})


@pytest.fixture
def old_review(scene: Scene) -> Item:
    """A review as version 1 is said to have written it, with its old place in an index."""
    comments = one(scene, "review")["comments"]
    old: dict[str, Any] = {"note": comments, "comments": None, "GSI2PK": {"S": "REVIEWS#1#"}}
    changed("review", **old)(scene)
    return one(scene, "review")


def test_an_old_item_is_read_and_changed(scene: Scene, version_2: None, old_review: Item) -> None:
    store = scene.new_store()
    assert store.reviews.get("review-ann").comments == "Good"
    assert store.reviews.archive("review-ann").comments == "Good"
    assert one(scene, "review") == old_review


def test_the_doctor_upgrades_it(
    scene: Scene, doctor: Doctor, everything: list[Item], version_2: None, old_review: Item
) -> None:
    store = scene.new_store()
    entity = store.reviews.get("review-ann")
    report = doctor.examine()
    assert [(each.code, each.kind) for each in report.findings] == [("older_version", "review")]
    (done,) = doctor.repair(report.findings)
    assert (done.outcome, done.says) == ("repaired", "upgrade it to schema version 2")
    assert doctor.examine().is_clean
    assert store.reviews.get("review-ann") == entity
    upgraded = one(scene, "review")
    assert upgraded["v"] == {"N": "2"}
    (before_all,) = (item for item in everything if item["kind"]["S"] == "review")
    assert {**upgraded, "v": {"N": "1"}} == before_all  # where version 2 would have put it


def test_what_is_written_meanwhile_is_kept(
    scene: Scene, doctor: Doctor, version_2: None, old_review: Item
) -> None:
    report = doctor.examine()
    with before(doctor, "UpdateItem", lambda: changed("review", comments={"S": "Bad"})(scene)):
        (done,) = doctor.repair(report.findings)
    assert done.outcome == "left"
    assert scene.new_store().reviews.get("review-ann").comments == "Bad"
    doctor.repair(doctor.examine().findings)
    assert scene.new_store().reviews.get("review-ann").comments == "Bad"
    assert "note" not in one(scene, "review")


def test_large_and_compressed_items_are_upgraded(
    scene: Scene, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Message, "schema_version", 2)
    monkeypatch.setattr(Message, "upgrades", {1: dict})
    store = scene.new_store()
    messages = [store.messages.list(each).items for each in ("talk-ann", "talk-ann-1")]
    found = doctor.examine().findings
    assert {each.code for each in found} == {"older_version"}
    assert {each.outcome for each in doctor.repair(found)} == {"repaired"}
    assert doctor.examine().is_clean
    assert [store.messages.list(each).items for each in ("talk-ann", "talk-ann-1")] == messages


def test_updates_leave_the_version_as_it_is(
    scene: Scene, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update writes a part of an item: the rest of it is of the version that it says."""
    monkeypatch.setattr(RateLimit, "schema_version", 2)
    monkeypatch.setattr(RateLimit, "upgrades", {1: dict})
    limits = scene.new_store().rate_limits
    before = [item for item in scene.items() if item["kind"]["S"] == "rate_limit"]
    scene.clock.advance(timedelta(days=2))
    limits.count("account-ann", "ai", "answer")  # opens a window
    limits.block("account-ann", "ai", scene.clock() + timedelta(hours=1))
    assert one(scene, "rate_limit")["v"] == {"N": "1"}
    limits.block("account-2", "aws", scene.clock() + timedelta(hours=1))
    found = [each.code for each in doctor.examine().findings if each.kind == "rate_limit"]
    assert found == ["older_version"] * len(before)


def test_a_version_without_an_upgrade_is_told(
    scene: Scene, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Review, "schema_version", 2)
    (found,) = doctor.examine().findings
    assert (found.code, found.repair) == ("unreadable", None)
    assert "no upgrade from schema version 1" in found.says


# -- id items of version 1, which did not say whose they are ------------------------------------


@pytest.fixture
def old_id(scene: Scene) -> Item:
    """The item of a caller's message id as version 1 wrote it."""
    found = one(scene, "message_id")
    conversation_id = found["PK"]["S"].removeprefix("CONV")
    changed("message_id", v={"N": "1"}, GSI2SK={"S": f"MESSAGE{conversation_id}"})(scene)
    return one(scene, "message_id")


def test_an_old_message_id_is_found_and_upgraded(
    scene: Scene, doctor: Doctor, everything: list[Item], old_id: Item
) -> None:
    messages = scene.new_store().messages
    message_id = old_id["SK"]["S"].removeprefix("ID#").removesuffix("#")
    conversation_id = old_id["PK"]["S"].removeprefix("CONV#").removesuffix("#")
    owner = scene.new_store().conversations.get(conversation_id).user_id
    found = messages.get_by_id(message_id, user_id=owner)
    assert found == messages.get(conversation_id, message_id) == messages.get_by_id(message_id)
    with pytest.raises(NotFound):
        messages.get_by_id(message_id, user_id="somebody-else")
    report = doctor.examine()
    assert [(each.code, each.kind) for each in report.findings] == [("older_version", "message_id")]
    (done,) = doctor.repair(report.findings)
    assert (done.outcome, done.says) == ("repaired", "upgrade it to schema version 2")
    assert scene.items() == everything
    assert doctor.examine().is_clean
    assert messages.get_by_id(message_id, user_id=owner) == found


def test_an_old_message_id_of_a_new_owner_is_left(
    scene: Scene, doctor: Doctor, old_id: Item
) -> None:
    """The repair says whose it is: it happens only while that is so."""
    report = doctor.examine()
    conversation_id = old_id["PK"]["S"].removeprefix("CONV#").removesuffix("#")
    head = next(
        item
        for item in scene.items()
        if item["PK"] == old_id["PK"] and item["kind"] == {"S": "conversation"}
    )
    assert head["PK"]["S"] == f"CONV#{conversation_id}#"
    with before(doctor, "TransactWriteItems", lambda: scene.put({**head, "user_id": {"S": "zed"}})):
        (done,) = doctor.repair(report.findings)
    assert done.outcome == "left"
    assert one(scene, "message_id") == old_id


def test_a_review_id_that_expires_too_early_is_moved(scene: Scene, doctor: Doctor) -> None:
    """As a renewal of an older release left it, when it was cut short between the two."""
    scene.new_store().conversations.create(
        "u", conversation_id="aging", retention=timedelta(days=9), sliding=True
    )
    review = scene.new_store().reviews.create("aging", "boss", review_id="aging-review")
    pointer = next(i for i in scene.items() if i["PK"]["S"] == "REVIEW#aging-review#")
    scene.put({**pointer, "ttl": {"N": str(int(pointer["ttl"]["N"]) - 86_400)}})
    report = doctor.examine()
    assert [(each.code, each.kind) for each in report.findings] == [("deadline", "review")]
    (done,) = doctor.repair(report.findings)
    assert (done.outcome, done.says) == ("repaired", "set its id item's TTL to the review's")
    assert pointer in scene.items()
    assert doctor.examine().is_clean
    assert scene.new_store().reviews.get("aging-review") == review


@pytest.fixture
def old_response_id(scene: Scene) -> Item:
    """The item of a caller's response id as version 1 wrote it."""
    conversation_id = one(scene, "email_response_id")["PK"]["S"].removeprefix("MAIL")
    before_owners = {"v": {"N": "1"}, "GSI2SK": {"S": f"RESPONSE{conversation_id}"}}
    changed("email_response_id", **before_owners, account_id=None)(scene)
    return one(scene, "email_response_id")


def test_an_old_response_id_is_found_and_upgraded(
    scene: Scene, doctor: Doctor, everything: list[Item], old_response_id: Item
) -> None:
    emails = scene.new_store().emails
    (response_id,) = keyspace.EMAIL_RESPONSE_ID.table.sk.decode(old_response_id["SK"]["S"])
    found = emails.get_by_response_id(response_id)
    assert emails.get_by_response_id(response_id, account_id=found.account_id) == found
    report = doctor.examine()
    assert [(each.code, each.kind) for each in report.findings] == [
        ("older_version", "email_response_id")
    ]
    (done,) = doctor.repair(report.findings)
    assert (done.outcome, done.says) == ("repaired", "upgrade it to schema version 2")
    assert scene.items() == everything
    assert doctor.examine().is_clean
    assert emails.get_by_response_id(response_id, account_id=found.account_id) == found


def test_an_old_response_id_whose_email_changes_is_left(
    scene: Scene, doctor: Doctor, old_response_id: Item
) -> None:
    """The repair says whose it is: it happens only while that is so."""
    report = doctor.examine()
    email = next(
        item
        for item in scene.items()
        if item["kind"] == {"S": "email"}
        and item["PK"] == old_response_id["PK"]
        and old_response_id["entry_id"]["S"] in item["SK"]["S"]
    )
    foreign = {**email, "account_id": {"S": "zed"}}
    with before(doctor, "TransactWriteItems", lambda: scene.put(foreign)):
        (done,) = doctor.repair(report.findings)
    assert done.outcome == "left"
    assert one(scene, "email_response_id") == old_response_id
