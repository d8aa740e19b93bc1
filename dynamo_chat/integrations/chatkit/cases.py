"""A worked call of each method of `attachments`, which ``patterns --measure`` runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dynamo_chat.cases import Case, Stage
from dynamo_chat.integrations.chatkit.attachments import ChatKitAttachments


def _files(stage: Stage) -> tuple[ChatKitAttachments, str, str, dict[str, Any]]:
    """The repository, a user, a thread of theirs, and what is known of a file."""
    files: ChatKitAttachments = stage.store.chatkit_attachments  # type: ignore[attr-defined]
    user = stage.fresh("user")
    thread = stage.store.conversations.create(user).conversation_id
    known = {"id": "atc_1", "type": "file", "name": "plan.pdf", "mime_type": "application/pdf"}
    return files, user, thread, known


def chatkit_attachments_save(stage: Stage) -> Iterator[Case]:
    """Before it is sent, and with its message."""
    files, user, thread, known = _files(stage)
    yield Case("uploaded", lambda: files.save(user, "atc_1", known))
    yield Case("sent", lambda: files.save(user, "atc_1", known, thread_id=thread))


def chatkit_attachments_get(stage: Stage) -> Iterator[Case]:
    """Before it is sent, and with its message."""
    files, user, thread, known = _files(stage)
    files.save(user, "atc_1", known)
    yield Case("uploaded", lambda: files.get(user, "atc_1")["name"])
    files.save(user, "atc_1", known, thread_id=thread)
    yield Case("sent", lambda: files.get(user, "atc_1")["name"], budget=2)


def chatkit_attachments_delete(stage: Stage) -> Iterator[Case]:
    """Before it is sent, and with its message."""
    files, user, thread, known = _files(stage)
    files.save(user, "atc_1", known)
    yield Case("uploaded", lambda: files.delete(user, "atc_1"))
    files.save(user, "atc_2", known, thread_id=thread)
    yield Case("sent", lambda: files.delete(user, "atc_2"), budget=4)
