"""A worker that forks: parent and children continue to use what was made before the fork.

A server that loads its application once and then forks its workers does the same. The first child
is forked while no thread works: parent and child remember the same, and first make the same calls,
a chorus of equal messages with equal times. The second is forked while threads of the parent work,
so that locks are held that no thread of the child would release.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

from dynamo_chat import ChatStore
from dynamo_chat.core.ulids import new_ulid
from proof.bugs import planted
from proof.domains.chat_names import USERS
from proof.history import Recorder
from proof.steps import Step
from proof.worker import Runner, Setting, work

SONGS: Final = 6
"""The number of conversations that parent and child append to first."""
MOMENT: Final = datetime(2024, 5, 1, 12, tzinfo=UTC)
"""The time of every message of the chorus."""
PATIENCE: Final = 30.0
"""How long a child may run after its parent is done, in seconds."""


def work_forked(setting: Setting) -> list[str]:
    """Use the store, fork, and let each process continue. Returns what the strict hook found."""
    names = [f"{setting.name}+{number}" for number in (1, 2)]
    own = replace(setting, threads=max(1, setting.threads - len(names)))
    with planted(setting.bug):
        store = setting.store()
        with _runner(setting, f"{setting.name}+before", store) as host:
            for step in rehearsal(setting.name):
                host.insist(step)
        children = [_forked(lambda: _child(setting, names[0], store))]
        with busy(*[lambda: new_ulid(MOMENT)] * 2):
            children.append(_forked(lambda: _child(setting, names[1], store)))
        _sing(own, f"{setting.name}+0", setting.name, store)
        found = work(own, store)
        for child in children:
            _wait(child)
    return found


def _child(setting: Setting, name: str, store: ChatStore) -> list[str]:
    """What a child does: the same as its parent, under another name."""
    own = replace(setting, name=name, threads=1, history=str(_history(setting, name)))
    _sing(own, f"{name}+0", setting.name, store)
    return work(own, store)


# -- the chorus ---------------------------------------------------------------------------------


def _song(name: str, number: int) -> str:
    return f"song-{name}-{number}"


def rehearsal(name: str) -> Iterator[Step]:
    """Create the conversations, and append to one: it opens a socket and mints an id."""
    for number in range(SONGS):
        talk = _song(name, number)
        yield Step("chat.create_doomed", {"talk": talk, "user": USERS[0], "title": talk})
    yield _note(name, 0, "rehearsal")


def _sing(setting: Setting, voice: str, name: str, store: ChatStore) -> None:
    """Append the same texts, with the same time, to each of the conversations."""
    with _runner(setting, voice, store) as runner:
        for number in range(1, SONGS):
            runner.run(_note(name, number, voice))


def _note(name: str, number: int, voice: str) -> Step:
    talk = _song(name, number)
    return Step("chat.sing", {"talk": talk, "id": f"{talk}-{voice}", "at": MOMENT.isoformat()})


@contextmanager
def _runner(setting: Setting, name: str, store: ChatStore) -> Iterator[Runner]:
    """A runner that makes calls and records them under this name."""
    recorder = Recorder(_history(setting, name), name)
    yield Runner(store, recorder, setting.clock)
    recorder.close()


def _history(setting: Setting, name: str) -> Path:
    return Path(setting.history).with_name(f"{name}.jsonl")


# -- processes ----------------------------------------------------------------------------------


def _forked(work_of_child: Callable[[], list[str]]) -> int:
    """Fork a child that does this and exits. Returns its process id."""
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside threads. Here they are what is tried.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _live(work_of_child)
    return child


def _live(work_of_child: Callable[[], list[str]]) -> NoReturn:
    """Do what a child does, and exit without running what its parent would run at exit."""
    code = 1
    try:
        found = work_of_child()
        for text in found:
            sys.stderr.write(f"{text}\n")
        code = 3 if found else 0
    except BaseException:  # noqa: BLE001 - nothing may go on into the parent's program
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def busy(*works: Callable[[], object]) -> Iterator[None]:
    """Run each of `works` over and over in its own thread, as requests to a server would."""
    done = threading.Event()

    def over_and_over(work: Callable[[], object]) -> None:
        while not done.is_set():
            work()

    threads = [threading.Thread(target=over_and_over, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


class ChildFailed(Exception):
    """A forked child did not exit, or failed."""


def _wait(child: int) -> None:
    """Wait until a child has ended. ChildFailed."""
    patience = time.monotonic() + PATIENCE
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > patience:
            os.kill(child, 9)
            os.waitpid(child, 0)
            raise ChildFailed("a forked child did not stop")
        time.sleep(0.05)
    if code := os.waitstatus_to_exitcode(status):
        raise ChildFailed(f"a forked child ended with {code}")
