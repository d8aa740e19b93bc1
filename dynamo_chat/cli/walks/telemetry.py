"""A walk through the access patterns of LLM interactions, reports and invocations (L1–L3)."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from dynamo_chat import keyspace
from dynamo_chat.cli.item_words import words
from dynamo_chat.cli.walks.step import Step, Walk, forget, own, several
from dynamo_chat.store import ChatStore
from dynamo_chat.telemetry.invocations import Invocation, NewInvocation
from dynamo_chat.telemetry.llm import LLMInteraction, NewInteraction
from dynamo_chat.telemetry.reports import LLMReport


def walk_through_telemetry(
    store: ChatStore, shown: LLMInteraction, report: LLMReport, invocation: Invocation
) -> Walk:
    """L1–L3 on this store; reading looks at these three."""
    identity, account = own("conversation"), own("account")
    yield from _asking(store, identity, account, shown)
    month = f"{datetime.now(UTC):%Y-%m}"
    built: LLMReport = yield Step(
        "reports.build",
        lambda: store.reports.build(account, month),
        words,
    )
    elsewhere = built.model_copy(update={"report_id": own("report")})
    yield Step("reports.load", lambda: store.reports.load(elsewhere), words)
    yield Step("reports.get", lambda: store.reports.get(report.report_id), words)
    yield Step(
        "reports.list_by_account",
        lambda: store.reports.list_by_account(report.account_id),
        lambda page: several(page, words),
    )
    made: Invocation = yield from _invoking(store, account, invocation)
    forget(
        store,
        keyspace.MAIL_PARTITION.encode(identity),
        keyspace.LLM_REPORT.table.pk.encode(built.report_id),
        keyspace.LLM_REPORT.table.pk.encode(elsewhere.report_id),
        keyspace.INVOCATION.table.pk.encode(made.invocation_id),
    )


def _asking(store: ChatStore, identity: str, account: str, shown: LLMInteraction) -> Walk:
    llm = store.llm
    new = NewInteraction(
        account_id=account,
        function_name="generate_email",
        model_used=shown.model_used,
        prompt_tokens=120,
        response_tokens=80,
        response_time_ms=900,
        cost_usd=Decimal("0.0016"),
        prompt="Which renders are 4K?",
        response="One: harbour_dawn.exr",
    )
    yield Step("llm.record", lambda: llm.record(identity, new), words)
    yield Step(
        "llm.list_by_conversation",
        lambda: llm.list_by_conversation(shown.conversation_id),
        lambda page: several(page, lambda each: f"{each.prompt} → {each.response}"),
    )
    yield Step(
        "llm.list_by_account",
        lambda: llm.list_by_account(shown.account_id),
        lambda page: several(page, words),
    )


def _invoking(
    store: ChatStore, account: str, shown: Invocation
) -> Generator[Step, Any, Invocation]:
    invocations = store.invocations
    new = NewInvocation(
        account_id=account,
        function_name="WalkPatterns",
        status="timeout",
        duration_ms=Decimal(30_000),
    )
    made: Invocation = yield Step("invocations.record", lambda: invocations.record(new), words)
    yield Step("invocations.get", lambda: invocations.get(shown.invocation_id), words)
    yield Step(
        "invocations.list_by_account",
        lambda: invocations.list_by_account(shown.account_id),
        lambda page: several(page, words),
    )
    return made
