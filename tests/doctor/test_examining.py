"""How an examination goes about it: pages, pace, progress, interruptions, junk."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.operations.doctor.doctor import Doctor, DoctorOptions, Examined
from dynamo_chat.operations.doctor.findings import CODES, MEANINGS
from dynamo_chat.operations.doctor.looks import judged, keys_of, relation_of
from dynamo_chat.operations.doctor.reading import Pace
from dynamo_chat.testing import Engine, FaultInjector, Throttled
from tests.doctor.damage import changed, gone
from tests.doctor.scene import doctor_of
from tests.laws.strategies import texts
from tests.scene import Item, Scene

# -- page by page ---------------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.parametrize("page_size", [1, 7])
def test_pages_change_nothing(scene: Scene, page_size: int) -> None:
    changed("email_thread", message_count={"N": "7"})(scene)
    gone("message_id")(scene)
    told: list[Examined] = []
    with doctor_of(scene, page_size=page_size) as doctor:
        report = doctor.examine(on_progress=told.append)
    assert {each.code for each in report.findings} == {"counter", "missing_item"}
    assert report.items == len(scene.items())
    assert [each.items for each in told] == sorted({each.items for each in told})
    assert told[-1].findings == 2
    assert report.read_units >= told[-1].read_units > 0


def test_the_last_partition_is_counted_too(dynamo_chat_engine: Engine) -> None:
    with Scene(dynamo_chat_engine) as scene, doctor_of(scene, page_size=1) as doctor:
        scene.new_store().conversations.create("ann", conversation_id="talk-ann")
        changed("conversation", message_count={"N": "7"})(scene)
        assert [each.code for each in doctor.examine().findings] == ["counter"]


def test_an_interrupted_examination_says_where_to_go_on(scene: Scene) -> None:
    changed("email_thread", message_count={"N": "7"})(scene)
    gone("message_id")(scene)
    changed("message", v={"N": "2"})(scene)
    with doctor_of(scene, page_size=7) as doctor:
        whole = doctor.examine().findings
        found, items, position, runs = [], 0, None, 0

        def interrupt(_: Examined) -> None:
            raise KeyboardInterrupt

        while runs == 0 or position is not None:
            report = doctor.examine(start=position, on_progress=interrupt)
            assert not report.is_complete
            found += report.findings
            items, position, runs = items + report.items, report.position, runs + 1
    assert runs > 5
    assert items == len(scene.items())
    assert set(found) == set(whole)


def test_a_position_is_a_reports(doctor: Doctor) -> None:
    for position in (
        "",
        "[]",
        "{}",
        "[" * 10_000,
        "9" * 40_000,
        "[" * 1_000_000,
        '{"PK": 1, "SK": 2}',
        '{"PK": {"S": 1}, "SK": {"S": "a"}}',
    ):
        with pytest.raises(InvalidArgument, match="start: must be a position"):
            doctor.examine(start=position)


def test_findings_beyond_the_limit_are_counted(scene: Scene) -> None:
    for kind in ("message_id", "review_id", "invite_id"):
        gone(kind)(scene)
    with doctor_of(scene, max_listed=2) as doctor:
        report = doctor.examine()
    assert (len(report.findings), report.unlisted) == (2, 1)
    assert report.as_dict()["counts"] == {"missing_item": 3}


def test_options_are_checked() -> None:
    options: list[tuple[str, Any]] = [
        ("read_units_per_second", 0),
        ("page_size", 0),
        ("page_size", 10_001),
        ("settle_seconds", -1),
    ]
    for name, value in options:
        with pytest.raises(InvalidArgument, match=name):
            DoctorOptions(**{name: value})


def test_every_code_is_explained() -> None:
    assert set(MEANINGS) == set(CODES)


# -- pace -----------------------------------------------------------------------------------------


class _Time:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.lists(st.tuples(st.floats(0.5, 200), st.floats(0, 10)), min_size=1, max_size=30))
def test_reads_keep_to_their_pace(requests: list[tuple[float, float]]) -> None:
    """However long requests and pauses take: never more units than the time allows, nor a burst."""
    time = _Time()
    pace = Pace(25, sleep=time.sleep, seconds=lambda: time.now)
    begun = [0.0]
    for units, took in requests:
        time.now += took
        pace.spend(units)
        begun.append(time.now)
    for (start, end), (units, _) in zip(pairwise(begun), requests, strict=True):
        assert end - start >= units / 25 - 1e-6
    assert pace.units == pytest.approx(sum(units for units, _ in requests))


def test_without_a_rate_nothing_waits() -> None:
    time = _Time()
    Pace(None, sleep=time.sleep, seconds=lambda: time.now).spend(1_000)
    assert time.now == 0


def test_all_reads_count(scene: Scene, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    gone("membership")(scene)
    operations: list[str] = []
    call = type(doctor._connection).call

    def noted(self: Any, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        units = self.pace.units
        answer = call(self, operation, request)
        operations.append(operation)
        assert self.pace.units > units
        return answer

    monkeypatch.setattr(type(doctor._connection), "call", noted)
    doctor.examine()
    assert {"Scan", "BatchGetItem"} <= set(operations)


def test_throttling_is_waited_for(scene: Scene, doctor: Doctor) -> None:
    with FaultInjector(doctor._connection.client) as faults:
        faults.plan(Throttled(), operation="Scan")
        assert doctor.examine().is_clean
    assert len(faults.injected) == 1


# -- junk -----------------------------------------------------------------------------------------

_leaves: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda value: {"S": value}, texts),
    st.builds(lambda value: {"N": str(value)}, st.integers() | st.floats(-1e9, 1e9)),
    st.builds(lambda value: {"BOOL": value}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(lambda value: {"B": value}, st.binary(max_size=20)),
    st.builds(lambda value: {"SS": [value]}, texts.filter(bool)),
)
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.builds(lambda value: {"L": value}, st.lists(inner, max_size=2))
        | st.builds(lambda value: {"M": value}, st.dictionaries(texts, inner, max_size=2))
    ),
    max_leaves=3,
)


@given(data=st.data())
def test_no_item_is_too_strange(
    furnished: tuple[Scene, Doctor, list[Item]], data: st.DataObject
) -> None:
    """Whatever is in an item, and in those that it is judged by: it is told, and nothing raises."""
    _, doctor, everything = furnished

    def strange() -> Item:
        item = dict(data.draw(st.sampled_from(everything)))
        for name in data.draw(st.lists(st.sampled_from(sorted(item)), max_size=2, unique=True)):
            if name in {"PK", "SK"}:
                item[name] = {"S": data.draw(texts.filter(bool))}
            elif data.draw(st.booleans()):
                item[name] = data.draw(_values)
            else:
                del item[name]
        return item

    item = strange()
    form = doctor._examiner.form(item)
    assert form.subject is not None or form.problems or "ttl" in item
    relation = relation_of(form.subject)
    found = [data.draw(st.none() | st.builds(strange)) for _ in keys_of(relation)]
    for problem in (*form.problems, *judged(relation, found)):
        assert problem.code in CODES
        assert problem.says
