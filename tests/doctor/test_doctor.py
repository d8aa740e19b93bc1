"""Every kind of damage is found, and nothing else is; repairing ends in a clean table."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from dynamo_chat.core.entity import Entity, Id
from dynamo_chat.core.item import plan
from dynamo_chat.core.keys import partition, sort, text
from dynamo_chat.core.layout import KIND, Layout, Slot
from dynamo_chat.keyspace import KEY_SPACE, USER
from dynamo_chat.operations.doctor.doctor import Doctor
from dynamo_chat.operations.doctor.findings import CODES, Place, Report, place_of
from dynamo_chat.operations.doctor.forms import Subject
from dynamo_chat.operations.doctor.looks import judged, keys_of, relation_of
from tests.doctor.damage import DAMAGES, Damage
from tests.scene import Item, Scene

pytestmark = [pytest.mark.engine, pytest.mark.once]


def told(report: Report) -> set[tuple[str, str]]:
    return {(each.code, each.kind or "-") for each in report.findings}


def test_a_table_with_everything_in_it_is_clean(scene: Scene, doctor: Doctor) -> None:
    items = scene.items()
    report = doctor.examine()
    assert report.is_clean, report.findings
    assert report.is_complete
    assert (report.items, report.unsettled) == (len(items), 0)
    # Nothing is deleted there, so nothing is missing but what a deletion puts in a head's place.
    assert {each.kind for each in KEY_SPACE if not each.is_tombstone} == set(report.kinds)
    assert scene.items() == items


OWNERS = [owner for owner in KEY_SPACE if any(each.of is owner for each in KEY_SPACE)]


@pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: owner.kind)
def test_whatever_has_lost_its_owner_is_reported(
    scene: Scene, doctor: Doctor, everything: list[Item], owner: Layout
) -> None:
    """Every kind that belongs to another: one without a rule of its own has the common one."""
    scene.restore([item for item in everything if item[KIND] != {"S": owner.kind}])
    orphans = {each.kind for each in doctor.examine().findings if each.code == "orphan"}
    assert orphans >= {
        each.kind for each in KEY_SPACE if each.of is owner and not each.is_tombstone
    }


class Note(Entity):
    """Something that is kept for a user, of a kind that the doctor has no rule for."""

    layout: ClassVar[Layout] = Layout(
        "note", table=Slot(partition("NOTE", text("note_id")), sort("NOTE")), of=USER
    )
    note_id: Id
    user_id: Id


def test_a_kind_that_nobody_wrote_a_rule_for_has_the_common_one() -> None:
    note = Note(note_id="n", user_id="ann")
    now = datetime(2026, 1, 15, tzinfo=UTC)
    subject = Subject(plan(Note).encode(note), Note.layout, note, now, timedelta(days=1))
    relation = relation_of(subject)
    assert keys_of(relation) == (USER.key(user_id="ann"),)
    assert [(each.code, each.says) for each in judged(relation, [None])] == [
        ("orphan", "its user doesn't exist")
    ]
    for kind in ("user", "user_tombstone"):
        assert not judged(relation, [{KIND: {"S": kind}}])


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_damage_is_found_and_repaired(
    scene: Scene, doctor: Doctor, everything: list[Item], damage: Damage
) -> None:
    damage.plant(scene)
    report = doctor.examine()
    assert told(report) == damage.found
    done = doctor.repair(report.findings)
    assert len(done) == len(report.findings)
    after = doctor.examine()
    assert after.is_clean == damage.is_repairable, after.findings
    if damage.restores:
        assert scene.items() == everything
    left = {each.finding for each in done if each.outcome == "left"}
    assert bool(left) != damage.is_repairable


def test_much_damage_at_once_is_repaired_without_a_loss(
    scene: Scene, doctor: Doctor, everything: list[Item]
) -> None:
    """All that can be put back as it was, as long as no two of them are of the same item."""
    damaged = {place_of(item): item for item in everything}
    touched: set[Place] = set()
    planted: list[Damage] = []
    for damage in DAMAGES:
        if damage.restores:
            damage.plant(scene)
            items = scene.items()
            scene.restore(everything)
            gone = {place_of(item) for item in everything if item not in items}
            come = {place_of(item): item for item in items if item not in everything}
            if not touched & (gone | come.keys()):
                touched |= gone | come.keys()
                damaged = {at: item for at, item in damaged.items() if at not in gone} | come
                planted.append(damage)
    assert len(planted) >= 12
    scene.restore(list(damaged.values()))
    report = doctor.examine()
    assert told(report) >= set().union(*(damage.found for damage in planted))
    assert {each.outcome for each in doctor.repair(report.findings)} <= {"repaired", "gone"}
    assert doctor.examine().is_clean
    assert scene.items() == everything


def test_there_is_a_damage_of_every_kind() -> None:
    planted = {code for damage in DAMAGES for code, _ in damage.found}
    assert planted | {"older_version"} == set(CODES)
