"""Scenarios of LLM interactions, reports and invocations (L1–L3)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Final

from dynamo_chat.cases.stage import Case, Scenarios, Stage
from dynamo_chat.telemetry.invocations import NewInvocation
from dynamo_chat.telemetry.llm import NewInteraction
from dynamo_chat.telemetry.reports import Period


def _interaction(account_id: str) -> NewInteraction:
    """An interaction with 1,000 characters of prompt and response."""
    return NewInteraction(
        account_id=account_id,
        function_name="generate_email",
        model_used="meta-llama/Llama-3.3-70B-Instruct-Turbo",
        prompt_tokens=150,
        response_tokens=200,
        response_time_ms=2_500,
        cost_usd=Decimal("0.0025"),
        prompt="x" * 500,
        response="y" * 500,
    )


def _interactions(stage: Stage, count: int) -> tuple[str, str]:
    """A conversation and an account with this many interactions."""
    talk, account = stage.fresh("conversation"), stage.fresh("account")
    for _ in range(count):
        stage.later()
        stage.store.llm.record(talk, _interaction(account))
    return talk, account


def record_interaction(stage: Stage) -> Iterator[Case]:
    """With its prompt and response, and without."""
    llm, talk, account = stage.store.llm, stage.fresh("conversation"), stage.fresh("account")
    whole = _interaction(account)
    yield Case("", lambda: llm.record(talk, whole))
    bare = whole.model_copy(update={"prompt": None, "response": None})
    yield Case("without prompt and response", lambda: llm.record(talk, bare))


def interactions_of_conversation(stage: Stage) -> Iterator[Case]:
    """With prompt and response."""
    llm, (talk, _) = stage.store.llm, _interactions(stage, 5)
    yield Case("", lambda: llm.list_by_conversation(talk))


def interactions_of_account(stage: Stage) -> Iterator[Case]:
    """Without prompt and response, merged from all shards."""
    llm, (_, account) = stage.store.llm, _interactions(stage, 10)
    since = stage.clock() - timedelta(hours=1)
    yield Case("", lambda: llm.list_by_account(account))
    yield Case("a time range", lambda: llm.list_by_account(account, since=since))


def build_report(stage: Stage) -> Iterator[Case]:
    """Of an hour."""
    reports, (_, account) = stage.store.reports, _interactions(stage, 10)
    hour = Period(start=stage.clock() - timedelta(hours=1), end=stage.clock())
    yield Case("10 interactions", lambda: reports.build(account, hour))


def get_report(stage: Stage) -> Iterator[Case]:
    """By id."""
    reports, (_, account) = stage.store.reports, _interactions(stage, 1)
    report_id = reports.build(account, "2026-01").report_id
    yield Case("", lambda: reports.get(report_id))


def reports_of_account(stage: Stage) -> Iterator[Case]:
    """By period."""
    reports, account = stage.store.reports, stage.fresh("account")
    for month in ("2026-01", "2026-02"):
        reports.build(account, month)
    yield Case("", lambda: reports.list_by_account(account))


def load_report(stage: Stage) -> Iterator[Case]:
    """Under an id of its own."""
    reports, account = stage.store.reports, stage.fresh("account")
    report = reports.build(account, "2026-01")
    elsewhere = report.model_copy(update={"report_id": stage.fresh("report")})
    yield Case("", lambda: reports.load(elsewhere))


def _invocation(account_id: str, invocation_id: str | None = None) -> NewInvocation:
    return NewInvocation(
        account_id=account_id,
        function_name="LoginUser",
        status="success",
        duration_ms=Decimal(150),
        memory_used_mb=128,
        invocation_id=invocation_id,
        metadata={"http_method": "POST", "endpoint": "/api/auth/login"},
    )


def record_invocation(stage: Stage) -> Iterator[Case]:
    """With the store's id, and with the caller's."""
    invocations, account = stage.store.invocations, stage.fresh("account")
    own = _invocation(account, stage.fresh("invocation"))
    yield Case("", lambda: invocations.record(_invocation(account)))
    yield Case("with the caller's id", lambda: invocations.record(own))


def get_invocation(stage: Stage) -> Iterator[Case]:
    """By id."""
    invocations = stage.store.invocations
    made = invocations.record(_invocation(stage.fresh("account")))
    yield Case("", lambda: invocations.get(made.invocation_id))


def invocations_of_account(stage: Stage) -> Iterator[Case]:
    """Merged from all shards."""
    invocations, account = stage.store.invocations, stage.fresh("account")
    for _ in range(10):
        stage.later()
        invocations.record(_invocation(account))
    yield Case("", lambda: invocations.list_by_account(account))


TELEMETRY: Final[Scenarios] = {
    "llm.record": record_interaction,
    "llm.list_by_conversation": interactions_of_conversation,
    "llm.list_by_account": interactions_of_account,
    "reports.build": build_report,
    "reports.get": get_report,
    "reports.load": load_report,
    "reports.list_by_account": reports_of_account,
    "invocations.record": record_invocation,
    "invocations.get": get_invocation,
    "invocations.list_by_account": invocations_of_account,
}
