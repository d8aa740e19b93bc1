"""An export is loaded into an empty store: its export is equal."""

from datetime import timedelta

import pytest

from dynamo_chat import NewMessage
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument
from dynamo_chat.importing.person import load_person
from dynamo_chat.testing import Engine, Kill, RequestMeter
from dynamo_chat.workflows.person_records import PersonRecord, read_record
from tests.scene import Scene, cut_short
from tests.workflows.people import assert_doctor_is_clean, export, opened, two_persons

pytestmark = [pytest.mark.engine, pytest.mark.once]


def test_the_export_of_a_loaded_person_is_equal(dynamo_chat_engine: Engine) -> None:
    """Through its lines; loading it again changes nothing."""
    with opened(dynamo_chat_engine) as scene, Scene(dynamo_chat_engine, scene.clock) as empty:
        for ids in two_persons(scene):
            lines = [each.line() for each in export(scene, ids)]
            counts = load_person(empty.store, map(read_record, lines))
            assert sum(counts.values()) == len(lines)
            assert [each.line() for each in export(empty, ids)] == lines
            after = empty.items()
            load_person(empty.store, map(read_record, lines))
            assert empty.items() == after


def test_what_was_loaded_is_sound(dynamo_chat_engine: Engine) -> None:
    """It can be used: found, continued, deleted. The organization comes first."""
    with opened(dynamo_chat_engine) as scene, Scene(dynamo_chat_engine, scene.clock) as empty:
        ids, _ = two_persons(scene)
        records = [each for each in export(scene, ids) if each.kind not in {"member", "invite"}]
        load_person(empty.store, records)
        store = empty.store
        for other in (f"friend-{ids.user_id}",):
            store.users.create(f"{other}@example.com", user_id=other)
            store.callers.create(other)
        assert store.messages.get_by_id(ids.brought_id).feedback is not None
        assert store.emails.get_by_response_id(ids.brought_response_id).body
        assert store.users.get_by_email(f"{ids.user_id}@example.com").user_id == ids.user_id
        assert store.logins.get(ids.secret).user_id == ids.user_id
        assert store.reviews.get(ids.review_id).comments == "Good"
        assert store.conversations.get(ids.conversation_id).preferences == {"tone": "dry"}
        store.messages.append(ids.conversation_id, NewMessage(role="user", content="Again"))
        assert_doctor_is_clean(empty)
        store.people.erase(ids.user_id, account_ids=[ids.account_id])
        assert not any(f"USER#{ids.user_id}#" in item["PK"]["S"] for item in empty.items())


def test_a_loaded_stream_is_listed_as_unfinished(dynamo_chat_engine: Engine) -> None:
    """Its writer is gone: it is ended, or taken over."""
    with opened(dynamo_chat_engine) as scene, Scene(dynamo_chat_engine, scene.clock) as empty:
        scene.store.conversations.create("ann", conversation_id="talk")
        for name in ("ended", "taken", "finished"):
            stream = scene.store.messages.stream("talk", message_id=name)
            stream.write(name.title())
            stream.checkpoint()
        begun = NewMessage(role="tool", content="Be", message_id="begun", is_streaming=True)
        appended = scene.store.messages.append("talk", begun)
        records = [*scene.store.people.export("ann")]
        for _ in range(2):
            load_person(empty.store, records)
        messages, age = empty.store.messages, timedelta(minutes=5)
        assert_doctor_is_clean(empty)
        scene.clock.advance(age)
        listed = {each.message_id for each in messages.list_unfinished(older_than=age)}
        assert listed == {"ended", "taken", "finished"}
        assert messages.append("talk", begun) == appended
        messages.end_stream("talk", "ended")
        with messages.stream("talk", message_id="taken") as stream:
            stream.write("Taken over")
        messages.finish("talk", "finished", content="Finished")
        assert messages.get("talk", "taken").content == "Taken over"
        assert not messages.list_unfinished(older_than=age).items
        assert "message_stream" not in empty.kinds()
        assert_doctor_is_clean(empty)


def test_preferences_of_a_head_of_version_1_are_loaded(dynamo_chat_engine: Engine) -> None:
    with opened(dynamo_chat_engine) as scene, Scene(dynamo_chat_engine, scene.clock) as empty:
        scene.store.conversations.create(
            "ann", conversation_id="talk", preferences={"tone": "dry"}, retention=timedelta(days=9)
        )
        head, beside = sorted(scene.items(), key=lambda item: item["SK"]["S"])
        del head["has_preferences"]
        scene.restore([head | {"v": {"N": "1"}, "preferences": beside["preferences"]}])
        lines = [each.line() for each in scene.store.people.export("ann")]
        load_person(empty.store, map(read_record, lines))
        assert empty.store.conversations.get("talk").preferences == {"tone": "dry"}
        assert beside in empty.items()
        assert_doctor_is_clean(empty)


def test_it_is_finished_by_calling_again(dynamo_chat_engine: Engine) -> None:
    with opened(dynamo_chat_engine) as scene, Scene(dynamo_chat_engine, scene.clock) as empty:
        ids, _ = two_persons(scene)
        records = export(scene, ids)
        with RequestMeter(empty.store.connection.client) as meter:
            load_person(empty.store, records)
        wanted = empty.items()
        for number in range(1, meter.count, 7):
            empty.restore([])
            cut_short(empty, number, Kill(), lambda: load_person(empty.store, records))
            load_person(empty.store, records)
            assert empty.items() == wanted


def test_another_item_in_its_place_is_kept(scene: Scene) -> None:
    store = scene.store
    store.users.create("ann@example.com", user_id="ann", name="Ann")
    records = [*store.people.export("ann")]
    store.users.update("ann", name="Anne")
    before = scene.items()
    with pytest.raises(AlreadyExists, match="another user"):
        load_person(store, records)
    assert scene.items() == before


def test_what_is_out_of_order_is_refused(scene: Scene) -> None:
    store = scene.store
    store.conversations.create("ann", conversation_id="talk")
    store.messages.append("talk", NewMessage(role="user", content="Hi"))
    records = [*store.people.export("ann")]
    store.conversations.delete("talk")
    with pytest.raises(InvalidArgument, match="before what is in it"):
        load_person(store, records[::-1])
    with pytest.raises(InvalidArgument, match="PersonRecord"):
        load_person(store, [records[0].entity])  # type: ignore[list-item]
    assert isinstance(records[0], PersonRecord)
    assert scene.items() == []
