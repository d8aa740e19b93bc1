"""Who listens to a botocore client's events, besides botocore, PynamoDB and this package.

The short way (`core/wire.py`) does the work of the handlers that are named here. For another
handler it emits the event, if it can; otherwise the request goes through botocore.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

Handlers = dict[str, list[Any]]
"""The handlers of one operation by event; all of them, in the order they are called."""

EMITTED: Final = (
    "before-parameter-build",
    "before-call",
    "request-created",
    "before-send",
    "after-call",
    "after-call-error",
)
"""The events that the short way emits for other handlers."""
REFUSED: Final = (
    "provide-client-params",
    "before-endpoint-resolution",
    "choose-signer",
    "before-sign",
    "before-parse",
    "response-received",
    "needs-retry",
)
"""The events whose other handlers only botocore serves."""

_BOTOCORES: Final = frozenset(
    {
        # It makes the ClientRequestToken, which every transaction here has.
        "botocore.handlers.generate_idempotent_uuid",
        # These are for other services, or for an operation that only finds endpoints.
        "botocore.handlers._handle_request_validation_mode_member",
        "botocore.handlers.inject_api_version_header_if_needed",
        "botocore.discovery.block_endpoint_discovery_required_operations",
        # `Wire` does what these do.
        "botocore.handlers.add_recursion_detection_header",
        "botocore.handlers.add_retry_headers",
        "botocore.handlers.set_operation_specific_signer",
        "botocore.handlers._set_auth_scheme_preference_signer",
        "botocore.retries.standard.MaxAttemptsSeeder.seed_max_attempts",
        "botocore.retries.standard.RetryHandler.needs_retry",
        "botocore.retries.standard.RetryQuotaChecker.release_retry_quota",
        "botocore.signers.RequestSigner.handler",
        "botocore.useragent.UserAgentString.rebuild_and_replace_user_agent_handler",
    }
)
_PYNAMODBS: Final = "pynamodb.connection.base.Connection._before_send"
_OURS: Final = "dynamo_chat.core."


class Listeners:
    """The handlers of one client's events, looked up again whenever they change."""

    def __init__(self, client: Any) -> None:
        """AttributeError if this botocore keeps its handlers elsewhere."""
        self._emitter = client.meta.events._emitter  # noqa: SLF001 - nothing public lists them
        self._seen: Any = None
        self.changed()

    def changed(self) -> bool:
        """True if handlers came or went since the last call."""
        # The emitter makes a new cache whenever a handler is registered or unregistered.
        current = self._emitter._lookup_cache  # noqa: SLF001
        if current is self._seen:
            return False
        self._seen = current
        return True

    def of(self, operation: str) -> Handlers:
        """The handlers of each event of this operation."""
        find = self._emitter._handlers.prefix_search  # noqa: SLF001
        return {
            event: list(find(f"{event}.dynamodb.{operation}")) for event in (*EMITTED, *REFUSED)
        }


def others(handlers: Handlers, events: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The handlers of `events` that are somebody else's, with their event."""
    return ((event, each) for event in events for each in handlers[event] if not _is_known(each))


def name_of(handler: Any) -> str:
    """Where a handler is defined, such as ``botocore.handlers.add_retry_headers``."""
    kind = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_known(handler: Any) -> bool:
    name = name_of(handler)
    if name == _PYNAMODBS:
        # It adds headers, if PynamoDB's settings have any.
        return handler.__self__._extra_headers is None  # noqa: SLF001
    return name in _BOTOCORES or name.startswith(_OURS)
