"""Preferences of conversations: in the head, as version 1 stored them, and in their own item."""

import pytest

from dynamo_chat.operations.doctor.doctor import Doctor
from tests.doctor.damage import one
from tests.scene import Item, Scene

pytestmark = pytest.mark.engine

KIND = "conversation_preferences"


def head_with_preferences(scene: Scene) -> Item:
    """The head of the conversation that has some and never expires."""
    return next(
        item
        for item in scene.items()
        if item["kind"] == {"S": "conversation"} and "has_preferences" in item and "ttl" not in item
    )


def codes(doctor: Doctor) -> list[tuple[str, str]]:
    """What is found."""
    return [(each.code, each.kind) for each in doctor.examine().findings]


def test_preferences_in_a_head_are_moved(
    scene: Scene, doctor: Doctor, everything: list[Item]
) -> None:
    """First the head gets its new version, then the preferences an item of their own."""
    head = head_with_preferences(scene)
    beside = one(scene, KIND, PK=head["PK"]["S"])
    scene.delete(beside)
    old = {name: value for name, value in head.items() if name != "has_preferences"}
    scene.put({**old, "preferences": beside["preferences"], "v": {"N": "1"}})
    for _ in range(2):
        assert codes(doctor) == [("older_version", "conversation")]
        (done,) = doctor.repair(doctor.examine().findings)
        assert done.outcome == "repaired"
    assert doctor.examine().is_clean
    assert sorted(scene.items(), key=str) == sorted(everything, key=str)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_head_that_is_wrong_about_them(
    scene: Scene, doctor: Doctor, everything: list[Item], is_there: bool
) -> None:
    """What there is counts."""
    head = head_with_preferences(scene)
    if is_there:
        scene.put({name: value for name, value in head.items() if name != "has_preferences"})
    else:
        scene.delete(one(scene, KIND, PK=head["PK"]["S"]))
    assert codes(doctor) == [("counter", "conversation")]
    (done,) = doctor.repair(doctor.examine().findings)
    assert done.outcome == "repaired"
    assert doctor.examine().is_clean
    assert ("has_preferences" in one(scene, "conversation", PK=head["PK"]["S"])) == is_there


def test_preferences_without_a_conversation(
    scene: Scene, doctor: Doctor, everything: list[Item]
) -> None:
    """Nothing leads to them: they are deleted."""
    (item,) = [each for each in scene.items() if each["kind"] == {"S": KIND} and "ttl" not in each]
    scene.put({**item, "PK": {"S": "CONV#nobody#"}})
    assert codes(doctor) == [("orphan", KIND)]
    (done,) = doctor.repair(doctor.examine().findings)
    assert done.outcome == "repaired"
    assert sorted(scene.items(), key=str) == sorted(everything, key=str)
