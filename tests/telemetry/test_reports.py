"""Reports: equal to a plain recomputation, built once, found and listed (L2)."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings, strategies as st

from dynamo_chat import LLMInteraction, LLMReport, LLMUsage, ModelUsage, Period, keyspace
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, ItemTooLarge, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.telemetry.reports import OTHERS
from dynamo_chat.testing import DropAnswer, FaultInjector, RequestMeter
from tests.scene import Scene
from tests.telemetry.samples import new_interaction

pytestmark = pytest.mark.engine

JANUARY = Period.month("2024-01")
MICROSECOND = timedelta(microseconds=1)
INSTANTS = (
    JANUARY.start - MICROSECOND,
    JANUARY.start,
    JANUARY.start + MICROSECOND,
    JANUARY.start + timedelta(days=14),
    JANUARY.end - MICROSECOND,
    JANUARY.end,
    JANUARY.end + MICROSECOND,
)
amounts = st.decimals(0, 1_000, places=12)
interactions = st.fixed_dictionaries(
    {
        "generated_at": st.sampled_from(INSTANTS),
        "model_used": st.sampled_from(["llama", "gpt", "größe 🙂"]),
        "function_name": st.sampled_from(["generate_email", "llm_response"]),
        "prompt_tokens": st.integers(0, 10**6),
        "response_tokens": st.integers(0, 10**6),
        "response_time_ms": st.integers(0, 10**6),
        "cost_usd": st.none() | amounts,
        "quality_score": st.none() | amounts,
        "prompt": st.none() | st.just("Say something."),
    }
)


def recomputed(report: LLMReport, of: list[LLMInteraction], period: Period) -> dict[str, Any]:
    """What the report must say, the plain way."""
    inside = [each for each in of if period.start <= each.generated_at < period.end]
    with localcontext() as context:
        context.prec = 100

        def mean(values: list[Decimal]) -> Decimal | None:
            if not values:
                return None
            exact = sum(values, Decimal(0)) / len(values)
            return exact.quantize(Decimal("0.000001"), rounding=ROUND_HALF_EVEN)

        def cost(some: list[LLMInteraction]) -> Decimal:
            return sum((each.cost_usd or Decimal(0) for each in some), Decimal(0))

        models = {each.model_used for each in inside}
        return {
            "report_id": report.report_id,
            "account_id": "a-1",
            "report_period": period.name,
            "period_start": period.start,
            "period_end": period.end,
            "generated_at": report.generated_at,
            "total_requests": len(inside),
            "total_tokens": sum(each.prompt_tokens + each.response_tokens for each in inside),
            "total_cost_usd": cost(inside),
            "average_response_time_ms": mean([Decimal(e.response_time_ms) for e in inside]),
            "average_quality_score": mean(
                [each.quality_score for each in inside if each.quality_score is not None]
            ),
            "model_usage": {
                model: {
                    "requests": len(of_model),
                    "tokens": sum(e.prompt_tokens + e.response_tokens for e in of_model),
                    "cost": cost(of_model),
                }
                for model in models
                for of_model in [[each for each in inside if each.model_used == model]]
            },
            "function_breakdown": Counter(each.function_name for each in inside),
        }


@pytest.mark.once
@settings(max_examples=max(8, settings().max_examples // 200))
@given(data=st.lists(interactions, max_size=12))
def test_a_report_equals_a_plain_recomputation(
    dynamo_chat_engine: Any, data: list[dict[str, Any]]
) -> None:
    store = dynamo_chat_engine.store(f"report-{uuid4()}")
    try:
        made = [
            store.llm.record(f"c-{number % 3}", new_interaction(**fields))
            for number, fields in enumerate(data)
        ]
        store.llm.record("c-9", new_interaction(account_id="a-2", generated_at=JANUARY.start))
        short = Period(start=JANUARY.start + MICROSECOND, end=JANUARY.end - MICROSECOND)
        for asked, period in (("2024-01", JANUARY), (JANUARY, JANUARY), (short, short)):
            report = store.reports.build("a-1", asked)
            assert report.model_dump() == recomputed(report, made, period)
            assert store.reports.get(report.report_id) == report
        assert len(store.reports.list_by_account("a-1")) == 2
    finally:
        store.connection.client.delete_table(TableName=store.connection.table_name)


def test_building_twice_gives_one_report(scene: Scene) -> None:
    reports = scene.store.reports
    scene.store.llm.record("c-1", new_interaction(generated_at=JANUARY.start))
    first = reports.build("a-1", "2024-01")
    assert reports.build("a-1", JANUARY) == first
    scene.store.llm.record("c-1", new_interaction(generated_at=JANUARY.end - MICROSECOND))
    scene.clock.advance(60)
    second = reports.build("a-1", "2024-01")
    assert (second.report_id, second.total_requests) == (first.report_id, 2)
    assert second.generated_at == scene.clock()
    assert [*reports.list_by_account("a-1")] == [second]
    # One that was begun before, on another server, does not replace it.
    scene.clock.advance(-30)
    assert reports.build("a-1", "2024-01") == second
    assert scene.kinds()["llm_report"] == 1


def test_a_report_made_elsewhere_is_loaded_as_it_is(scene: Scene) -> None:
    """The document's own: totals above their parts, under an id of its own."""
    reports = scene.store.reports
    built = reports.build("a-1", "2024-01")
    elsewhere = built.model_copy(
        update={
            "report_id": "report-uuid",
            "total_requests": 1_500,
            "total_cost_usd": Decimal("12.50"),
            "model_usage": {"llama": ModelUsage(requests=1_200, tokens=9, cost=Decimal(10))},
            "function_breakdown": {"generate_email": 800, "llm_response": 700},
        }
    )
    assert reports.load(elsewhere) == reports.load(elsewhere) == elsewhere
    assert reports.get("report-uuid") == elsewhere
    assert reports.build("a-1", "2024-01").report_id == built.report_id
    assert {each.report_id for each in reports.list_by_account("a-1")} == {
        built.report_id,
        "report-uuid",
    }
    with pytest.raises(AlreadyExists) as refused:
        reports.load(elsewhere.model_copy(update={"total_requests": 1}))
    assert refused.value.current == elsewhere
    empty = built.model_copy(update={"report_id": "r-2", "period_end": built.period_start})
    for wrong in (None, {}, elsewhere.model_dump(), empty):
        with pytest.raises(InvalidArgument, match="report"):
            reports.load(wrong)  # type: ignore[arg-type]
    assert scene.kinds() == {"llm_report": 2}


def test_no_interaction_is_too_large_for_a_report(scene: Scene) -> None:
    """What is taken can be added up: the most that an interaction may say, many times over."""
    most = 10**15
    for number in range(3):
        new = new_interaction(
            prompt_tokens=most,
            response_tokens=most,
            response_time_ms=most,
            cost_usd=Decimal("999999999999999.999999999999"),
            generated_at=JANUARY.start + number * MICROSECOND,
        )
        scene.store.llm.record("c-1", new)
    report = scene.store.reports.build("a-1", "2024-01")
    assert (report.total_tokens, report.average_response_time_ms) == (6 * most, Decimal(most))
    assert report.total_cost_usd == 3 * Decimal("999999999999999.999999999999")
    for field in ("prompt_tokens", "response_tokens", "response_time_ms"):
        with pytest.raises(InvalidArgument, match=field):
            new_interaction(**{field: most + 1})
    with pytest.raises(InvalidArgument, match="total_tokens"):
        new_interaction(total_tokens=2 * most + 1)


def test_a_report_of_nothing(scene: Scene) -> None:
    report = scene.store.reports.build("a-1", "2024-02")
    assert (report.total_requests, report.total_tokens) == (0, 0)
    assert report.total_cost_usd == Decimal(0)
    assert (report.average_response_time_ms, report.average_quality_score) == (None, None)
    assert (report.model_usage, report.function_breakdown) == ({}, {})
    assert scene.store.reports.get(report.report_id) == report


def test_interactions_without_a_score_do_not_count_in_its_mean(scene: Scene) -> None:
    for score in (Decimal("0.5"), None, Decimal("0.75"), None):
        scene.store.llm.record(
            "c-1", new_interaction(quality_score=score, generated_at=JANUARY.start)
        )
    report = scene.store.reports.build("a-1", "2024-01")
    assert report.average_quality_score == Decimal("0.625")
    assert report.total_requests == 4


def test_reports_are_listed_by_their_period(scene: Scene) -> None:
    reports = scene.store.reports
    week = Period(start=JANUARY.start, end=JANUARY.start + timedelta(days=7))
    built = [reports.build("a-1", period) for period in ("2024-02", "2023-12", week, "2024-01")]
    reports.build("a-2", "2024-01")
    in_order = [built[1], built[2], built[3], built[0]]
    assert [*reports.list_by_account("a-1", newest_first=False)] == in_order
    page = reports.list_by_account("a-1", page_size=3)
    assert [*page] == in_order[:0:-1]
    assert [*reports.list_by_account("a-1", page_size=3, cursor=page.cursor)] == in_order[:1]
    within = reports.list_by_account("a-1", since=JANUARY.start, until=JANUARY.end)
    assert [*within] == [built[3], built[2]]
    assert [r.report_period for r in within] == [
        "2024-01",
        "2024-01-01T00:00:00.000000Z/2024-01-08T00:00:00.000000Z",
    ]


def test_budgets(scene: Scene) -> None:
    for _ in range(5):
        scene.store.llm.record("c-1", new_interaction())
    with RequestMeter(scene.store.connection.client) as meter:
        report = scene.store.reports.build("a-1", scene.clock().strftime("%Y-%m"))
        assert meter.operations() == {"Query": keyspace.LLM_SHARDS, "PutItem": 1}
        meter.reset()
        scene.store.reports.get(report.report_id)
        scene.store.reports.list_by_account("a-1")
        assert meter.count == 2


@pytest.mark.usefixtures("no_backoff")
def test_a_lost_answer_changes_nothing(scene: Scene) -> None:
    scene.store.llm.record("c-1", new_interaction(generated_at=JANUARY.start))
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer(), operation="PutItem")
        report = scene.store.reports.build("a-1", "2024-01")
        assert faults.injected
    assert [*scene.store.reports.list_by_account("a-1")] == [report]


@pytest.mark.parametrize("year", [1, 2023, 2024, 9999])
def test_months(year: int) -> None:
    for month in range(1, 12 if year == 9999 else 13):
        period = Period.month(f"{year:04d}-{month:02d}")
        assert period.start == datetime(year, month, 1, tzinfo=UTC)
        assert (period.end - MICROSECOND).month == month
        assert (period.end.day, period.end.month) == (1, month % 12 + 1)
        assert period.name == f"{year:04d}-{month:02d}"


def test_bad_input_writes_nothing(scene: Scene) -> None:
    start = JANUARY.start
    for bad in ("2024-13", "2024-1", "24-01", "2024", "0000-01", "9999-12", "", None, 202401):
        with pytest.raises(InvalidArgument, match="period"):
            scene.store.reports.build("a-1", bad)  # type: ignore[arg-type]
    for end in (start, start - MICROSECOND, datetime(2024, 2, 1)):  # noqa: DTZ001
        with pytest.raises(InvalidArgument):
            Period(start=start, end=end)
    with pytest.raises(InvalidArgument):
        scene.store.reports.build("", "2024-01")
    with pytest.raises(NotFound):
        scene.store.reports.get("no-such-report")
    assert scene.items() == []


def crowded(scene: Scene, count: int) -> None:
    """Interactions of so many models and functions, all with names as long as can be."""
    dice = random.Random(count)
    items = []
    for number in range(count):
        name = f"{number:04}" + "".join(chr(0x20000 + dice.randrange(40_000)) for _ in range(252))
        usage = LLMUsage(
            conversation_id="c-1",
            generated_at=scene.clock(),
            interaction_id=f"i-{number}",
            account_id="a-1",
            function_name=name,
            model_used=name,
            prompt_tokens=1,
            response_tokens=1,
            total_tokens=2,
            response_time_ms=1,
            cost_usd=Decimal("0.1"),
        )
        items.append({"PutRequest": {"Item": plan(LLMUsage).encode(usage)}})
    table = scene.store.connection.table_name
    for start in range(0, count, 25):
        scene.client.batch_write_item(RequestItems={table: items[start : start + 25]})


def test_long_names_by_the_hundred_make_no_report_impossible(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The most used are told apart; the rest is added up, and everything adds up."""
    crowded(scene, 420)
    month = scene.clock().strftime("%Y-%m")
    with monkeypatch.context() as patched:
        patched.setattr("dynamo_chat.telemetry.reports.MAX_NAMES", 420)
        with pytest.raises(ItemTooLarge):
            scene.store.reports.build("a-1", month)
    for often in ("b", "a"):
        for _ in range(2):
            fields = {"model_used": often, "function_name": often, "prompt_tokens": 7}
            scene.store.llm.record("c-1", new_interaction(**fields))
    report = scene.store.reports.build("a-1", month)
    assert report == scene.store.reports.get(report.report_id, consistent=True)
    assert (report.total_requests, report.total_cost_usd) == (424, Decimal(42))
    usage = report.model_usage
    assert len(usage) == len(report.function_breakdown) == 101
    assert (usage["a"].requests, usage["b"].requests, usage[OTHERS].requests) == (2, 2, 420 - 98)
    assert report.function_breakdown[OTHERS] == 420 - 98
    assert sum(each.requests for each in usage.values()) == report.total_requests
    assert sum(each.tokens for each in usage.values()) == report.total_tokens
    assert sum(each.cost for each in usage.values()) == report.total_cost_usd
    assert sum(report.function_breakdown.values()) == report.total_requests
    # Of those used equally often, the first by name: the same whatever was read first.
    assert [name[:4] for name in usage if name[:4].isdigit()] == [f"{n:04}" for n in range(98)]


def test_a_hundred_names_are_all_told_apart(scene: Scene) -> None:
    crowded(scene, 100)
    report = scene.store.reports.build("a-1", scene.clock().strftime("%Y-%m"))
    assert len(report.model_usage) == len(report.function_breakdown) == 100
    assert OTHERS not in report.model_usage


def test_what_is_kept_in_mind_while_counting_is_bounded(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond ten thousand names further ones are added up at once."""
    monkeypatch.setattr("dynamo_chat.telemetry.reports.MAX_COUNTED_NAMES", 3)
    crowded(scene, 8)
    report = scene.store.reports.build("a-1", scene.clock().strftime("%Y-%m"))
    assert len(report.model_usage) == 4
    assert report.model_usage[OTHERS].requests == report.function_breakdown[OTHERS] == 5
    assert sum(each.cost for each in report.model_usage.values()) == report.total_cost_usd


def test_a_report_made_elsewhere_has_bounded_names(scene: Scene) -> None:
    built = scene.store.reports.build("a-1", "2024-01")
    for field, value in (("function_breakdown", 1), ("model_usage", _NOTHING)):
        for names in ([str(n) for n in range(1_001)], ["x" * 257], [""]):
            changes = {"report_id": "r-1", field: dict.fromkeys(names, value)}
            with pytest.raises(InvalidArgument, match=f"report.{field}"):
                scene.store.reports.load(built.model_copy(update=changes))


_NOTHING = ModelUsage(requests=0, tokens=0, cost=Decimal(0))
