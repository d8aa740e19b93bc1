"""What every test shares: hypothesis profiles, a scene to play on, a heap quick to clean."""

import gc
import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import settings

from dynamo_chat import ChatStore, ConnectionOptions
from dynamo_chat.store import StoreFactory
from dynamo_chat.testing import FakeClock
from dynamo_chat.testing.engine import Engine
from tests.places import HAS_FRAMEWORKS
from tests.scene import Scene

# No deadline: an example that meets a garbage collection, or a busy machine, has found nothing.
# Nothing is derandomized: each run looks elsewhere, and a failure prints what repeats it.
settings.register_profile(
    "default", max_examples=100, deadline=None, print_blob=True, derandomize=False
)
settings.register_profile("laws", settings.get_profile("default"), max_examples=500)
settings.register_profile("ci", settings.get_profile("default"), max_examples=2_000)
settings.register_profile("nightly", settings.get_profile("default"), max_examples=50_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


collect_ignore_glob = ["applications/*"]
"""Programs of users, with tests of their own, which `tests/entities` runs."""
if not HAS_FRAMEWORKS:
    collect_ignore_glob.append("integrations")  # they have an environment: tox -e frameworks
if find_spec("playwright") is None:
    collect_ignore_glob.append("browser")  # it has an environment: tox -e browser


@pytest.fixture
def scene(dynamo_chat_engine: Engine) -> Iterator[Scene]:
    """A table and a clock. Requests that DynamoDB would reject fail the test."""
    with Scene(dynamo_chat_engine) as made:
        yield made


@pytest.fixture
def store(scene: Scene) -> ChatStore:
    """The store of the scene, at its time."""
    return scene.store


@pytest.fixture
def clock(scene: Scene) -> FakeClock:
    """The scene's time."""
    return scene.clock


@pytest.fixture
def factory(scene: Scene) -> StoreFactory:
    """Makes stores on the scene's table."""

    def make(table_name: str | None = None, **options: Any) -> ChatStore:
        return scene.new_store(**options)

    return make


@pytest.fixture(scope="session")
def offline() -> ChatStore:
    """A store that reaches nothing: a request would raise Unreachable."""
    options = ConnectionOptions(
        max_attempts=1, aws_access_key_id="none", aws_secret_access_key="none"
    )
    return ChatStore("nowhere", endpoint_url="http://127.0.0.1:9", options=options)


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore sends again at once."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


def pytest_collection_finish() -> None:
    """What was imported stays: walking through it at each collection took a quarter of the time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that took longer than DYNAMO_CHAT_TEST_SLOW seconds, and could run once.

    It is a report and no failure: machines are noisy.
    """
    if limit := os.environ.get("DYNAMO_CHAT_TEST_SLOW"):
        for report in terminalreporter.getreports("passed"):
            if report.duration > float(limit) and not {"once", "long"} & report.keywords.keys():
                terminalreporter.write_line(f"SLOW {report.duration:.1f} s {report.nodeid}")
