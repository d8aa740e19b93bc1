"""An e-mail's walk through its states (M10)."""

from collections.abc import Sequence
from typing import Any, get_args

import pytest

from dynamo_chat.core.errors import IllegalTransition, InvalidArgument
from dynamo_chat.mail.email import EmailStatus
from dynamo_chat.testing import DropAnswer, FaultInjector
from tests.mail.scenes import new_email
from tests.scene import Scene

pytestmark = pytest.mark.engine

STATES: Sequence[EmailStatus] = get_args(EmailStatus)
ALLOWED = {
    ("received", "processed"),
    ("processed", "responded"),
    ("processed", "scheduled"),
    ("scheduled", "responded"),
}


@pytest.mark.parametrize("brought", [False, True])
@pytest.mark.parametrize("start", STATES)
def test_only_the_documented_moves_are_made(
    scene: Scene, start: EmailStatus, brought: bool
) -> None:
    """By the store's own ids, and by the caller's."""
    emails = scene.store.emails
    for end in STATES:
        new = new_email(status=start, response_id=f"to-{end}" if brought else None)
        response_id = emails.add("c-1", new).response_id
        before = emails.get("c-1", response_id)
        changed: dict[str, Any] = {}
        if (start, end) in ALLOWED:
            changed = {"status": end, "ai_response": "Yes.", "ev_score": 0.5}
            moved = emails.move("c-1", response_id, end, ai_response="Yes.", ev_score=0.5)
            assert (moved.status, moved.ai_response, moved.ev_score) == (end, "Yes.", 0.5)
        elif start == end:
            moved = emails.move("c-1", response_id, end, ai_response="Yes.")
            assert (moved.status, moved.ai_response) == (start, None)
        else:
            with pytest.raises(IllegalTransition, match=f"from {start} to {end}") as refused:
                emails.move("c-1", response_id, end, ai_response="Yes.")
            assert refused.value.current.status == start
        assert emails.get("c-1", response_id) == before.model_copy(update=changed)


def test_what_a_move_does_not_name_stays(scene: Scene) -> None:
    emails = scene.store.emails
    made = emails.add("c-1", new_email())
    emails.move("c-1", made.response_id, "processed", ai_response="Yes.", ev_score=0.5)
    emails.move("c-1", made.response_id, "scheduled")
    moved = emails.move("c-1", made.response_id, "responded", ev_score=None)
    assert (moved.ai_response, moved.ev_score) == ("Yes.", None)


@pytest.mark.usefixtures("no_backoff")
def test_a_move_whose_answer_was_lost_is_made_once(scene: Scene) -> None:
    """Botocore sends it again, or the caller calls again: either way it is there."""
    emails = scene.store.emails
    made = emails.add("c-1", new_email())
    move: dict[str, Any] = {"status": "processed", "ai_response": "Yes."}
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer(), operation="UpdateItem")
        moved = emails.move("c-1", made.response_id, **move)
        assert faults.injected
    assert emails.move("c-1", made.response_id, **move) == moved
    assert (moved.status, moved.ai_response) == ("processed", "Yes.")


def test_an_unknown_state_is_refused(scene: Scene) -> None:
    made = scene.store.emails.add("c-1", new_email())
    before = scene.items()
    for arguments in (
        {"status": "lost"},
        {"status": None},
        {"status": "processed", "ev_score": "1"},
    ):
        with pytest.raises(InvalidArgument):
            scene.store.emails.move("c-1", made.response_id, **arguments)
    assert scene.items() == before
