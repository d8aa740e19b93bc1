"""The contract of ChatKit's `Store`: threads and items, paging, what is absent, and whose it is."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chatkit.store import NotFoundError
from chatkit.types import ClosedStatus, LockedStatus, ThreadMetadata, Workflow, WorkflowItem

from dynamo_chat import ChatStore, MessageDeleted, NewMessage, OfOrganization
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.core.errors import Conflict, CorruptItem, InvalidArgument
from dynamo_chat.integrations.chatkit import DynamoChatKitStore
from dynamo_chat.testing import RequestMeter
from tests.integrations.chatkit.scenes import ANN, BOB, NOW, Kit, Talk, asked, file, hidden, said
from tests.scene import MINUTE, Scene

pytestmark = pytest.mark.engine

Play = Callable[[Talk], None]


@contextmanager
def requests(
    kit: Kit, expected: int, *, rcu: float | None = None, wcu: float | None = None
) -> Iterator[None]:
    """Assert how many requests the block makes, and at most how many units."""
    with RequestMeter(kit.client) as meter:
        yield
    assert meter.count == expected, [record.operation for record in meter.requests]
    assert rcu is None or meter.rcu <= rcu
    assert wcu is None or meter.wcu <= wcu


# -- threads ------------------------------------------------------------------------------------


def test_threads_are_created_and_changed(play: Play) -> None:
    """Every field, and back again; None takes a title away."""

    async def talk(kit: Kit) -> None:
        thread = await kit.thread()
        assert await kit.kit.load_thread("thr_1", ANN) == thread
        for changes in (
            {"title": "Plans"},
            {"status": LockedStatus(reason="wait"), "metadata": {"a": None, "b": [1.5]}},
            {"allowed_image_domains": ["a.example"], "title": None},
            {"title": "", "status": ClosedStatus()},
            {"title": "long " * 60, "metadata": {}},
            {"created_at": NOW - timedelta(days=1)},
            {"created_at": datetime(2026, 1, 2, tzinfo=UTC)},
        ):
            thread = thread.model_copy(update=changes)
            await kit.kit.save_thread(thread, ANN)
            assert await kit.kit.load_thread("thr_1", ANN) == thread
            page = await kit.kit.load_threads(20, None, "desc", ANN)
            assert page.data == [thread]
            assert not page.has_more
            assert page.after is None

    play(talk)


def test_a_thread_is_an_ordinary_conversation(play: Play) -> None:
    """Found by its title; no message gives it one; other preferences stay."""

    async def talk(kit: Kit) -> None:
        thread = await kit.thread()
        await kit.store.conversations.merge_preferences("thr_1", {"genre": "drama"})
        await kit.kit.add_thread_item("thr_1", asked("msg_1"), ANN)
        assert (await kit.kit.load_thread("thr_1", ANN)).title is None
        thread.title, thread.metadata = "Plans", {"a": 1}
        await kit.kit.save_thread(thread, ANN)
        (found,) = await kit.store.conversations.find_by_title("Plans", user_id="ann")
        assert found.created_at == NOW.astimezone(UTC)
        whole = await kit.store.conversations.get("thr_1", consistent=True)
        assert whole.preferences == {"genre": "drama", "chatkit": {"metadata": {"a": 1}}}
        (message,) = await kit.store.messages.latest("thr_1")
        assert (message.role, message.content, message.metadata) == ("user", "Hello", {})

    play(talk)


def test_conversations_of_elsewhere_are_threads(play: Play) -> None:
    """With their titles and messages; renamed outside of ChatKit, also a long title."""

    async def talk(kit: Kit) -> None:
        made = await kit.store.conversations.create("ann", title="From the app")
        await kit.store.messages.append(
            made.conversation_id, NewMessage(role="user", content="Hello")
        )
        thread = await kit.kit.load_thread(made.conversation_id, ANN)
        assert (thread.title, thread.metadata) == ("From the app", {})
        page = await kit.kit.load_thread_items(thread.id, None, 20, "asc", ANN)
        assert [each.type for each in page.data] == ["user_message"]
        thread.title = "x" * 300
        await kit.kit.save_thread(thread, ANN)
        await kit.store.conversations.rename(thread.id, "Short")
        assert (await kit.kit.load_thread(thread.id, ANN)).title == "Short"

    play(talk)


def test_threads_are_paged_after_an_id(play: Play, scene: Scene) -> None:
    """By creation, in both orders; `has_more` is exact."""

    async def talk(kit: Kit) -> None:
        ids = [f"thr_{number}" for number in range(5)]
        for number, each in enumerate(ids):
            created = NOW + number * MINUTE
            await kit.thread(each, created_at=created, metadata={"n": number} if number % 2 else {})
        await kit.kit.save_thread(ThreadMetadata(id="other", created_at=NOW), BOB)
        for order, expected in (("asc", ids), ("desc", ids[::-1])):
            for limit in (1, 2, 4, 5, 6):
                found: list[str] = []
                after = None
                while True:
                    page = await kit.kit.load_threads(limit, after, order, ANN)
                    found += [each.id for each in page.data]
                    assert len(page.data) == min(limit, len(ids) - len(found) + len(page.data))
                    assert page.has_more == (len(found) < len(ids))
                    if not page.has_more:
                        break
                    after = page.after
                assert found == expected
        with requests(kit, 2):
            await kit.kit.load_threads(20, None, "desc", ANN)
        with requests(kit, 3):
            await kit.kit.load_threads(20, "thr_4", "desc", ANN)
        for unknown in ("nothing", "other"):
            with pytest.raises(NotFoundError):
                await kit.kit.load_threads(20, unknown, "desc", ANN)

    play(talk)


def test_threads_of_an_organization(play: Play, scene: Scene) -> None:
    """They are its threads for whom the server takes for a member, and have no attachments."""

    async def talk(kit: Kit) -> None:
        team: dict[str, str] = {"user": OfOrganization("acme")}
        thread = ThreadMetadata(id="thr_1", created_at=NOW, title="Ours", metadata={"n": 1})
        with pytest.raises(NotFoundError, match="organization"):
            await kit.kit.save_thread(thread, team)
        await kit.store.organizations.create("Acme", "ann", organization_id="acme")
        await kit.kit.save_thread(thread, team)
        await kit.kit.add_thread_item("thr_1", asked("msg_1"), team)
        assert await kit.kit.load_thread("thr_1", team) == thread
        assert (await kit.kit.load_threads(20, None, "desc", team)).data == [thread]
        assert (await kit.kit.load_item("thr_1", "msg_1", team)).id == "msg_1"
        before = scene.items()
        for name in ("ann", "acme"):
            with pytest.raises(NotFoundError):
                await kit.kit.load_thread("thr_1", {"user": name})
            assert (await kit.kit.load_threads(20, None, "desc", {"user": name})).data == []
        for thread_id in (None, "thr_1"):
            with pytest.raises(InvalidArgument, match="organization"):
                await kit.kit.save_attachment(file(thread_id=thread_id), team)
        with pytest.raises(InvalidArgument, match="OfOrganization"):
            await kit.kit.load_thread("thr_1", {"user": f"{OfOrganization('acme')}"})
        assert scene.items() == before
        await kit.kit.delete_thread("thr_1", team)
        assert (await kit.kit.load_threads(20, None, "desc", team)).data == []

    play(talk)


def test_a_thread_is_deleted_with_everything(play: Play, scene: Scene) -> None:
    """Again, it is no error."""

    async def talk(kit: Kit) -> None:
        await kit.thread(title="T", metadata={"a": 1})
        await kit.kit.add_thread_item("thr_1", asked("msg_1"), ANN)
        await kit.kit.delete_thread("thr_1", ANN)
        assert scene.items() == []
        await kit.kit.delete_thread("thr_1", ANN)
        with pytest.raises(NotFoundError):
            await kit.kit.load_thread("thr_1", ANN)

    play(talk)


# -- items --------------------------------------------------------------------------------------


def test_items_keep_the_order_of_their_arrival(play: Play) -> None:
    """Whatever their times say; in both orders, after an id, also of a deleted item."""

    async def talk(kit: Kit) -> None:
        await kit.thread()
        ids = [f"msg_{number}" for number in range(5)]
        for number, each in enumerate(ids):
            item = said(each).model_copy(update={"created_at": NOW - number * MINUTE})
            await kit.kit.add_thread_item("thr_1", item, ANN)
        for order, expected in (("asc", ids), ("desc", ids[::-1])):
            for limit in (1, 2, 4, 5, 6):
                found: list[str] = []
                after = None
                while True:
                    page = await kit.kit.load_thread_items("thr_1", after, limit, order, ANN)
                    found += [each.id for each in page.data]
                    assert len(page.data) == min(limit, len(ids) - len(found) + len(page.data))
                    assert page.has_more == (len(found) < len(ids))
                    if not page.has_more:
                        assert page.after is None
                        break
                    after = page.after
                    assert after == found[-1]
                assert found == expected
        await kit.kit.delete_thread_item("thr_1", "msg_2", ANN)
        assert await kit.items(after="msg_2") == ["msg_3", "msg_4"]
        assert await kit.items("desc", after="msg_2") == ["msg_1", "msg_0"]
        assert await kit.items(limit=10**9) == ["msg_0", "msg_1", "msg_3", "msg_4"]
        with pytest.raises(NotFoundError):
            await kit.items(after="nothing")

    play(talk)


def test_saved_items_keep_their_place(play: Play) -> None:
    """And get a place if they are new; each save replaces the whole item, also its kind."""

    async def talk(kit: Kit) -> None:
        await kit.thread()
        for each in ("a", "b", "c"):
            await kit.kit.add_thread_item("thr_1", said(each), ANN)
        for item in (said("b", "Edited"), hidden("b", {"n": 1}), asked("b", ""), hidden("d", "x")):
            await kit.kit.save_item("thr_1", item, ANN)
            assert await kit.kit.load_item("thr_1", item.id, ANN) == item
        assert await kit.items() == ["a", "b", "c", "d"]
        await kit.kit.delete_thread_item("thr_1", "b", ANN)
        for _ in range(2):
            await kit.kit.delete_thread_item("thr_1", "b", ANN)
        for call in (kit.kit.save_item, kit.kit.add_thread_item):
            with pytest.raises(MessageDeleted):
                await call("thr_1", said("b"), ANN)
        assert await kit.items() == ["a", "c", "d"]

    play(talk)


def test_an_item_is_added_once(play: Play) -> None:
    """Again it changes nothing; another item with its id is refused."""

    async def talk(kit: Kit) -> None:
        await kit.thread()
        for _ in range(2):
            await kit.kit.add_thread_item("thr_1", said("a"), ANN)
        with pytest.raises(Conflict):
            await kit.kit.add_thread_item("thr_1", said("a", "Other"), ANN)
        with pytest.raises(Conflict):
            await kit.kit.add_thread_item("thr_1", asked("a", "Hi"), ANN)
        assert await kit.kit.load_item("thr_1", "a", ANN) == said("a")

    play(talk)


def test_what_the_framework_adds_twice(play: Play) -> None:
    """A workflow is ended by adding it again; a begun answer does not replace the complete one."""

    async def talk(kit: Kit) -> None:
        await kit.thread()
        flow = WorkflowItem(
            id="wf_1",
            thread_id="thr_1",
            created_at=NOW,
            workflow=Workflow(type="reasoning", tasks=[]),
        )
        ended = flow.model_copy(
            update={"workflow": Workflow(type="reasoning", tasks=[], expanded=True)}
        )
        for item in (flow, said("a", "All of it"), ended, said("a", "All"), said("a", "")):
            await kit.kit.add_thread_item("thr_1", item, ANN)
        page = await kit.kit.load_thread_items("thr_1", None, 20, "asc", ANN)
        assert page.data == [ended, said("a", "All of it")]

    play(talk)


def test_unreadable_items_hide_no_others(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    """Left out of pages and logged; a page of nothing else is skipped. Alone they are an error."""

    async def talk(kit: Kit) -> None:
        await kit.thread()
        later = NewMessage(
            role="system", message_id="x", metadata={"chatkit": {"type": "hologram"}}
        )
        await kit.kit.add_thread_item("thr_1", said("a"), ANN)
        for name in ("x", "y"):
            await kit.store.messages.append("thr_1", later.model_copy(update={"message_id": name}))
        await kit.kit.add_thread_item("thr_1", said("b"), ANN)
        with caplog.at_level(logging.WARNING, "dynamo_chat"):
            found, after = [], None
            while True:
                page = await kit.kit.load_thread_items("thr_1", after, 1, "asc", ANN)
                found += [each.id for each in page.data]
                if not page.has_more:
                    break
                after = page.after
        assert found == ["a", "b"]
        assert "hologram" in caplog.text
        with pytest.raises(CorruptItem):
            await kit.kit.load_item("thr_1", "x", ANN)

    play(talk)


# -- whose it is --------------------------------------------------------------------------------


def test_what_is_somebody_elses_is_not_found(play: Play, scene: Scene) -> None:
    """Nothing can be read, changed or deleted with a known id."""

    async def talk(kit: Kit) -> None:
        thread = await kit.thread(title="Private")
        await kit.kit.add_thread_item("thr_1", asked("msg_1"), ANN)
        before = scene.items()
        for refused in (
            kit.kit.load_thread("thr_1", BOB),
            kit.kit.save_thread(thread, BOB),
            kit.kit.load_thread_items("thr_1", None, 20, "desc", BOB),
            kit.kit.load_thread_items("thr_1", None, 20, "asc", BOB),
            kit.kit.load_thread_items("thr_1", "msg_1", 20, "asc", BOB),
            kit.kit.load_item("thr_1", "msg_1", BOB),
            kit.kit.add_thread_item("thr_1", asked("msg_2"), BOB),
            kit.kit.save_item("thr_1", asked("msg_1", "Mine"), BOB),
            kit.kit.load_item("nowhere", "msg_1", ANN),
            kit.kit.load_item("thr_1", "nothing", ANN),
            kit.kit.load_thread_items("nowhere", None, 20, "desc", ANN),
            kit.kit.add_thread_item("nowhere", asked("m", thread="nowhere"), ANN),
            kit.kit.save_item("nowhere", asked("m", thread="nowhere"), ANN),
        ):
            with pytest.raises(NotFoundError):
                await refused
        await kit.kit.delete_thread("thr_1", BOB)
        await kit.kit.delete_thread_item("thr_1", "msg_1", BOB)
        await kit.kit.delete_thread_item("nowhere", "msg_1", ANN)
        assert (await kit.kit.load_threads(20, None, "desc", BOB)).data == []
        assert scene.items() == before

    play(talk)


@pytest.mark.parametrize("nobody", [None, "", 5, "organization#1"])
def test_somebody_must_ask(play: Play, nobody: Any) -> None:
    """None would be anybody for the store: every call is refused, and sends nothing."""

    async def talk(kit: Kit) -> None:
        context = {"user": nobody}
        thread = ThreadMetadata(id="t", created_at=NOW)
        item = asked("m", thread="t")
        with requests(kit, 0):
            for call in (
                kit.kit.load_thread("t", context),
                kit.kit.save_thread(thread, context),
                kit.kit.load_threads(1, None, "asc", context),
                kit.kit.delete_thread("t", context),
                kit.kit.load_thread_items("t", None, 1, "asc", context),
                kit.kit.load_item("t", "m", context),
                kit.kit.add_thread_item("t", item, context),
                kit.kit.save_item("t", item, context),
                kit.kit.delete_thread_item("t", "m", context),
                kit.kit.load_attachment("a", context),
                kit.kit.delete_attachment("a", context),
            ):
                with pytest.raises(InvalidArgument, match="user_"):
                    await call

    play(talk)


def test_wrong_arguments_name_themselves(play: Play) -> None:
    """And send nothing."""

    async def talk(kit: Kit) -> None:
        await kit.thread()
        with requests(kit, 0):
            for call, named in (
                (kit.kit.load_threads(0, None, "asc", ANN), "limit"),
                (kit.kit.load_threads(1, None, "up", ANN), "order"),
                (kit.kit.load_thread_items("thr_1", None, -1, "asc", ANN), "limit"),
                (kit.kit.load_thread_items("thr_1", None, 1, "", ANN), "order"),
                (kit.kit.add_thread_item("thr_1", asked("m", thread="thr_2"), ANN), "thread_id"),
                (kit.kit.save_item("thr_1", asked("m" * 201), ANN), "message_id"),
            ):
                with pytest.raises(InvalidArgument, match=named):
                    await call

    play(talk)
    for store, user_of, named in (
        (object(), str, "store"),
        (ChatStore("nowhere"), str, "store"),
        (AsyncChatStore("nowhere"), str, "chatkit_attachments"),
    ):
        with pytest.raises(InvalidArgument, match=named):
            DynamoChatKitStore(store, user_of)  # type: ignore[arg-type]


def test_ids_are_long(play: Play) -> None:
    """Those of the framework are 32 bits: two users' threads would soon have the same."""

    async def talk(kit: Kit) -> None:
        thread = await kit.thread()
        assert len({kit.kit.generate_thread_id(ANN)[4:] for _ in range(100)}) == 100
        made = kit.kit.generate_item_id("message", thread, ANN)
        assert made.startswith("msg_")
        assert len(made) >= 36

    play(talk)


# -- what it costs ------------------------------------------------------------------------------


def test_requests_and_units(play: Play) -> None:
    """Of texts of 1,000 characters; the newest 20 are one request."""

    async def talk(kit: Kit) -> None:
        with requests(kit, 2):
            thread = await kit.thread()
        text = "All happy families resemble one another. " * 25
        for number in range(25):
            with requests(kit, 1, wcu=10):
                await kit.kit.add_thread_item("thr_1", said(f"m{number}", text[:1000]), ANN)
        with requests(kit, 1, rcu=6):
            page = await kit.kit.load_thread_items("thr_1", None, 20, "desc", ANN)
        assert len(page.data) == 20
        with requests(kit, 2):
            await kit.kit.load_thread_items("thr_1", page.after, 20, "desc", ANN)
        with requests(kit, 2):
            await kit.kit.load_thread_items("thr_1", "m3", 20, "asc", ANN)
        with requests(kit, 2):
            await kit.kit.load_thread_items("thr_1", None, 20, "asc", ANN)
        with requests(kit, 1):
            await kit.kit.load_thread("thr_1", ANN)
        thread.title = "Plans"
        with requests(kit, 2, wcu=13):
            await kit.kit.save_thread(thread, ANN)
        with requests(kit, 1):
            await kit.kit.save_thread(thread, ANN)
        with requests(kit, 2):
            await kit.kit.load_item("thr_1", "m3", ANN)
        with requests(kit, 2):
            await kit.kit.save_item("thr_1", said("m3"), ANN)
        with requests(kit, 2):
            await kit.kit.delete_thread_item("thr_1", "m3", ANN)
        with requests(kit, 1):
            await kit.kit.load_threads(20, None, "desc", ANN)

    play(talk)
