"""What a connection waits with: this thread, unless an event loop waits in its place.

Everything above the connection is synchronous code. Where it has to wait, for a response or for
time to pass, it asks its carrier. `dynamo_chat.aio` has one that leaves the loop free meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from dynamo_chat.core.transport import HttpSettings, Transport
from dynamo_chat.core.wire import Facts

T = TypeVar("T")


class Sender(Protocol):
    """Makes API calls: the client of a connection."""

    def send(self, operation: str, request: dict[str, Any], facts: Facts) -> dict[str, Any]:
        """Make one API call and return the response, or raise botocore's error."""


class Carrier(Protocol):
    """Waits for a connection."""

    def send(
        self, client: Sender, operation: str, request: dict[str, Any], facts: Facts
    ) -> dict[str, Any]:
        """Make one API call with `client`."""

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""

    def blocking(self, work: Callable[[], T]) -> T:
        """The result of `work`, which blocks the thread that it runs on."""

    def transport(self, http: HttpSettings) -> Transport | None:
        """What sends requests; None for the fastest one that is installed."""


class ThreadCarrier:
    """Waits on the thread that calls."""

    def send(
        self, client: Sender, operation: str, request: dict[str, Any], facts: Facts
    ) -> dict[str, Any]:
        return client.send(operation, request, facts)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def blocking(self, work: Callable[[], T]) -> T:
        return work()

    def transport(self, http: HttpSettings) -> Transport | None:
        del http
        return None


ON_THREAD = ThreadCarrier()
