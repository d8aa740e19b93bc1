"""LLM interactions: recorded, listed by conversation and by account (L1)."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dynamo_chat import LLMInteraction, LLMUsage, NewInteraction, keyspace
from dynamo_chat.core.clock import ulid_ids
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument
from dynamo_chat.core.sharding import shard_of
from dynamo_chat.core.size import item_size
from dynamo_chat.testing import DropAnswer, FaultInjector, RequestMeter
from tests.scene import Scene
from tests.telemetry.samples import new_interaction

pytestmark = pytest.mark.engine

MINUTE = timedelta(minutes=1)


def test_an_interaction_comes_back_with_every_attribute(scene: Scene) -> None:
    new = NewInteraction(
        account_id="account-uuid",
        function_name="llm_response",
        model_used="meta-llama/Llama-3.3-70B-Instruct-Turbo",
        prompt_tokens=150,
        response_tokens=200,
        total_tokens=351,
        response_time_ms=2_500,
        quality_score=Decimal("0.88"),
        cost_usd=Decimal("0.002500000001"),
        generated_at=datetime(2024, 1, 1, tzinfo=UTC),
        interaction_id="i-1",
        temperature=0.7,
        top_p=0.7,
        max_tokens=512,
        prompt="Original prompt text",
        response="Generated response text",
        metadata={"trace": [1, None]},
    )
    made = scene.store.llm.record("conv-uuid", new)
    assert {name: getattr(made, name) for name in NewInteraction.model_fields} == new.__dict__
    assert isinstance(made, LLMInteraction)
    assert [*scene.store.llm.list_by_conversation("conv-uuid", consistent=True)] == [made]
    (usage,) = scene.store.llm.list_by_account("account-uuid")
    assert type(usage) is LLMUsage
    assert usage.__dict__ == {name: getattr(made, name) for name in LLMUsage.model_fields}


def test_an_interaction_needs_no_content_and_no_thread(scene: Scene) -> None:
    made = scene.store.llm.record("c-1", new_interaction())
    assert (made.total_tokens, made.generated_at) == (350, scene.clock())
    assert (made.prompt, made.response, made.metadata, made.has_content) == (None, None, {}, False)
    assert scene.kinds() == {"llm_usage": 1}
    empty = scene.store.llm.record("c-1", new_interaction(prompt="", response=""))
    assert empty.has_content
    found = scene.store.llm.list_by_conversation("c-1")
    assert {each.interaction_id: each for each in found} == {
        made.interaction_id: made,
        empty.interaction_id: empty,
    }


@pytest.mark.parametrize("newest_first", [False, True])
def test_lists_are_in_time_order_and_in_pages(scene: Scene, newest_first: bool) -> None:
    start = scene.clock() - timedelta(days=1)
    made = []
    for minute in (3, 0, 5, 1, 4, 2, 6):
        prompt = f"prompt {minute}" if minute % 2 else None
        new = new_interaction(generated_at=start + minute * MINUTE, prompt=prompt)
        made.append(scene.store.llm.record("c-1", new))
    scene.store.llm.record("c-2", new_interaction(account_id="a-2"))
    expected = sorted(made, key=lambda each: each.generated_at, reverse=newest_first)
    for size in (1, 2, 3, 7, 20):
        for listed, name in (
            (scene.store.llm.list_by_conversation, "c-1"),
            (scene.store.llm.list_by_account, "a-1"),
        ):
            found: list[LLMUsage] = []
            cursor = None
            while True:
                page = listed(name, newest_first=newest_first, page_size=size, cursor=cursor)
                found += page
                cursor = page.cursor
                if cursor is None:
                    break
            assert [each.interaction_id for each in found] == [e.interaction_id for e in expected]
    within: dict[str, Any] = {"since": start + MINUTE, "until": start + 4 * MINUTE}
    inside = [each for each in expected if MINUTE <= each.generated_at - start < 4 * MINUTE]
    by_conversation = scene.store.llm.list_by_conversation(
        "c-1", newest_first=newest_first, **within
    )
    assert [*by_conversation] == inside
    by_account = scene.store.llm.list_by_account("a-1", newest_first=newest_first, **within)
    assert [e.interaction_id for e in by_account] == [e.interaction_id for e in inside]


def test_recording_again_records_once(scene: Scene) -> None:
    for content in ({}, {"prompt": "Say something."}):
        new = new_interaction(
            interaction_id=f"i-{len(content)}", generated_at=scene.clock(), **content
        )
        made = scene.store.llm.record("c-1", new)
        assert scene.store.llm.record("c-1", new) == made
        for other in ({"prompt_tokens": 1}, {"response": "Other."}):
            with pytest.raises(AlreadyExists) as refused:
                scene.store.llm.record("c-1", new.model_copy(update=other))
            assert refused.value.current == made
    assert len(scene.store.llm.list_by_conversation("c-1")) == 2


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("prompt", [None, "Say something."])
def test_an_interaction_whose_answer_was_lost_is_recorded_once(
    scene: Scene, prompt: str | None
) -> None:
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer())
        made = scene.store.llm.record("c-1", new_interaction(prompt=prompt))
        assert faults.injected
    assert [*scene.store.llm.list_by_conversation("c-1")] == [made]


def test_budgets(scene: Scene) -> None:
    with RequestMeter(scene.store.connection.client) as meter:
        scene.store.llm.record("c-1", new_interaction())
        assert (meter.count, meter.wcu) == (1, 7)
        meter.reset()
        scene.store.llm.record("c-1", new_interaction(prompt="p" * 500, response="r" * 400))
        assert (meter.count, meter.wcu) == (1, 9)
        meter.reset()
        scene.store.llm.list_by_conversation("c-1")
        assert meter.count == 1
        meter.reset()
        scene.store.llm.list_by_account("a-1")
        assert meter.count == keyspace.LLM_SHARDS


def test_usage_costs_one_unit_in_the_index_whatever_was_said(scene: Scene) -> None:
    """What the arithmetic of the shards rests on: under a kilobyte, and spread evenly."""
    scene.store.llm.record(
        "01JGZ5W8Q4M6X2T9V7N3K1B0RA",
        new_interaction(
            model_used="meta-llama/Llama-3.3-70B-Instruct-Turbo",
            cost_usd=Decimal("0.000123456789"),
            quality_score=Decimal("0.881234"),
            temperature=0.7,
            top_p=0.7,
            max_tokens=512,
        ),
    )
    assert max(item_size(item) for item in scene.items()) < 600
    for shards in (keyspace.LLM_SHARDS, keyspace.INVOCATION_SHARDS):
        ids = [ulid_ids(scene.clock()) for _ in range(4_000)]
        found = Counter(shard_of(each, shards) for each in ids)
        assert len(found) == shards
        # Each shard takes its part, give or take a fifth: seven standard deviations.
        assert all(0.8 < number * shards / len(ids) < 1.2 for number in found.values())


def test_bad_input_writes_nothing(scene: Scene) -> None:
    bad: tuple[dict[str, Any], ...] = (
        {"account_id": ""},
        {"function_name": None},
        {"model_used": 5},
        {"prompt_tokens": -1},
        {"response_tokens": 1.5},
        {"total_tokens": -1},
        {"response_time_ms": -1},
        {"cost_usd": 0.0025},  # a float is not exact
        {"cost_usd": Decimal("-0.01")},
        {"cost_usd": Decimal("NaN")},
        {"cost_usd": Decimal("0.0000000000001")},  # the 13th place
        {"cost_usd": Decimal(10**15)},
        {"quality_score": 0.5},
        {"quality_score": Decimal("Infinity")},
        {"generated_at": datetime(2024, 1, 1)},  # noqa: DTZ001
        {"temperature": float("nan")},
        {"prompt": b"bytes"},
        {"metadata": {1: 2}},
    )
    for fields in bad:
        with pytest.raises(InvalidArgument, match=next(iter(fields))):
            new_interaction(**fields)
    with pytest.raises(InvalidArgument, match="generated_at"):
        new_interaction(interaction_id="i-1")
    with pytest.raises(InvalidArgument):
        scene.store.llm.record("", new_interaction())
    with pytest.raises(InvalidArgument, match="NewInteraction"):
        scene.store.llm.record("c-1", {})  # type: ignore[arg-type]
    assert scene.items() == []


def test_an_interaction_of_the_future_is_refused(scene: Scene) -> None:
    """It would be the first of its account for as long; clocks may differ by five minutes."""
    now = scene.clock()
    with pytest.raises(InvalidArgument, match="generated_at"):
        scene.store.llm.record("c-1", new_interaction(generated_at=now + 6 * MINUTE))
    assert scene.items() == []
    soon = now + 5 * MINUTE
    assert scene.store.llm.record("c-1", new_interaction(generated_at=soon)).generated_at == soon
