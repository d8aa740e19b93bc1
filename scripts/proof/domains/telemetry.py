"""LLM interactions and invocations: recorded once each, and all of them counted in reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from dynamo_chat import ChatStore, NewInteraction, NewInvocation
from dynamo_chat.telemetry.invocations import Invocation
from dynamo_chat.telemetry.llm import LLMContent, LLMUsage
from proof.evidence import Claim, Evidence, Violation
from proof.history import Call, Json
from proof.steps import Action, Args, Dice, Domain, Step, alone

ACCOUNTS: Final = tuple(f"client-{number}" for number in range(3))
MONTH: Final = "2024-02"
START: Final = datetime(2024, 2, 1, tzinfo=UTC)


def _record(store: ChatStore, args: Args) -> Json:
    interaction = NewInteraction(
        account_id=args["account"],
        function_name="answer",
        model_used="a model",
        prompt_tokens=args["tokens"],
        response_tokens=1,
        response_time_ms=10,
        generated_at=START + timedelta(seconds=args["second"]),
        interaction_id=args["id"],
        prompt=args["id"],
    )
    store.llm.record(args["conversation"], interaction)


def _invoke(store: ChatStore, args: Args) -> Json:
    invocation = NewInvocation(
        account_id=args["account"],
        function_name=args["id"],
        status="success",
        duration_ms=Decimal(1),
        invocation_id=args["id"],
    )
    store.invocations.record(invocation)


def _report(store: ChatStore, args: Args) -> Json:
    built = store.reports.build(args["account"], MONTH)
    return {"requests": built.total_requests, "tokens": built.total_tokens}


def _walk(store: ChatStore, args: Args) -> Json:
    ids: list[str] = []
    cursor = None
    while True:
        page = store.llm.list_by_account(args["account"], page_size=40, cursor=cursor)
        ids += [each.interaction_id for each in page]
        cursor = page.cursor
        if cursor is None:
            return ids


def _plan_record(dice: Dice) -> Args:
    return {
        "account": dice.choice(ACCOUNTS),
        "conversation": f"chat-{dice.randrange(8)}",
        "tokens": dice.randrange(1, 100),
        "second": dice.randrange(2_000_000),
        "id": dice.fresh("llm"),
    }


def _plan_twice(dice: Dice) -> Sequence[Step]:
    """Two workers record the same interaction at once."""
    return [Step("telemetry.record", _plan_record(dice))] * 2


def _setup() -> Iterable[Step]:
    return ()


def _settle(calls: Sequence[Call]) -> Iterator[Step]:
    del calls
    for account in ACCOUNTS:
        yield Step("telemetry.report", {"account": account})
        yield Step("telemetry.walk", {"account": account})


def _claims_usage(call: Call) -> Iterable[Claim]:
    yield Claim(f"interaction {call.args['id']} of {call.args['conversation']}")


def _claims_invocation(call: Call) -> Iterable[Claim]:
    yield Claim(f"invocation {call.args['id']} of {call.args['account']}")


def _found(evidence: Evidence) -> Iterator[str]:
    for content in evidence.entities(LLMContent):
        yield f"interaction {content.prompt} of {content.conversation_id}"
    for invocation in evidence.entities(Invocation):
        yield f"invocation {invocation.function_name} of {invocation.account_id}"


def _pairs(evidence: Evidence) -> Iterator[Violation]:
    """Every interaction has both its usage and its content."""
    usages = {(each.conversation_id, each.interaction_id) for each in evidence.entities(LLMUsage)}
    contents = {
        (each.conversation_id, each.interaction_id) for each in evidence.entities(LLMContent)
    }
    if usages != contents:
        yield Violation("half an interaction", f"{sorted(usages ^ contents)}")


def _reports(evidence: Evidence) -> Iterator[Violation]:
    """The last report and the last list of an account agree with its usage."""
    requests: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for usage in evidence.entities(LLMUsage):
        requests[usage.account_id] += 1
        tokens[usage.account_id] += usage.total_tokens
    for call in evidence.of("telemetry.report", "telemetry.walk"):
        if not call.is_ok or not call.call_id.startswith("end-"):
            continue
        account = call.args["account"]
        if call.kind == "telemetry.walk":
            if len(call.result) != requests[account] or len(set(call.result)) < len(call.result):
                yield Violation("an account's list", f"{requests[account]} are there: {call}")
        elif call.result != {"requests": requests[account], "tokens": tokens[account]}:
            yield Violation("a report", f"{requests[account]}, {tokens[account]} tokens: {call}")


DOMAIN: Final = Domain(
    name="telemetry",
    weight=1,
    actions={
        "telemetry.record": Action(_record, claims=_claims_usage),
        "telemetry.invoke": Action(_invoke, claims=_claims_invocation),
        "telemetry.report": Action(_report),
        "telemetry.walk": Action(_walk),
    },
    plans=[
        (6, alone("telemetry.record", _plan_record)),
        (2, _plan_twice),
        (
            4,
            alone(
                "telemetry.invoke",
                lambda dice: {"account": dice.choice(ACCOUNTS), "id": dice.fresh("run")},
            ),
        ),
        (1, alone("telemetry.report", lambda dice: {"account": dice.choice(ACCOUNTS)})),
        (1, alone("telemetry.walk", lambda dice: {"account": dice.choice(ACCOUNTS)})),
    ],
    setup=_setup,
    settle=_settle,
    found=_found,
    checks=[("pairs of interactions", _pairs), ("reports", _reports)],
)
