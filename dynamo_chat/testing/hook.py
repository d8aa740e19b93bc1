"""What the strict hook, the meter and the fault injector share: handlers on one client's events.

botocore emits these events for each API call, in this order:

    before-parameter-build   once; ``params`` as the caller passed them
    before-call              once; ``params`` as they will be sent
    request-created          at each attempt, including botocore's own retries
    before-send              at each attempt; a response returned here replaces the server's
    after-call               once; the response, even if it is an error
    after-call-error         once, instead, if no response came

``context`` is the same dict throughout a call, so handlers use it to pass data on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

Client = Any
"""A botocore client for DynamoDB. It has no static type: botocore creates the class at run time.

`ChatStore(...).connection.client` is one, and so is what a botocore or boto3 session creates.
"""

Handler = Callable[..., Any]


class ClientHook(ABC):
    """Handlers on one client, from `attach` to `detach`, or as a context manager."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._attached = False

    @abstractmethod
    def handlers(self) -> dict[str, Handler]:
        """The handler of each event, by the event's name."""

    def attach(self) -> Self:
        """Start handling every request of the client. Attaching twice has no further effect."""
        if not self._attached:
            self._attached = True
            for event, handler in self.handlers().items():
                # First, before another handler answers or changes the request.
                self.client.meta.events.register_first(event, handler)
        return self

    def detach(self) -> None:
        """Stop handling requests. What was recorded stays."""
        if self._attached:
            self._attached = False
            for event, handler in self.handlers().items():
                self.client.meta.events.unregister(event, handler)

    def __enter__(self) -> Self:
        return self.attach()

    def __exit__(self, *_: object) -> None:
        self.detach()
