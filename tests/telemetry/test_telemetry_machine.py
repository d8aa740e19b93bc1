"""Interactions, reports and invocations against plain lists: any calls in any order."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from dynamo_chat import Invocation, LLMInteraction, LLMReport, NewInteraction, NewInvocation
from dynamo_chat.core.errors import AlreadyExists, NotFound
from dynamo_chat.telemetry.reports import INDEX_BEHIND
from dynamo_chat.testing import Engine
from tests.machines import walks
from tests.mail.scenes import open_scene
from tests.scene import Scene
from tests.telemetry.samples import new_interaction, new_invocation

START = datetime(2024, 1, 30, tzinfo=UTC)
ACCOUNTS = ("a-1", "a-2")
CONVERSATIONS = ("c-1", "c-2")
MONTHS = ("2024-01", "2024-02")

accounts = st.sampled_from(ACCOUNTS)
days = st.integers(0, 4).map(lambda day: START + timedelta(days=day))
news = st.builds(
    new_interaction,
    account_id=accounts,
    generated_at=days,
    function_name=st.sampled_from(["generate_email", "llm_response"]),
    model_used=st.sampled_from(["llama", "gpt"]),
    interaction_id=st.sampled_from([None, None, "i-1", "i-2"]),
    prompt_tokens=st.integers(0, 9),
    cost_usd=st.sampled_from([None, Decimal("0.1"), Decimal("0.000000000001")]),
    quality_score=st.sampled_from([None, Decimal("0.5"), Decimal(1)]),
    prompt=st.sampled_from([None, "Say something."]),
)
invocations = st.builds(
    new_invocation,
    account_id=accounts,
    invocation_id=st.sampled_from([None, "v-1", "v-2"]),
    invoked_at=st.none() | days,
    status=st.sampled_from(["success", "timeout"]),
)


class TelemetryMachine(RuleBasedStateMachine):
    """Two accounts, two conversations, five days."""

    engine: ClassVar[Engine]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.scene: Scene = self.stack.enter_context(open_scene(self.engine))
        self.store = self.scene.store
        self.interactions: list[LLMInteraction] = []
        self.invocations: list[Invocation] = []
        self.reports: dict[tuple[str, str], LLMReport] = {}

    def teardown(self) -> None:
        self.stack.close()

    @rule(conversation=st.sampled_from(CONVERSATIONS), new=news)
    def record(self, conversation: str, new: NewInteraction) -> None:
        self.scene.clock.advance(1)
        name = (conversation, new.generated_at, new.interaction_id)
        for there in self.interactions:
            if (there.conversation_id, there.generated_at, there.interaction_id) == name:
                break
        else:
            self.interactions.append(self.store.llm.record(conversation, new))
            return
        said = {field: getattr(there, field) for field in NewInteraction.model_fields}
        if said == {**new.__dict__, "total_tokens": there.total_tokens} and (
            there.total_tokens == new.prompt_tokens + new.response_tokens
        ):
            assert self.store.llm.record(conversation, new) == there
        else:
            with pytest.raises(AlreadyExists) as refused:
                self.store.llm.record(conversation, new)
            # What another account has is not shown.
            seen = there if there.account_id == new.account_id else None
            assert refused.value.current == seen

    @rule(new=invocations)
    def invoke(self, new: NewInvocation) -> None:
        self.scene.clock.advance(1)
        there = next((v for v in self.invocations if v.invocation_id == new.invocation_id), None)
        if there is None:
            self.invocations.append(self.store.invocations.record(new))
            return
        said = {field: getattr(there, field) for field in NewInvocation.model_fields}
        if said == {**new.__dict__, "invoked_at": new.invoked_at or there.invoked_at}:
            assert self.store.invocations.record(new) == there
        else:
            with pytest.raises(AlreadyExists) as refused:
                self.store.invocations.record(new)
            # What another account has is not shown.
            seen = there if there.account_id == new.account_id else None
            assert refused.value.current == seen

    @rule(account=accounts, month=st.sampled_from(MONTHS))
    def build(self, account: str, month: str) -> None:
        self.scene.clock.advance(INDEX_BEHIND)  # before that, a report that counts more stays
        report = self.store.reports.build(account, month)
        mine = [
            each
            for each in self.interactions
            if each.account_id == account and each.generated_at.strftime("%Y-%m") == month
        ]
        assert report.total_requests == len(mine)
        assert report.total_tokens == sum(each.total_tokens for each in mine)
        assert report.total_cost_usd == sum(each.cost_usd or 0 for each in mine)
        assert sum(report.function_breakdown.values()) == len(mine)
        assert sum(usage.requests for usage in report.model_usage.values()) == len(mine)
        assert report.report_period == month
        self.reports[account, month] = report

    @precondition(lambda self: self.interactions)
    @rule(conversation=st.sampled_from(CONVERSATIONS))
    def forget(self, conversation: str) -> None:
        """Deleting what belongs to a conversation takes its interactions out of the accounts'."""
        mine = [e for e in self.interactions if e.conversation_id == conversation]
        if not mine:
            with pytest.raises(NotFound):
                self.store.threads.delete(conversation)
            return
        self.store.threads.delete(conversation)
        self.interactions = [e for e in self.interactions if e not in mine]

    @rule(account=accounts, since=days, until=days, size=st.integers(1, 4))
    def read(self, account: str, since: datetime, until: datetime, size: int) -> None:
        since, until = sorted((since, until))
        expected = [
            each.interaction_id
            for each in self.interactions
            if each.account_id == account and since <= each.generated_at < until
        ]
        listed = self._all(self.store.llm.list_by_account, account, size, since, until)
        assert sorted(each.interaction_id for each in listed) == sorted(expected)
        times = [each.generated_at for each in listed]
        assert times == sorted(times, reverse=True)
        invoked = self._all(self.store.invocations.list_by_account, account, size, None, None)
        assert sorted(invoked, key=str) == sorted(
            (each for each in self.invocations if each.account_id == account), key=str
        )
        reports = self._all(self.store.reports.list_by_account, account, size, None, None)
        assert reports == [
            self.reports[account, month]
            for month in sorted(MONTHS, reverse=True)
            if (account, month) in self.reports
        ]

    @rule(conversation=st.sampled_from(CONVERSATIONS), size=st.integers(1, 4))
    def read_conversation(self, conversation: str, size: int) -> None:
        listed = self._all(self.store.llm.list_by_conversation, conversation, size, None, None)
        assert sorted(listed, key=str) == sorted(
            (each for each in self.interactions if each.conversation_id == conversation), key=str
        )

    @staticmethod
    def _all(
        listing: Any, name: str, size: int, since: datetime | None, until: datetime | None
    ) -> list[Any]:
        found: list[Any] = []
        cursor = None
        while True:
            page = listing(name, since=since, until=until, page_size=size, cursor=cursor)
            found += page
            cursor = page.cursor
            if cursor is None:
                return found


@pytest.mark.once
@pytest.mark.engine
def test_telemetry_does_what_plain_lists_do(dynamo_chat_engine: Engine) -> None:
    class Machine(TelemetryMachine):
        engine = dynamo_chat_engine

    run_state_machine_as_test(Machine, settings=walks(dynamo_chat_engine))
