"""Expired means the same, whatever DynamoDB has deleted of it so far, and in whichever order."""

import inspect
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from dynamo_chat import ChatStore, Feedback, NewMessage
from dynamo_chat.catalogue import Entry, catalogue, repositories
from dynamo_chat.core.entity import Deadline
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.core.layout import KIND
from dynamo_chat.keyspace import KEY_SPACE, PROBE
from dynamo_chat.operations.policies import is_read
from dynamo_chat.testing import Engine, FakeClock, Sweeper
from tests.doctor.scene import doctor_of
from tests.scene import DAY, Item, Scene
from tooling.everything import PERIOD, QUEUE, Everything, populate

START = datetime(2026, 1, 15, 12, tzinfo=UTC)
AGES = timedelta(days=36_500)
FIXED: Final = "fixed-ann"
READS: Final = [each for each in catalogue() if is_read(each) and each.domain != "provision"]
HELPERS: Final = {
    "call_room",
    "conversation_title",
    "login_listing",
    "message_id",
    "message_stream",
    "review_id",
}
"""What leads to an item that expires, or lists it, expires with it."""


def fill(store: ChatStore) -> Everything:
    """One of everything, and a conversation with one of everything, that expires at one moment."""
    ids = populate(store)
    store.conversations.create(
        "ann",
        conversation_id=FIXED,
        title="Renders",
        retention=timedelta(days=30),
        preferences={"tone": "dry"},
    )
    for talk in (FIXED, ids.sliding_id):
        said = NewMessage(role="user", content="Hi", message_id=f"said-{talk}")
        store.messages.append(talk, said)
        store.messages.give_feedback(talk, f"said-{talk}", Feedback(type="positive", rank=5))
        store.messages.stream(talk, message_id=f"live-{talk}").checkpoint()
        store.states.save(talk, {"step": 1})
        store.reviews.create(talk, "ann", review_id=f"review-{talk}")
    return ids


def values(ids: Everything) -> dict[str, list[Any]]:
    """What the reads are given, by the name of the argument."""
    talks = [FIXED, ids.sliding_id, ids.thread_id]
    users = [ids.user_id, ids.partner_id]
    return {
        "account_id": [ids.account_id],
        "address": [f"new-{ids.user_id}@example.com"],
        "ai_type": ["ai"],
        "call_id": [ids.call_id],
        "conversation_id": talks,
        "conversation_ids": [talks],
        "count": [5],
        "email": [f"{ids.user_id}@example.com"],
        "feedback_type": ["positive"],
        "function_name": ["answer"],
        "invite_id": [ids.invite_id],
        "is_first_email": [True],
        "invocation_id": [ids.invocation_id],
        "login_id": [ids.login and ids.login.login_id],
        "max_tokens": [1_000],
        "message_id": [f"said-{FIXED}", f"said-{ids.sliding_id}", ids.rfc_id],
        "organization_id": [ids.organization_id],
        "period": [PERIOD],
        "queue": [QUEUE],
        "report_id": [ids.report_id],
        "resource": ["ai"],
        "response_email": [f"r-{ids.user_id}@example.com"],
        "response_id": [ids.response_id],
        "review_id": [f"review-{FIXED}", f"review-{ids.sliding_id}"],
        "room_name": [ids.room_name],
        "secret": [ids.secret],
        "title": ["Renders"],
        "token": [ids.token],
        "user_id": users,
        "user_ids": [users],
    }


def calls(entry: Entry, known: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """The arguments of each call of a read."""
    repository, _, method = entry.method.partition(".")
    parameters = inspect.signature(getattr(repositories()[repository], method)).parameters
    names = [
        each.name
        for each in parameters.values()
        if each.default is each.empty and each.name != "self"
    ]
    missing = [name for name in names if name not in known]
    assert not missing, f"{entry.method}: say in `values` what {missing} may be"
    for given_values in product(*(known[name] for name in names)):
        yield dict(zip(names, given_values, strict=True))


class Swept:
    """A table in which everything is, and what its reads say."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.known = values(fill(scene.store))
        self.items = scene.items()
        self._at_first: dict[datetime, dict[str, Any]] = {}

    def at_first(self) -> dict[str, Any]:
        """What every read says now, while nothing has been deleted."""
        now = self.scene.clock.now()
        if now not in self._at_first:
            self._at_first[now] = self.said()
        return self._at_first[now]

    def said(self) -> dict[str, Any]:
        """What every read returns or raises now, to a server that remembers nothing."""
        store, found = self.scene.new_store(), {}
        for entry in READS:
            repository, _, method = entry.method.partition(".")
            for arguments in calls(entry, self.known):
                name = f"{entry.method} {arguments}"
                try:
                    found[name] = getattr(getattr(store, repository), method)(**arguments)
                    if isinstance(found[name], Iterator):
                        found[name] = list(found[name])
                except DynamoChatError as error:
                    found[name] = type(error), str(error)
        return found


@pytest.fixture(scope="module")
def swept(dynamo_chat_engine: Engine) -> Iterator[Swept]:
    with Scene(dynamo_chat_engine, FakeClock(START)) as scene:
        yield Swept(scene)


@pytest.mark.once
def test_every_kind_that_can_expire_is_there_and_does(swept: Swept) -> None:
    kinds = {item[KIND]["S"] for item in mortal(swept)}
    wanted = {
        kind
        for kind, layout in KEY_SPACE.layouts.items()
        if (entity := layout.resolved() if layout.entity else None) is not None
        if any(
            isinstance(mark, Deadline)
            for field in entity.model_fields.values()
            for mark in field.metadata
        )
    }
    assert kinds == (wanted | HELPERS) - {PROBE.kind}


@pytest.mark.once
@settings(
    max_examples=4,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    after=st.sampled_from([31, 61]),
    seed=st.integers(0, 2**16),
    share=st.floats(0.05, 1),
)
def test_no_read_and_no_examination_notices_a_sweep(
    swept: Swept, after: int, seed: int, share: float
) -> None:
    """After 31 days an idle conversation has expired, of which no item has; after 61 all have."""
    scene = swept.scene
    scene.restore(swept.items)
    scene.clock.advance(START + after * DAY - scene.clock.now())
    before = swept.at_first()
    expired = sum(int(item["ttl"]["N"]) < scene.clock.now().timestamp() for item in mortal(swept))
    assert Sweeper(scene.store, seed=seed).sweep(math.ceil(share * expired))
    now = swept.said()
    assert {name: each for name, each in now.items() if before[name] != each} == {}
    assert alarms(scene) == []


def mortal(swept: Swept) -> list[Item]:
    """The items that expire one day."""
    return [item for item in swept.items if "ttl" in item]


def alarms(scene: Scene) -> list[Any]:
    """What a doctor finds that is not patient at all, except with what DynamoDB may leave."""
    with doctor_of(scene, slack=AGES, longest_call=AGES) as doctor:
        return list(doctor.examine().findings)
