"""A worked call of each of the desk's own methods, which `patterns --measure` runs."""

from collections.abc import Iterator

from desk.attachments import Attachment
from desk.checkpoints import PART_BYTES
from desk.store import DeskStore
from dynamo_chat import NewMessage
from dynamo_chat.cases import Case, Stage


def _talk(stage: Stage) -> tuple[DeskStore, str, str]:
    """The store, a user, and a conversation of theirs."""
    store, user = stage.of(DeskStore), stage.fresh("user")
    return store, user, store.conversations.create(user).conversation_id


def _file(store: DeskStore, talk: str, user: str) -> Attachment:
    return store.attachments.add(
        talk, user, "plan.pdf", media_type="application/pdf", size=90_000, sha256=bytes(32)
    )


def attachments_add(stage: Stage) -> Iterator[Case]:
    """A file of a known conversation, and of one that the store doesn't know yet."""
    store, user, talk = _talk(stage)
    yield Case("", lambda: _file(store, talk, user))
    cold = stage.cold_store()
    assert isinstance(cold, DeskStore)
    yield Case("unknown conversation", lambda: _file(cold, talk, user), budget=2)


def attachments_get(stage: Stage) -> Iterator[Case]:
    """One file."""
    store, user, talk = _talk(stage)
    file = _file(store, talk, user)
    yield Case("", lambda: store.attachments.get(talk, file.attachment_id, user_id=user))


def attachments_list(stage: Stage) -> Iterator[Case]:
    """Two files."""
    store, user, talk = _talk(stage)
    _file(store, talk, user)
    _file(store, talk, user)
    yield Case("", lambda: store.attachments.list(talk, user_id=user))


def attachments_list_by_user(stage: Stage) -> Iterator[Case]:
    """Files of two conversations."""
    store, user, talk = _talk(stage)
    _file(store, talk, user)
    _file(store, store.conversations.create(user).conversation_id, user)
    yield Case("", lambda: store.attachments.list_by_user(user))


def attachments_remove(stage: Stage) -> Iterator[Case]:
    """One file."""
    store, user, talk = _talk(stage)
    file = _file(store, talk, user)
    yield Case("", lambda: store.attachments.remove(talk, file.attachment_id, user_id=user))


def checkpoints_save(stage: Stage) -> Iterator[Case]:
    """A small one, and one of two parts."""
    store, _, talk = _talk(stage)
    yield Case("", lambda: store.checkpoints.save(talk, b"state"))
    yield Case("two parts", lambda: store.checkpoints.save(talk, bytes(2 * PART_BYTES)))


def checkpoints_latest(stage: Stage) -> Iterator[Case]:
    """One of two parts."""
    store, _, talk = _talk(stage)
    store.checkpoints.save(talk, bytes(2 * PART_BYTES))
    yield Case("", lambda: store.checkpoints.latest(talk)[0])


def checkpoints_remove(stage: Stage) -> Iterator[Case]:
    """One of two parts."""
    store, _, talk = _talk(stage)
    saved = store.checkpoints.save(talk, bytes(2 * PART_BYTES))
    yield Case("", lambda: store.checkpoints.remove(saved))


def messages_last_answer(stage: Stage) -> Iterator[Case]:
    """Behind a question."""
    store, _, talk = _talk(stage)
    store.messages.append(talk, NewMessage(role="assistant", content="Hello"))
    store.messages.append(talk, NewMessage(role="user", content="Hi"))
    yield Case("", lambda: store.messages.last_answer(talk))


def _user(stage: Stage) -> tuple[DeskStore, str]:
    store, user = stage.of(DeskStore), stage.fresh("user")
    store.users.create(f"{user}@example.com", user_id=user)
    return store, user


def notes_write(stage: Stage) -> Iterator[Case]:
    """One note."""
    store, user = _user(stage)
    yield Case("", lambda: store.notes.write(user, "Call back"))


def notes_get(stage: Stage) -> Iterator[Case]:
    """One note."""
    store, user = _user(stage)
    note = store.notes.write(user, "Call back")
    yield Case("", lambda: store.notes.get(user, note.note_id))


def notes_list(stage: Stage) -> Iterator[Case]:
    """One note."""
    store, user = _user(stage)
    store.notes.write(user, "Call back")
    yield Case("", lambda: store.notes.list(user))


def notes_edit(stage: Stage) -> Iterator[Case]:
    """Another text."""
    store, user = _user(stage)
    note = store.notes.write(user, "Call back")
    yield Case("", lambda: store.notes.edit(user, note.note_id, content="Called"))


def notes_delete(stage: Stage) -> Iterator[Case]:
    """One note."""
    store, user = _user(stage)
    note = store.notes.write(user, "Call back")
    yield Case("", lambda: store.notes.delete(user, note.note_id))
