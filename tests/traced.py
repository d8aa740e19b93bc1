"""OpenTelemetry's SDK, which keeps the spans and metrics of one test in memory."""

from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from dynamo_chat import ConnectionOptions, Telemetry


@dataclass
class Traced:
    """Two providers, and what was made with them."""

    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader])
        self.tracer = self.tracers.get_tracer("a program")

    @property
    def telemetry(self) -> Telemetry:
        """What a store is given."""
        return Telemetry(self.tracers, self.meters)

    def options(self, **options: Any) -> ConnectionOptions:
        """The options of a store that is watched."""
        return ConnectionOptions(telemetry=self.telemetry, **options)

    # -- spans ------------------------------------------------------------------------------------

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in this order."""
        return list(self.exporter.get_finished_spans())

    def of(self, kind: SpanKind) -> list[ReadableSpan]:
        """The spans of one kind."""
        return [span for span in self.spans if span.kind is kind]

    @property
    def requests(self) -> list[ReadableSpan]:
        """The spans of requests."""
        return self.of(SpanKind.CLIENT)

    @property
    def calls(self) -> list[ReadableSpan]:
        """The spans of methods."""
        return self.of(SpanKind.INTERNAL)

    def named(self, name: str) -> ReadableSpan:
        """The one span with this name."""
        (found,) = (span for span in self.spans if span.name == name)
        return found

    # -- metrics ----------------------------------------------------------------------------------

    @property
    def instruments(self) -> dict[str, Any]:
        """What each metric has measured until now."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """The attributes and the data of each series of one metric."""
        metric = self.instruments.get(name)
        return [(dict(each.attributes), each) for each in metric.data.data_points] if metric else []

    def total(self, name: str, pattern: str | None = None) -> float:
        """The sum of a counter, of one access pattern or of everything."""
        return sum(
            float(point.value)
            for attributes, point in self.points(name)
            if pattern in {None, attributes.get("dynamo_chat.pattern")}
        )

    def everything(self) -> str:
        """All that was recorded, as one text."""
        spans = [span.to_json() for span in self.spans]
        data = self.reader.get_metrics_data()
        return "\n".join([*spans, data.to_json() if data else ""])


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """The attributes of a span."""
    return dict(span.attributes or {})


def id_of(span: Any) -> int:
    """The id of a span."""
    return int(span.get_span_context().span_id)


def parent_of(span: ReadableSpan) -> int | None:
    """The id of a span's parent; None if it has none."""
    return None if span.parent is None else span.parent.span_id


def is_error(span: ReadableSpan) -> bool:
    """True if a span says that something failed; it never says what in words."""
    assert span.status.description is None
    return span.status.status_code is StatusCode.ERROR
