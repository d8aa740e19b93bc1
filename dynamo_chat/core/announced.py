"""The short way for a client whose events somebody listens to: each is emitted as botocore does.

Only those that have another handler than botocore's and ours: `core/listeners.py`.
"""

from __future__ import annotations

from typing import Any

from botocore.awsrequest import AWSPreparedRequest, HeadersDict
from botocore.handlers import add_recursion_detection_header
from botocore.hooks import first_non_none_response

from dynamo_chat.core.transport import Outgoing, Transport
from dynamo_chat.core.wire import COUNTED, Exchange, Facts, Plan, Wire, as_response, encoded


class Announced(Exchange):
    """One request, with events for the handlers of others."""

    def begin(self) -> None:
        """Make the request, as the handlers want it; one of them may already answer it."""
        wire, plan = self.wire, self.plan
        self.context = context = {**wire.context(plan.model), COUNTED: True}
        context["retries"] = {"invocation-id": self._invocation}
        self._emit("before-parameter-build", params=self.request, model=plan.model, context=context)
        self._destination = destination = wire.resolved(plan, self.request, context)
        self._scope = destination.scope
        headers = {**plan.headers, **destination.headers}
        self._parts: dict[str, Any] = {
            "url_path": "/",
            "query_string": "",
            "method": "POST",
            "headers": headers,
            "body": encoded(self.request),
            "url": destination.url,
            "context": context,
        }
        add_recursion_detection_header(self._parts)
        if "before-call" not in plan.heard:
            return
        _, early = wire.client.meta.events.emit_until_response(
            f"before-call.dynamodb.{plan.operation}",
            model=plan.model,
            params=self._parts,
            request_signer=wire.identity,
            context=context,
        )
        if early is not None:
            self.is_over = True
            self._end(*early)

    def next(self, transport: Transport) -> Outgoing:
        try:
            self._prepared = self._prepare(transport)
        except Exception as error:
            self._emit("after-call-error", exception=error, context=self.context)
            raise
        self.facts.tries += 1
        return _outgoing(self._prepared)

    def _prepare(self, transport: Transport) -> AWSPreparedRequest:
        parts, wire = self._parts, self.wire
        self.context["retries"].update(attempt=self.facts.tries + 1, max=wire.max_attempts)
        credentials = wire.credentials(transport)
        if "request-created" in self.plan.heard:  # then botocore creates it, and asks our signer
            prepared: AWSPreparedRequest = wire.endpoint.create_request(parts, self.plan.model)
            return prepared
        headers = dict(parts["headers"])
        self._sign(headers, parts["body"], credentials, self._scope)
        sent = HeadersDict({name: value.encode() for name, value in headers.items()})
        sent["Content-Length"] = str(len(parts["body"]))
        return AWSPreparedRequest("POST", parts["url"], sent, parts["body"], False)

    def carry(self, transport: Transport, outgoing: Outgoing) -> Any:
        replies = self._emit("before-send", request=self._prepared)
        if not replies:
            return transport.send(outgoing)
        reply = first_non_none_response(replies)
        # A handler may have changed the request, or sent it itself.
        return transport.send(_outgoing(self._prepared)) if reply is None else reply

    def failed(self, error: Exception) -> float | None:
        wait = super().failed(error)
        if wait is None:
            self._emit("after-call-error", exception=error, context=self.context)
        return wait

    def _end(self, reply: Any, answer: dict[str, Any]) -> None:
        if "after-call" not in self.plan.heard:
            super()._end(reply, answer)
            return
        http = as_response(self._url(), reply)
        metadata = answer.setdefault("ResponseMetadata", {})
        metadata.setdefault("HTTPStatusCode", http.status_code)
        metadata.setdefault("HTTPHeaders", dict(http.headers.items()))
        metadata.setdefault("RetryAttempts", max(0, self.facts.tries - 1))
        # One of its handlers is botocore's, which gives back the quota.
        self._emit(
            "after-call",
            http_response=http,
            parsed=answer,
            model=self.plan.model,
            context=self.context,
        )
        self._keep(http, answer)

    def _emit(self, event: str, **details: Any) -> list[tuple[Any, Any]]:
        if event not in self.plan.heard:
            return []
        events = self.wire.client.meta.events
        found: list[tuple[Any, Any]] = events.emit(
            f"{event}.dynamodb.{self.plan.operation}", **details
        )
        return found


def exchange_for(wire: Wire, plan: Plan, request: dict[str, Any], facts: Facts) -> Exchange:
    """The exchange of one request, with events if somebody listens to them."""
    kind = Announced if plan.heard else Exchange
    return kind(wire, plan, request, facts)


def _outgoing(prepared: AWSPreparedRequest) -> Outgoing:
    headers = {
        name: value.decode() if isinstance(value, bytes) else str(value)
        for name, value in prepared.headers.items()
        if name.lower() != "content-length"  # the transport's to say
    }
    return Outgoing(prepared.url, headers, prepared.body)
