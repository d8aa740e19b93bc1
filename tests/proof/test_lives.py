"""Ids that are given anew: what a life lost, or what outlived it, is found."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import ChatStore, keyspace
from dynamo_chat.core.bearer import hash_of
from dynamo_chat.core.layout import Layout
from dynamo_chat.testing.engine import Engine
from proof.bugs import planted
from proof.domains.lives import DOMAIN
from proof.faults import ShiftedClock
from proof.history import Recorder
from proof.rounds import judged
from proof.steps import Args, Step
from proof.storm import Storms
from proof.worker import Runner

pytestmark = pytest.mark.engine

TALK, USER, FIRM, MAIL = "life-talk-0", "life-user-0", "life-firm-0", "life-mail-0"
SECRET = "s" * 40


class Stage:
    """Makes calls one after another, damages the table, and has all of it judged."""

    def __init__(self, store: ChatStore, folder: Path) -> None:
        self.store = store
        self._folder = folder
        self._recorder = Recorder(folder / "p.jsonl", "p")
        self._runner = Runner(store, self._recorder, ShiftedClock(timedelta()))
        for step in DOMAIN.setup():
            assert self._runner.run(step) == "ok"

    def call(self, kind: str, **args: Any) -> str:
        return self._runner.run(Step(f"lives.{kind}", args))

    def delete(self, layout: Layout, **fields: Any) -> None:
        """Behind the package's back."""
        table, key = self.store.connection.table_name, layout.key(**fields)
        gone = self.store.connection.client.delete_item(
            TableName=table, Key=key, ReturnValues="ALL_OLD"
        )
        assert gone["Attributes"]

    def found(self) -> set[str]:
        self._recorder.close()
        return {violation.check for _, violation in judged(self.store, self._folder).violations}


@pytest.fixture
def stage(dynamo_chat_engine: Engine, tmp_path: Path) -> Stage:
    return Stage(dynamo_chat_engine.store(f"lives-{tmp_path.name}"), tmp_path)


def a_talk(stage: Stage) -> None:
    assert stage.call("create", talk=TALK, life="one", user="life-owner-0") == "ok"
    assert stage.call("append", talk=TALK, id="m-1") == "ok"
    assert stage.call("review", talk=TALK, id="review-1") == "ok"


def a_user(stage: Stage) -> None:
    assert stage.call("sign_up", user=USER, life="one") == "ok"
    assert stage.call("login", user=USER, id=SECRET) == "ok"
    assert stage.call("record", user=USER, id="did-1") == "ok"
    assert stage.call("join", user=USER, club="life-club") == "ok"


def a_firm(stage: Stage) -> None:
    assert stage.call("found", firm=FIRM, life="one") == "ok"
    assert stage.call("hire", firm=FIRM, id="life-host-1") == "ok"
    assert stage.call("invite", firm=FIRM, id="invite-1", token=SECRET) == "ok"


def a_thread(stage: Stage) -> None:
    assert stage.call("mail", thread=MAIL, id="e-1") == "ok"
    assert stage.call("thread", thread=MAIL) == "ok"
    assert stage.call("mail", thread=MAIL, id="e-2") == "ok"


LIVES: dict[str, tuple[Callable[[Stage], None], Sequence[tuple[str, Args]]]] = {
    "talk": (a_talk, [("open", {"talk": TALK}), ("delete", {"talk": TALK})]),
    "user": (a_user, [("enter", {"user": USER, "id": SECRET}), ("delete_user", {"user": USER})]),
    "firm": (a_firm, [("firm", {"firm": FIRM}), ("close", {"firm": FIRM})]),
    "thread": (a_thread, [("thread", {"thread": MAIL}), ("drop", {"thread": MAIL})]),
}


@pytest.mark.parametrize("kind", LIVES)
def test_lives_that_follow_one_another_are_found_sound(stage: Stage, kind: str) -> None:
    """Made, looked at, deleted, made anew with the same ids in it, and looked at."""
    make, (look, end) = LIVES[kind]
    for _ in range(2):
        make(stage)
        assert stage.call(look[0], **look[1]) == "ok"
        assert stage.call(end[0], **end[1]) == "ok"
    make(stage)
    assert stage.found() == set()


def position_of(stage: Stage, message_id: str) -> str:
    return stage.store.messages.get(TALK, message_id).position


def test_a_message_that_is_lost_from_a_life(stage: Stage) -> None:
    a_talk(stage)
    stage.delete(keyspace.MESSAGE, conversation_id=TALK, position=position_of(stage, "m-1"))
    stage.delete(keyspace.MESSAGE_ID, conversation_id=TALK, message_id="m-1")
    assert stage.found() == {"lost from a life that goes on", "message_count"}


def test_a_message_that_a_look_did_not_see(stage: Stage) -> None:
    """And that has gone with everything else when all is over."""
    a_talk(stage)
    stage.delete(keyspace.MESSAGE, conversation_id=TALK, position=position_of(stage, "m-1"))
    stage.call("open", talk=TALK)
    stage.call("delete", talk=TALK)
    assert stage.found() == {"lost from a life that goes on"}


def again(stage: Stage, item: dict[str, Any]) -> None:
    stage.store.connection.client.put_item(TableName=stage.store.connection.table_name, Item=item)


def item_of(stage: Stage, layout: Layout, **fields: Any) -> dict[str, Any]:
    client, table = stage.store.connection.client, stage.store.connection.table_name
    item: dict[str, Any] = client.get_item(TableName=table, Key=layout.key(**fields))["Item"]
    return item


def test_a_message_that_outlives_its_conversation(stage: Stage) -> None:
    a_talk(stage)
    at = position_of(stage, "m-1")
    item = item_of(stage, keyspace.MESSAGE, conversation_id=TALK, position=at)
    stage.call("delete", talk=TALK)
    again(stage, item)
    stage.call("create", talk=TALK, life="two", user="life-owner-1")
    assert "outlives its owner" in stage.found()


def test_a_login_that_outlives_its_user(stage: Stage) -> None:
    """Whether somebody is let in, or it is only still there."""
    a_user(stage)
    login = {"login_id": hash_of("secret", SECRET)}
    item = item_of(stage, keyspace.LOGIN, **login)
    stage.call("delete_user", user=USER)
    again(stage, item)
    assert stage.call("enter", user=USER, id=SECRET) == "ok"
    found = stage.found()
    assert {"a login outlives its user", "outlives its owner"} <= found


def test_a_login_of_an_earlier_life(stage: Stage) -> None:
    a_user(stage)
    item = item_of(stage, keyspace.LOGIN, login_id=hash_of("secret", SECRET))
    stage.call("delete_user", user=USER)
    stage.call("sign_up", user=USER, life="two")
    again(stage, item)
    assert "outlives its owner" in stage.found()


def test_a_login_of_nobody(stage: Stage) -> None:
    """Opened when the user had been deleted; a new life of the user does not hide it."""
    a_user(stage)
    assert stage.call("delete_user", user=USER) == "ok"
    with planted("login-survives"):
        assert stage.call("login", user=USER, id="t" * 40) == "ok"
    assert stage.call("sign_up", user=USER, life="two") == "ok"
    assert stage.found() == {"added to nobody"}


def test_what_is_lost_from_the_life_of_a_user(stage: Stage) -> None:
    a_user(stage)
    (did,) = stage.store.activity.list_by_user(USER)
    stage.delete(keyspace.ACTIVITY, **did.__dict__)
    assert stage.found() == {"lost from a life that goes on"}


def test_an_item_of_no_kind(stage: Stage) -> None:
    """A count that is written without asking makes one, where a conversation was deleted."""
    again(stage, {**keyspace.CONVERSATION.key(conversation_id=TALK), "message_count": {"N": "1"}})
    assert stage.found() == {"unknown kind"}


def test_a_member_of_no_organization(stage: Stage) -> None:
    a_firm(stage)
    item = item_of(stage, keyspace.MEMBER, organization_id=FIRM, user_id="life-host-1")
    stage.call("close", firm=FIRM)
    again(stage, item)
    assert "outlives its owner" in stage.found()


def test_an_invite_that_is_lost(stage: Stage) -> None:
    a_firm(stage)
    invite = stage.store.invites.get("invite-1")
    stage.delete(keyspace.INVITE, **invite.__dict__)
    assert "lost from a life that goes on" in stage.found()


def test_an_e_mail_that_is_lost(stage: Stage) -> None:
    a_thread(stage)
    email = stage.store.emails.get_by_response_id("e-2")
    stage.delete(keyspace.EMAIL_CONTENT, **email.__dict__, part="content")
    assert "lost from a life that goes on" in stage.found()


def test_a_review_id_without_its_review(stage: Stage) -> None:
    a_talk(stage)
    stage.delete(keyspace.REVIEW, **stage.store.reviews.get("review-1").__dict__)
    assert "a pointer without its item" in stage.found()


def test_a_message_without_its_id_item(stage: Stage) -> None:
    a_talk(stage)
    stage.delete(keyspace.MESSAGE_ID, conversation_id=TALK, message_id="m-1")
    assert stage.found() == {"an item without its pointer"}


@pytest.mark.once
def test_a_storm_is_judged(dynamo_chat_engine: Engine) -> None:
    """A round of each kind: all of them have made calls, and nothing was wrong with any."""
    lines: list[str] = []
    weather = Storms(dynamo_chat_engine, "seed").blow(1, lines.append)
    assert not weather.violations, weather.violations
    assert weather.losses == 0
    assert weather.faults["Slow"] > 0
    assert weather.operations["ok"] > 100
    assert weather.operations["refused"] > 0
    assert lines == [weather.line()]
