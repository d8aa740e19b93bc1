"""Members of users that are not there: damage, or users who are kept elsewhere."""

import pytest

from dynamo_chat.operations.doctor.doctor import Doctor
from dynamo_chat.testing import Engine
from tests.doctor.scene import doctor_of
from tests.scene import Scene

pytestmark = pytest.mark.engine


def test_a_table_without_users_keeps_them_elsewhere(dynamo_chat_engine: Engine) -> None:
    with Scene(dynamo_chat_engine) as scene, doctor_of(scene, page_size=2) as doctor:
        store = scene.new_store()
        store.organizations.create("Example", "ann", organization_id="org-ann")
        store.members.add("org-ann", "friend-ann")
        assert doctor.examine().is_clean
        store.users.create("cleo@example.org", user_id="partner-ann")
        report = doctor.examine()
        assert {(each.code, each.kind) for each in report.findings} == {("no_user", "member")}
        assert sorted(each.sk for each in report.findings) == ["MEMBER#ann#", "MEMBER#friend-ann#"]
        assert report.as_dict()["counts"] == {"no_user": 2}
        assert {each.outcome for each in doctor.repair(report.findings)} == {"left"}


def test_what_was_counted_beyond_the_list_is_forgotten_too(dynamo_chat_engine: Engine) -> None:
    with Scene(dynamo_chat_engine) as scene, doctor_of(scene, max_listed=1) as doctor:
        store = scene.new_store()
        store.organizations.create("Example", "ann", organization_id="org-ann")
        store.members.add("org-ann", "friend-ann")
        report = doctor.examine()
        assert report.is_clean
        assert report.unlisted == 0


def test_members_of_a_retired_user_are_kept_on_purpose(scene: Scene, doctor: Doctor) -> None:
    scene.new_store().users.delete("friend-ann", memberships="keep")
    assert doctor.examine().is_clean
