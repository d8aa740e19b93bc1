"""The programs of the guide do what the guide says."""

import re
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import Call, CallQueue, LimitExceeded
from dynamo_chat.core.errors import Contended
from tests.calls.scenes import Interruption, another_server, callers, join, points, requests, who
from tests.scene import Scene

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "calls.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
QUICK, WORKER, CLIENT, WEBHOOK = PROGRAMS
MAIN = CallQueue("main")


def names_of(program: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(program, "calls", "exec"), names)  # noqa: S102 - the page is ours
    return names


def test_the_first_program_prints_what_it_promises(capsys: pytest.CaptureFixture[str]) -> None:
    names_of(QUICK)
    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*\)\s+# (.+)", QUICK)


def test_the_worker_matches_until_it_is_told_to_stop(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also past an error of the service; and it tells of each call."""
    names, stop, told = names_of(WORKER), threading.Event(), list[Call]()
    monkeypatch.setattr(stop, "wait", lambda _: None)
    join(scene, "ann", "bob", "carl", "dora")
    match, tries = scene.store.queue.match, iter(range(9))

    def stumbling(queue: str | CallQueue) -> Call | None:
        if next(tries) == 1:
            raise Contended("call again", "TransactionConflict")
        return match(queue)

    def tell(call: Call) -> None:
        told.append(call)
        if len(told) == 2:
            stop.set()

    monkeypatch.setattr(scene.store.queue, "match", stumbling)
    names["match_until"](stop, scene.store, CallQueue("main"), tell)
    assert [who(call) for call in told] == [("ann", "bob"), ("carl", "dora")]


def test_the_tidier_ends_what_was_left_open(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    names, stop = names_of(WORKER), threading.Event()
    monkeypatch.setattr(stop, "wait", lambda _: stop.set())
    callers(scene, "ann", "bob")
    call = scene.store.calls.start("ann", "bob")
    scene.clock.advance(timedelta(hours=3))
    names["tidy_until"](stop, scene.store)
    assert scene.store.calls.get(call.call_id, consistent=True).duration_minutes == 120


def test_the_client_asks_until_it_is_matched(scene: Scene) -> None:
    ask = names_of(CLIENT)["ask"]
    callers(scene, "ann", "bob")
    assert ask(scene.store, "ann", MAIN) is None
    assert requests(scene, lambda: ask(scene.store, "ann", MAIN)) == ["GetItem"]
    assert ask(scene.store, "bob", MAIN) is None
    call = scene.store.queue.match()
    assert ask(scene.store, "ann", MAIN) == call == ask(scene.store, "bob", MAIN)
    scene.store.calls.end(call.call_id if call else "")
    scene.store.callers.spend("ann", points(scene, "ann"))
    with pytest.raises(LimitExceeded):
        ask(scene.store, "ann", MAIN)


def test_the_client_is_called_while_it_asks(scene: Scene) -> None:
    ask = names_of(CLIENT)["ask"]
    callers(scene, "ann", "bob")
    other = another_server(scene)
    with Interruption(scene.store.connection.client, lambda: other.calls.start("bob", "ann")):
        assert ask(scene.store, "ann", MAIN) is None
    assert who(ask(scene.store, "ann", MAIN)) == ("bob", "ann")


def test_the_webhook_ends_a_call_once(scene: Scene) -> None:
    room_finished = names_of(WEBHOOK)["room_finished"]
    callers(scene, "ann", "bob")
    call = scene.store.calls.start("ann", "bob", room_name="blue")
    at = scene.clock.advance(90)
    ended = room_finished(scene.store, "blue", at)
    assert (ended.call_id, ended.duration_minutes) == (call.call_id, 1.5)
    assert room_finished(scene.store, "blue", at) is None
