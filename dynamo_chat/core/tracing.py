"""Whether a store makes spans and metrics, and with what. Imports nothing of OpenTelemetry.

A library that uses OpenTelemetry's API does nothing until the program sets OpenTelemetry up. So
this looks, at each call, whether the program has: only then `core/spans.py` is imported, which
needs the extra `otel`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from dynamo_chat.core.errors import InvalidArgument

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from dynamo_chat.core.spans import CallSpan, Instruments, RequestSpan

logger = logging.getLogger("dynamo_chat")

_APIS: Final = {
    "opentelemetry.trace": "get_tracer_provider",
    "opentelemetry.metrics": "get_meter_provider",
}


@dataclass(frozen=True, slots=True, eq=False)
class Telemetry:
    """OpenTelemetry providers of one store, instead of those of the program."""

    tracer_provider: TracerProvider | None = None
    """Makes the spans; None for the program's."""
    meter_provider: MeterProvider | None = None
    """Makes the metrics; None for the program's."""


def check_telemetry(given: Any) -> None:
    """InvalidArgument unless it is a bool, a Telemetry or None."""
    if given is not None and not isinstance(given, (bool, Telemetry)):
        raise InvalidArgument("telemetry", "must be True, False, None or Telemetry")


def watching(telemetry: bool | Telemetry | None) -> Watch | None:
    """What makes a store's spans and metrics; None if nothing ever does.

    ModuleNotFoundError if they are wanted, and OpenTelemetry is not installed.
    """
    if telemetry is False or (telemetry is None and not _is_installed()):
        return None
    watch = Watch()
    if telemetry is not None:
        given = telemetry if isinstance(telemetry, Telemetry) else Telemetry()
        watch.instruments = _made(given)
    return watch


class Watch:
    """Makes the spans of one store, as soon as the program has set OpenTelemetry up."""

    def __init__(self) -> None:
        self.instruments: Instruments | None = None

    def call(self, pattern: str, method: str) -> CallSpan | None:
        """Begin the span of a repository's method."""
        instruments = self.instruments or self._found()
        if instruments is None:
            return None
        try:
            return instruments.call(pattern, method)
        except Exception:
            logger.exception("a span could not be begun")
            return None

    def request(
        self, operation: str, request: Mapping[str, Any], table: str, endpoint: tuple[str, str]
    ) -> RequestSpan | None:
        """Begin the span of an API request to `endpoint`: its address and region, if known."""
        instruments = self.instruments or self._found()
        if instruments is None:
            return None
        try:
            return instruments.request(operation, request, table, endpoint)
        except Exception:
            logger.exception("a span could not be begun")
            return None

    def _found(self) -> Instruments | None:
        if any(_is_set_up(module, getter) for module, getter in _APIS.items()):
            self.instruments = _of_the_program()
        return self.instruments


def _is_set_up(module: str, getter: str) -> bool:
    """True if the program has chosen a provider; the API alone has one that does nothing."""
    provider = getattr(sys.modules.get(module), getter, None)
    if provider is None:
        return False
    try:
        return not type(provider()).__module__.startswith(module)
    except Exception as error:  # noqa: BLE001 - the environment names one that is not there
        logger.debug("%s has no provider: %r", module, error)
        return False


@cache
def _is_installed() -> bool:
    try:
        return find_spec("opentelemetry.trace") is not None
    except ModuleNotFoundError:
        return False


@cache
def _of_the_program() -> Instruments | None:
    """With the program's providers; None if this version of OpenTelemetry cannot be used."""
    try:
        return _made(Telemetry())
    except (ImportError, AttributeError, TypeError) as error:
        logger.debug("no spans and no metrics are made: %s", error)
        return None


def _made(telemetry: Telemetry) -> Instruments:
    try:
        from dynamo_chat.core.spans import Instruments
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "telemetry needs the extra `otel`: pip install 'dynamo_chat[otel]'", name=error.name
        ) from error
    return Instruments(telemetry.tracer_provider, telemetry.meter_provider)
