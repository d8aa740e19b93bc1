"""The guide's exporters work: what they send is what StatsD, Prometheus and CloudWatch take."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from dynamo_chat import ChatStore, ConnectionOptions, NewMessage
from dynamo_chat.core.errors import NotFound, Throttled
from dynamo_chat.testing import Throttled as ThrottledAnswer
from tests.scene import Scene, faults
from tests.test_docs import programs

Names = dict[str, Any]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two tries."""
    monkeypatch.setattr("time.sleep", lambda _: None)


def program(word: str) -> Names:
    """The names of the guide's program that has this word."""
    (found,) = (each for each in programs("docs/guide/observing.md") if word in each)
    names: Names = {}
    exec(compile(found, "observing", "exec"), names)  # noqa: S102 - the page is ours
    return names


def use(scene: Scene, hook: Any) -> None:
    """A write, a read that is throttled once, one that is throttled for good, and a miss."""
    store: ChatStore = scene.new_store(
        on_request=hook, options=ConnectionOptions(max_attempts=3, telemetry=False)
    )
    store.conversations.create("u-1", conversation_id="c-1")
    with faults(store) as injector:
        injector.plan(ThrottledAnswer())
        store.conversations.list_by_user("u-1")
        injector.plan(ThrottledAnswer(), every_attempt=True)
        with pytest.raises(Throttled):
            store.messages.append("c-1", NewMessage(role="user"))
    with pytest.raises(NotFound):
        store.conversations.get("c-9")


@pytest.fixture
def statsd() -> Iterator[socket.socket]:
    """A StatsD server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        yield server


def test_statsd(scene: Scene, statsd: socket.socket) -> None:
    """A datagram for each request; each line has a name, a number and a type."""
    names = program("class StatsD")
    hook = names["StatsD"](port=statsd.getsockname()[1])
    use(scene, hook)
    datagrams = [statsd.recv(1_500).decode().split("\n") for _ in range(4)]
    names["hook"]._socket.close()
    hook._socket.close()
    for lines in datagrams:
        for line in lines:
            assert re.fullmatch(r"[\w.]+:\d+(\.\d+)?\|(ms|c)", line)
    first, second, third, last = (dict(_split(line) for line in lines) for lines in datagrams)
    assert first["chat.dynamodb.C1.PutItem.write_units"] >= 1
    assert second["chat.dynamodb.C3.Query.throttles"] == 1
    assert second["chat.dynamodb.C3.Query.retries"] == 1
    assert "chat.dynamodb.C3.Query.errors" not in second
    assert [third[name] for name in third if name.endswith("errors")] == [1]
    assert [third[name] for name in third if name.endswith("throttles")] == [3]
    assert "chat.dynamodb.C2.Query.time" in last
    assert not any(name.endswith("errors") for name in last)


def _split(line: str) -> tuple[str, float]:
    name, _, rest = line.partition(":")
    return name, float(rest.partition("|")[0])


def test_prometheus(scene: Scene) -> None:
    """The text that Prometheus scrapes has every request, by pattern, operation and table."""
    prometheus = pytest.importorskip("prometheus_client", reason="it is not installed")
    from prometheus_client.parser import text_string_to_metric_families

    names = program("prometheus_client")
    use(scene, names["measure"])
    text = prometheus.generate_latest().decode()
    made = [names[name] for name in ("SECONDS", "ERRORS", "RETRIES", "THROTTLES", "UNITS")]
    for each in made:
        prometheus.REGISTRY.unregister(each)
    samples = {
        (sample.name, sample.labels["pattern"], sample.labels.get("kind")): sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("table") == scene.table and "le" not in sample.labels
    }

    def value(name: str, pattern: str, kind: str | None = None) -> float:
        return float(samples[f"chat_dynamodb_{name}", pattern, kind].value)

    assert value("request_seconds_count", "C1") == 1
    assert value("capacity_units_total", "C1", "write") >= 1
    assert value("capacity_units_total", "C3", "read") > 0
    assert (value("retries_total", "C3"), value("throttles_total", "C3")) == (1, 1)
    assert (value("retries_total", "C7"), value("throttles_total", "C7")) == (2, 3)
    failed = {key[1]: sample.labels for key, sample in samples.items() if "errors_total" in key[0]}
    assert failed.keys() == {"C7"}
    assert failed["C7"]["error"] == "ProvisionedThroughputExceededException"


EMF_UNITS = {"Seconds", "Milliseconds", "Bytes", "Count", "None"}


def test_cloudwatch(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line keeps the rules of the embedded metric format."""
    use(scene, program("_aws")["emit"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line in lines:
        check_embedded_metrics(line)
    assert [line["Pattern"] for line in lines] == ["C1", "C3", "C7", "C2"]
    assert [line["Throttles"] for line in lines] == [0, 1, 3, 0]
    assert [line["Failures"] for line in lines] == [0, 0, 1, 0]
    assert lines[0]["WriteUnits"] >= 1
    assert lines[2]["Error"] == "ProvisionedThroughputExceededException"
    assert all(line["RequestId"] for line in lines[:2])


def check_embedded_metrics(line: dict[str, Any]) -> None:
    """The rules of the specification: what it requires, the limits, what must be there."""
    assert len(json.dumps(line)) < 256 * 1024
    head = line["_aws"]
    assert head.keys() == {"Timestamp", "CloudWatchMetrics"}
    assert type(head["Timestamp"]) is int
    for directive in head["CloudWatchMetrics"]:
        assert directive.keys() == {"Namespace", "Dimensions", "Metrics"}
        assert re.fullmatch(r"[\w.#:/-]{1,255}", directive["Namespace"])
        assert 1 <= len(directive["Metrics"]) <= 100
        for metric in directive["Metrics"]:
            assert metric.keys() == {"Name", "Unit"}
            assert metric["Unit"] in EMF_UNITS
            assert type(line[metric["Name"]]) in {int, float}
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30
            for dimension in dimensions:
                assert isinstance(line[dimension], str)
                assert 1 <= len(line[dimension]) <= 1_024


def test_the_providers_of_a_test(scene: Scene) -> None:
    """The guide's exporter has the spans of the store."""
    names = program("InMemorySpanExporter")
    scene.new_store(options=names["options"]).conversations.create("u-1")
    assert [span.name for span in names["spans"].get_finished_spans()][-1] == "Conversations.create"
