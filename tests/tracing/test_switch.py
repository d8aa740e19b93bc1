"""When spans and metrics are made: as the program, the options and the installation say."""

import logging
import pickle
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from dynamo_chat import ChatStore, ConnectionOptions, Telemetry
from dynamo_chat.core import tracing
from dynamo_chat.core.errors import InvalidArgument, NotFound
from tests.scene import Scene
from tests.traced import Traced

A_PROGRAM = """
import sys
from dynamo_chat.testing import EmbeddedEngine
with EmbeddedEngine() as engine:
    store = engine.store("chat")
    store.conversations.create("u-1")
    assert not [name for name in sys.modules if name.startswith("opentelemetry.")]
    from opentelemetry import metrics, trace
    store.conversations.create("u-1")
    assert store.connection.telemetry.instruments is None
    assert "dynamo_chat.core.spans" not in sys.modules
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(tracers)
    store.conversations.create("u-1")
    names = [span.name for span in exporter.get_finished_spans()]
    assert names == ["PutItem chat", "Conversations.create"], names
    metrics.set_meter_provider(MeterProvider([reader]))
    store.conversations.create("u-1")
    assert reader.get_metrics_data().resource_metrics
"""


@pytest.mark.once
def test_it_begins_when_the_program_sets_opentelemetry_up() -> None:
    """Also if the store was there before. Until then nothing of it is imported."""
    program = [sys.executable, "-W", "error", "-c", A_PROGRAM]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_provider_that_cannot_be_loaded_breaks_no_call(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenTelemetry raises whenever it is asked: the environment names one that is not there."""

    def missing() -> Any:
        raise RuntimeError("generator raised StopIteration")

    store = scene.new_store()
    monkeypatch.setattr(trace, "get_tracer_provider", missing)
    store.conversations.create("u-1")
    assert store.connection.telemetry is not None
    assert store.connection.telemetry.instruments is None


def test_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there is nothing to look at in any call; who asks for it is told what to install."""
    monkeypatch.setattr(tracing, "find_spec", lambda _: None)
    tracing._is_installed.cache_clear()
    try:
        assert ChatStore("chat").connection.telemetry is None
    finally:
        tracing._is_installed.cache_clear()
    monkeypatch.delitem(sys.modules, "dynamo_chat.core.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for asked in (True, Telemetry()):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'dynamo_chat\[otel\]'"):
            ChatStore("chat", options=ConnectionOptions(telemetry=asked))


def test_it_can_be_switched_off() -> None:
    """And what is given must be known."""
    assert ChatStore("t-1", options=ConnectionOptions(telemetry=False)).connection.telemetry is None
    for given in ("yes", 1, object()):
        with pytest.raises(InvalidArgument, match="telemetry"):
            ConnectionOptions(telemetry=given)  # type: ignore[arg-type]


def test_a_store_travels_with_its_switch() -> None:
    """To another process, as its other options do."""
    for given in (None, True, False):
        store = ChatStore("chat", region="eu-west-1", options=ConnectionOptions(telemetry=given))
        copied = pickle.loads(pickle.dumps(store))
        assert copied.connection.options.telemetry is given
        assert (copied.connection.telemetry is None) == (given is False)


def test_a_program_that_wants_none_for_a_while(scene: Scene) -> None:
    """As an exporter does that writes to a table itself: neither spans nor metrics."""
    traced = Traced()
    store = scene.new_store(options=traced.options())
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        store.conversations.create("u-1")
    finally:
        detach(token)
    assert traced.spans == []
    assert traced.instruments == {}


def test_a_span_that_is_not_sampled(scene: Scene) -> None:
    """Its children are not sampled either; the metrics are complete."""
    traced = Traced()
    traced.tracers.sampler = ALWAYS_OFF
    store = scene.new_store(options=traced.options())
    store.conversations.create("u-1")
    assert traced.spans == []
    assert traced.total("dynamo_chat.consumed_capacity", "C1") > 0


class Broken(SpanProcessor):
    """Raises whenever it is called."""

    def on_start(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("the processor is broken")

    def on_end(self, *_: Any) -> None:
        raise RuntimeError("the processor is broken")


@pytest.mark.parametrize("moment", ["on_start", "on_end"])
def test_a_broken_exporter_breaks_nothing(
    scene: Scene, moment: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged; the request is made, and its answer counts."""
    other = "on_end" if moment == "on_start" else "on_start"
    monkeypatch.setattr(Broken, other, getattr(SpanProcessor, other))
    traced = Traced()
    traced.tracers.add_span_processor(Broken())
    store = scene.new_store(options=traced.options())
    with caplog.at_level(logging.ERROR, logger="dynamo_chat"):
        made = store.conversations.create("u-1")
        assert store.conversations.get(made.conversation_id) == made
        with pytest.raises(NotFound):
            store.conversations.get("c-9")
    assert caplog.text.count("the processor is broken") >= 6
    assert not trace.get_current_span().get_span_context().is_valid


class Instrumented:
    """Does to botocore what OpenTelemetry's instrumentation of it does."""

    def __init__(self, traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
        from botocore.client import BaseClient
        from opentelemetry.context import get_value

        inner = BaseClient._make_api_call

        def call(client: Any, operation: str, params: Any) -> Any:
            if get_value(_SUPPRESS_INSTRUMENTATION_KEY):
                return inner(client, operation, params)
            with traced.tracer.start_as_current_span(f"botocore {operation}"):
                return inner(client, operation, params)

        monkeypatch.setattr(BaseClient, "_make_api_call", call)


@pytest.mark.parametrize(
    ("telemetry", "expected"),
    [
        (True, ["PutItem", "Conversations.create"]),
        (False, ["botocore"]),
    ],
)
def test_one_span_for_a_request_that_botocore_s_instrumentation_sees(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, telemetry: bool, expected: list[str]
) -> None:
    """Ours, or that of the instrumentation: never both."""
    traced = Traced()
    options = ConnectionOptions(
        telemetry=traced.telemetry if telemetry else False, http_client="botocore"
    )
    store = scene.new_store(options=options)
    Instrumented(traced, monkeypatch)
    store.conversations.create("u-1")
    assert [span.name.partition(" ")[0] for span in traced.spans] == expected
