"""Two persons in one table, and what a raw look at it finds of one of them."""

import json
import re
from collections.abc import Iterator
from typing import Any

from dynamo_chat import NewMessage
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KIND, Layout
from dynamo_chat.keyspace import CONVERSATION, EMAIL_THREAD, KEY_SPACE
from dynamo_chat.operations.doctor.doctor import Doctor, DoctorOptions
from dynamo_chat.testing import Engine, FakeClock
from tests.scene import Item, Scene
from tooling.everything import Everything, populate

FIRST, SECOND = "qann", "qzoe"
"""User ids that are found nowhere by chance."""
SECRET = "The password is swordfish."
NAMES = re.compile(rf"(?<![-\w]){FIRST}(?![-\w])|(?<![-\w])(r-)?{FIRST}@example\.com")
"""The first one's id and addresses, and no id that is only made of them."""


def two_persons(scene: Scene) -> tuple[Everything, Everything]:
    """Two persons with one of everything; the first has more, some of it about others."""
    store = scene.store
    ids, other = populate(store, FIRST), populate(store, SECOND)
    store.messages.append(ids.conversation_id, NewMessage(role="user", content=SECRET))
    # -- in what the second one owns
    store.members.add(other.organization_id, FIRST, role="member", invited_by=SECOND)
    helper = f"friend-{FIRST}"
    store.members.add(other.organization_id, helper, invited_by=FIRST)
    store.reviews.create(other.conversation_id, FIRST, review_id="by-the-first", comments="Rude")
    store.invites.create(other.organization_id, f"r-{FIRST}@example.com", invited_by=SECOND)
    store.invites.create(other.organization_id, "third@example.com", invited_by=FIRST)
    return ids, other


def erase(scene: Scene, ids: Everything) -> Any:
    return scene.store.people.erase(ids.user_id, account_ids=[ids.account_id])


def export(scene: Scene, ids: Everything) -> list[Any]:
    return [*scene.store.people.export(ids.user_id, account_ids=[ids.account_id])]


def naming(items: list[Item]) -> list[Item]:
    """The items that have the first one's id, address or text anywhere, bodies included."""
    return [item for item in items if NAMES.search(said := _text(item)) or SECRET in said]


def _text(item: Item) -> str:
    """Everything that an item says."""
    entity = KEY_SPACE.entities.get(item[KIND]["S"])
    said = "" if entity is None else plan(entity).decode(item).model_dump_json()
    return json.dumps(item, default=str) + said


def belonging(items: list[Item], ids: Everything) -> Iterator[Item]:
    """The entities' items that a raw look attributes to a person, by what the layouts declare."""
    conversations = {
        item["PK"]["S"].replace("CONV#", "MAIL#", 1)
        for item in items
        if item[KIND]["S"] == CONVERSATION.kind and item["user_id"]["S"] == ids.user_id
    }
    roots = {
        item["PK"]["S"]: True
        for item in items
        if (layout := KEY_SPACE.layouts[item[KIND]["S"]]) in (CONVERSATION, EMAIL_THREAD)
        and _is_of(layout, item, ids)
    }
    for item in items:
        layout = KEY_SPACE.layouts[item[KIND]["S"]]
        if layout.helper or layout.resolved() is None:
            continue
        top: Layout = layout
        while top.whose is None and top.of is not None:
            top = top.of
        if top.kind == "llm_usage":
            usage = next(
                each
                for each in items
                if each[KIND]["S"] == "llm_usage"
                and each["PK"] == item["PK"]
                and each["SK"]["S"].rsplit("#", 2)[0] == item["SK"]["S"].rsplit("#", 2)[0]
            )
            is_inside = "life" in item and item["PK"]["S"] in conversations
            if is_inside or usage["account_id"]["S"] == ids.account_id:
                yield item
        elif top in (CONVERSATION, EMAIL_THREAD) and top is not layout:
            if roots.get(item["PK"]["S"]):
                yield item
        elif top.kind == "user" and layout.kind == "activity":
            if item["PK"]["S"] == f"USER#{ids.user_id}#":
                yield item
        elif _is_of(layout, item, ids):
            yield item


def _is_of(layout: Layout, item: Item, ids: Everything) -> bool:
    whose = layout.whose
    entity = KEY_SPACE.entities[layout.kind]
    if whose is None or whose.what == "nobody":
        return False
    owners = {
        "user": {ids.user_id},
        "account": {ids.account_id},
        "address": {f"{ids.user_id}@example.com", f"r-{ids.user_id}@example.com"},
    }[whose.what]
    found = plan(entity).decode(item)
    return any(getattr(found, name) in owners for name in whose.fields)


def assert_doctor_is_clean(scene: Scene) -> None:
    options = DoctorOptions(read_units_per_second=None, settle_seconds=0)
    report = Doctor(scene.new_store().connection, options).examine()
    assert report.is_clean, report.findings


def opened(engine: Engine) -> Scene:
    """A scene at the real time, for the doctor."""
    return Scene(engine, FakeClock())
