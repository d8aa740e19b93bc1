"""A worked call of each method of `attachments`, which ``patterns --measure`` runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dynamo_chat.cases import Case, Stage
from dynamo_chat.integrations.chatkit.attachments import INDEX_LAG, ChatKitAttachments


def _files(stage: Stage) -> tuple[ChatKitAttachments, str, str, dict[str, Any]]:
    """The repository, a user, a thread of theirs, and what is known of a file."""
    files: ChatKitAttachments = stage.store.chatkit_attachments  # type: ignore[attr-defined]
    user = stage.fresh("user")
    thread = stage.store.conversations.create(user).conversation_id
    known = {"type": "file", "name": "plan.pdf", "mime_type": "application/pdf"}
    return files, user, thread, {"id": stage.fresh("atc"), **known}


def chatkit_attachments_save(stage: Stage) -> Iterator[Case]:
    """Before it is sent, and with its message."""
    files, user, thread, known = _files(stage)
    yield Case("uploaded", lambda: files.save(user, known["id"], known))
    yield Case("sent", lambda: files.save(user, known["id"], known, thread_id=thread))


def chatkit_attachments_get(stage: Stage) -> Iterator[Case]:
    """Before it is sent, with its message, and when only the index knows its thread."""
    files, user, thread, known = _files(stage)
    files.save(user, known["id"], known)
    yield Case("uploaded", lambda: files.get(user, known["id"])["name"])
    files.save(user, known["id"], known, thread_id=thread)
    yield Case("sent", lambda: files.get(user, known["id"])["name"], budget=2)
    stage.later(INDEX_LAG)
    yield Case("later", lambda: files.get(user, known["id"])["name"], budget=3)


def chatkit_attachments_delete(stage: Stage) -> Iterator[Case]:
    """Before it is sent, and with its message."""
    files, user, thread, known = _files(stage)
    files.save(user, known["id"], known)
    yield Case("uploaded", lambda: files.delete(user, known["id"]))
    files.save(user, known["id"], known, thread_id=thread)
    yield Case("sent", lambda: files.delete(user, known["id"]), budget=4)
