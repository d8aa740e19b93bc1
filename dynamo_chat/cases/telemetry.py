"""Scenarios of LLM interactions, reports and invocations (L1–L4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from dynamo_chat.cases.stage import Case, Stage
from dynamo_chat.cases.words import deleted
from dynamo_chat.telemetry.invocations import NewInvocation
from dynamo_chat.telemetry.llm import NewInteraction
from dynamo_chat.telemetry.reports import LLMReport, Period


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


def llm_record(stage: Stage) -> Iterator[Case]:
    llm, talk, account = stage.store.llm, stage.fresh("conversation"), stage.fresh("account")
    whole = _interaction(account)
    yield Case("", lambda: llm.record(talk, whole))
    bare = whole.model_copy(update={"prompt": None, "response": None})
    yield Case("without prompt and response", lambda: llm.record(talk, bare))
    chat = stage.store.conversations.create(stage.fresh("user")).conversation_id
    yield Case("of a chat conversation", lambda: llm.record(chat, whole))
    cold = stage.cold_store().llm
    yield Case("that the store has not seen", lambda: cold.record(chat, whole), budget=2)


def llm_delete(stage: Stage) -> Iterator[Case]:
    llm, talk, account = stage.store.llm, stage.fresh("conversation"), stage.fresh("account")
    made = llm.record(talk, _interaction(account))
    yield Case(
        "",
        lambda: llm.delete(talk, made.interaction_id, made.generated_at, account_id=account),
        lambda _: "deleted",
    )


def llm_delete_all(stage: Stage) -> Iterator[Case]:
    llm, (_, account) = stage.store.llm, _interactions(stage, 10)
    yield Case("10 interactions", lambda: llm.delete_all(account), deleted)


def llm_list_by_conversation(stage: Stage) -> Iterator[Case]:
    llm, (talk, _) = stage.store.llm, _interactions(stage, 5)
    yield Case("", lambda: llm.list_by_conversation(talk))


def llm_list_by_account(stage: Stage) -> Iterator[Case]:
    llm, (_, account) = stage.store.llm, _interactions(stage, 10)
    since = stage.clock() - timedelta(hours=1)
    yield Case("", lambda: llm.list_by_account(account))
    yield Case("a time range", lambda: llm.list_by_account(account, since=since))


def _hour(report: LLMReport) -> str:
    return f"{report.total_requests} requests, {report.total_tokens:,} tokens in an hour"


def reports_build(stage: Stage) -> Iterator[Case]:
    reports, (_, account) = stage.store.reports, _interactions(stage, 10)
    hour = Period(start=stage.clock() - timedelta(hours=1), end=stage.clock())
    yield Case("10 interactions", lambda: reports.build(account, hour), _hour)


def reports_get(stage: Stage) -> Iterator[Case]:
    reports, (_, account) = stage.store.reports, _interactions(stage, 1)
    report_id = reports.build(account, "2026-01").report_id
    yield Case("", lambda: reports.get(report_id))


def reports_list_by_account(stage: Stage) -> Iterator[Case]:
    reports, account = stage.store.reports, stage.fresh("account")
    for month in ("2026-01", "2026-02"):
        reports.build(account, month)
    yield Case("", lambda: reports.list_by_account(account))


def reports_load(stage: Stage) -> Iterator[Case]:
    reports, account = stage.store.reports, stage.fresh("account")
    report = reports.build(account, "2026-01")
    elsewhere = report.model_copy(update={"report_id": stage.fresh("report")})
    yield Case("", lambda: reports.load(elsewhere))


def reports_delete(stage: Stage) -> Iterator[Case]:
    reports, account = stage.store.reports, stage.fresh("account")
    made = reports.build(account, "2026-01")
    yield Case("", lambda: reports.delete(made.report_id), lambda _: "deleted")


def reports_delete_all(stage: Stage) -> Iterator[Case]:
    reports, account = stage.store.reports, stage.fresh("account")
    for month in ("2026-01", "2026-02"):
        reports.build(account, month)
    yield Case("", lambda: reports.delete_all(account), deleted)


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


def invocations_record(stage: Stage) -> Iterator[Case]:
    invocations, account = stage.store.invocations, stage.fresh("account")
    own = _invocation(account, stage.fresh("invocation"))
    yield Case("", lambda: invocations.record(_invocation(account)))
    yield Case("with the caller's id", lambda: invocations.record(own))


def invocations_get(stage: Stage) -> Iterator[Case]:
    invocations = stage.store.invocations
    made = invocations.record(_invocation(stage.fresh("account")))
    yield Case("", lambda: invocations.get(made.invocation_id))


def invocations_list_by_account(stage: Stage) -> Iterator[Case]:
    invocations, account = stage.store.invocations, stage.fresh("account")
    for _ in range(10):
        stage.later()
        invocations.record(_invocation(account))
    yield Case("", lambda: invocations.list_by_account(account))


def invocations_delete(stage: Stage) -> Iterator[Case]:
    invocations = stage.store.invocations
    made = invocations.record(_invocation(stage.fresh("account")))
    yield Case("", lambda: invocations.delete(made.invocation_id), lambda _: "deleted")


def invocations_delete_all(stage: Stage) -> Iterator[Case]:
    invocations, account = stage.store.invocations, stage.fresh("account")
    for _ in range(10):
        invocations.record(_invocation(account))
    yield Case("10 invocations", lambda: invocations.delete_all(account), deleted)
