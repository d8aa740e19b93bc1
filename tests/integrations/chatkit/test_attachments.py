"""Attached files: a user's until they are sent, then their conversation's."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from chatkit.store import NotFoundError
from chatkit.types import AttachmentUploadDescriptor, ImageAttachment
from pydantic import AnyUrl

from dynamo_chat import ChatStore
from dynamo_chat.cases.playing import measure_all
from dynamo_chat.catalogue import catalogue
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.integrations.chatkit import ChatKitStore
from dynamo_chat.integrations.chatkit.attachments import INDEX_LAG
from dynamo_chat.operations.doctor.doctor import Doctor, DoctorOptions
from tests.integrations.chatkit.scenes import ANN, BOB, Kit, Talk, file
from tests.integrations.chatkit.test_contract import requests
from tests.scene import DAY, Scene

pytestmark = pytest.mark.engine

Play = Callable[[Talk], None]


def kit_store(scene: Scene) -> ChatKitStore:
    """A synchronous store on the scene's table."""
    return ChatKitStore(
        scene.table,
        region=scene.engine.region,
        endpoint_url=scene.engine.endpoint_url,
        clock=scene.clock,
    )


def test_a_file_is_uploaded_and_sent(play: Play, scene: Scene) -> None:
    """Saved again and again; loaded as it was saved last, whatever the index has seen."""

    async def talk(kit: Kit) -> None:
        await kit.thread()
        uploaded = file(
            upload_descriptor=AttachmentUploadDescriptor(url=AnyUrl("https://b/x"), method="PUT")
        )
        with requests(kit, 1):
            await kit.kit.save_attachment(uploaded, ANN)
        with requests(kit, 1):
            assert await kit.kit.load_attachment("atc_1", ANN) == uploaded
        await kit.kit.save_attachment(file(metadata={"etag": "e"}), ANN)
        assert await kit.kit.load_attachment("atc_1", ANN) == file(metadata={"etag": "e"})
        sent = file(thread_id="thr_1")
        with requests(kit, 1):
            await kit.kit.save_attachment(sent, ANN)
        with requests(kit, 2):
            assert await kit.kit.load_attachment("atc_1", ANN) == sent
        scene.clock.advance(2 * INDEX_LAG)
        with requests(kit, 3):
            assert await kit.kit.load_attachment("atc_1", ANN) == sent
        image = ImageAttachment(
            id="atc_1",
            name="a.png",
            mime_type="image/png",
            thread_id="thr_1",
            preview_url=AnyUrl("https://b/p"),
        )
        await kit.kit.save_attachment(image, ANN)
        assert await kit.kit.load_attachment("atc_1", ANN) == image
        assert scene.kinds()["chatkit_attachment"] == 1

    play(talk)


def test_files_of_others_are_not_found(play: Play, scene: Scene) -> None:
    """Before they are sent and after, soon and later; the same id may be another user's, too."""

    async def talk(kit: Kit) -> None:
        await kit.thread()
        sent = file(thread_id="thr_1")
        for saved in (file(), sent):
            await kit.kit.save_attachment(saved, ANN)
            for _ in range(2):
                with pytest.raises(NotFoundError, match="attachment"):
                    await kit.kit.load_attachment("atc_1", BOB)
                with pytest.raises(NotFoundError, match="conversation"):
                    await kit.kit.save_attachment(sent, BOB)
                await kit.kit.delete_attachment("atc_1", BOB)
                assert await kit.kit.load_attachment("atc_1", ANN) == saved
                scene.clock.advance(2 * INDEX_LAG)
        await kit.kit.save_attachment(file(name_of := "atc_1", metadata={"bob": 1}), BOB)
        assert (await kit.kit.load_attachment(name_of, BOB)).metadata == {"bob": 1}
        assert await kit.kit.load_attachment(name_of, ANN) == sent

    play(talk)


@pytest.mark.parametrize("is_later", [False, True])
@pytest.mark.parametrize("thread_id", [None, "thr_1"])
def test_a_file_is_deleted(
    play: Play, scene: Scene, thread_id: str | None, *, is_later: bool
) -> None:
    """Wherever it is; again it is no error."""

    async def talk(kit: Kit) -> None:
        await kit.thread()
        before = scene.kinds()
        await kit.kit.save_attachment(file(thread_id=thread_id), ANN)
        if is_later:
            scene.clock.advance(2 * INDEX_LAG)
        for _ in range(2):
            await kit.kit.delete_attachment("atc_1", ANN)
            with pytest.raises(NotFoundError):
                await kit.kit.load_attachment("atc_1", ANN)
        assert scene.kinds() == before

    play(talk)


def test_a_file_goes_with_its_thread(play: Play, scene: Scene) -> None:
    """Deleted with it, at once for readers; what is left is a note without content, for an hour."""

    async def talk(kit: Kit) -> None:
        await kit.thread()
        await kit.kit.save_attachment(file(thread_id="thr_1", metadata={"etag": "e"}), ANN)
        await kit.kit.delete_thread("thr_1", ANN)
        with pytest.raises(NotFoundError):
            await kit.kit.load_attachment("atc_1", ANN)
        assert scene.kinds() == Counter(chatkit_upload=1)
        (left,) = scene.items()
        assert "attachment" not in left
        assert int(left["ttl"]["N"]) <= (scene.clock() + INDEX_LAG).timestamp() + 1

    play(talk)


def test_a_file_follows_its_conversation(play: Play, scene: Scene) -> None:
    """To a new owner, and into the night with it."""

    async def talk(kit: Kit) -> None:
        await kit.store.conversations.create("ann", conversation_id="thr_1", retention=30 * DAY)
        sent = file(thread_id="thr_1")
        await kit.kit.save_attachment(sent, ANN)
        await kit.store.conversations.give_to("thr_1", "bob")
        with pytest.raises(NotFoundError):
            await kit.kit.load_attachment("atc_1", ANN)
        assert await kit.kit.load_attachment("atc_1", BOB) == sent
        scene.clock.advance(31 * DAY)
        with pytest.raises(NotFoundError):
            await kit.kit.load_attachment("atc_1", BOB)

    play(talk)


def test_a_damaged_file_is_an_error_of_its_own(play: Play, scene: Scene) -> None:
    async def talk(kit: Kit) -> None:
        await kit.store.chatkit_attachments.save("ann", "atc_1", {"type": "hologram"})
        with pytest.raises(CorruptItem, match="atc_1"):
            await kit.kit.load_attachment("atc_1", ANN)

    play(talk)


# -- with the package's tools -------------------------------------------------------------------


@pytest.fixture
def store(play: Play, scene: Scene) -> ChatKitStore:
    """Files of two users, sent and not."""

    async def talk(kit: Kit) -> None:
        await kit.thread(title="T")
        for user in (ANN, BOB):
            await kit.kit.save_attachment(file("atc_up", metadata={"n": 1}), user)
        await kit.kit.save_attachment(file("atc_sent", thread_id="thr_1"), ANN)

    play(talk)
    return kit_store(scene)


def test_files_are_exported_and_erased_with_their_user(store: ChatKitStore, scene: Scene) -> None:
    """Those of nobody else."""
    exported = Counter(each.kind for each in store.people.export("ann"))
    assert exported["chatkit_attachment"] == 1
    assert exported["chatkit_upload"] >= 1
    receipt = store.people.erase("ann")
    assert receipt.erased["chatkit_attachment"] == 1
    assert scene.kinds() == Counter(chatkit_upload=1)
    assert all("bob" in each["PK"]["S"] for each in scene.items())


def test_the_doctor_knows_them(store: ChatKitStore, scene: Scene) -> None:
    doctor = Doctor(
        store.connection,
        DoctorOptions(settle_seconds=0),
        clock=scene.clock,
        sleep=lambda _: None,
        store=ChatKitStore,
    )
    report = doctor.examine()
    assert report.is_clean, report.findings
    assert report.kinds["chatkit_attachment"] == 1


@pytest.mark.once
def test_their_methods_keep_their_budgets(scene: Scene) -> None:
    """As `patterns --measure` finds them."""

    def factory(table_name: str | None = None, **options: Any) -> ChatStore:
        return ChatKitStore(
            table_name or scene.table,
            region=scene.engine.region,
            endpoint_url=scene.engine.endpoint_url,
            **options,
        )

    own = [each for each in catalogue(ChatKitStore) if "chatkit" in each.method]
    measured = list(measure_all(factory, own))
    assert len({each.entry.method for each in measured}) == 3
    assert [each.problems for each in measured if each.problems] == []
