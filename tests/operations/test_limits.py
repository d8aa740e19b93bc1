"""What one key bears, and what the model makes of measured calls."""

from pathlib import Path

import pytest

from dynamo_chat.cases.playing import Played
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.operations.limits import KeyLimit, key_limits, legs, play_embedded
from dynamo_chat.operations.partitions import EVERYWHERE, Leg, item, newest
from generating import limits as page

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def played() -> dict[str, Played]:
    """The calls of the page's workloads."""
    methods = [
        "conversations.list_by_activity",
        "messages.append",
        "messages.latest_with_conversation",
        "queue.join",
    ]
    return {each.entry.method: each for each in play_embedded(methods)}


def test_the_charges_of_a_call_are_those_of_its_keys(played: dict[str, Played]) -> None:
    for each in played.values():
        charged = sum(charge.units for record in each.taken.records for charge in record.charges)
        assert charged == each.taken.wcu + each.taken.rcu
    found = {(each.place, each.key): each.units for each in limits_of(played, "messages.append")}
    assert found == {
        ("table", "CONV#<conversation_id>"): 4,
        ("GSI1", "USER#<user_id>"): 1,
        ("GSI2", "USER#<user_id>"): 2,
    }


def limits_of(played: dict[str, Played], method: str) -> list[KeyLimit]:
    return key_limits(played[method], KEY_SPACE)


def test_a_hot_key_is_hot_at_its_newest_item_and_at_its_head(played: dict[str, Played]) -> None:
    key = "CONV#<conversation_id>"
    assert legs(played["messages.append"], {key: 1}, KEY_SPACE) == (
        Leg("table", "write", 4, (item(f"{key} 0", "CONV#"),)),
        Leg("GSI1", "write", 2, (EVERYWHERE,)),
        Leg("GSI2", "write", 4, (EVERYWHERE,)),
        Leg("table", "write", 4, (newest(f"{key} 0"),)),
    )
    reading = legs(played["messages.latest_with_conversation"], {key: 1}, KEY_SPACE)
    assert reading == (Leg("table", "read", 1, (newest(f"{key} 0"),)),)


def test_a_list_with_shards_is_hot_at_each(played: dict[str, Played]) -> None:
    key = "QUEUE#<queue>#<shard>"
    shards = tuple(newest(f"{key} {shard}") for shard in range(3))
    found = legs(played["queue.join"], {key: 3}, KEY_SPACE)
    assert found == (Leg("table", "write", 4, (EVERYWHERE,)), Leg("table", "write", 4, shards))


def test_the_page_says_what_the_workloads_come_to(played: dict[str, Played]) -> None:
    """The figures that the page's text depends on; its tables are compared as they are made."""
    append = legs(played["messages.append"], {"CONV#<conversation_id>": 1}, KEY_SPACE)
    assert page.highest(append) == 250
    joins = [
        page.highest(legs(played["queue.join"], {"QUEUE#<queue>#<shard>": shards}, KEY_SPACE))
        for shards in (1, 2)
    ]
    assert joins[0] < 500 < joins[1] < 1_000
    lists = page.highest(legs(played["conversations.list_by_activity"], {}, KEY_SPACE))
    assert lists == 8_000


def test_a_key_without_a_layout_is_an_error(played: dict[str, Played]) -> None:
    with pytest.raises(InvalidArgument, match="has no layout"):
        key_limits(played["messages.append"], type(KEY_SPACE)([]))


def test_a_page_without_its_tables_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "ROOT", tmp_path)
    monkeypatch.setattr(page, "measured", dict)
    monkeypatch.setattr(page, "run", lambda _: ([], []))
    (tmp_path / page.PAGE.parent).mkdir(parents=True)
    (tmp_path / page.PAGE).write_text("# Limits\n", "utf-8")
    with pytest.raises(ValueError, match="has no table with the header"):
        page.files()


def test_a_chart_shows_every_line() -> None:
    lines = page.Line("one & two", [5, 5, 10]), page.Line("none", [0, 0, 0])
    drawn = page.draw(page.Chart("name", "Calls", "calls a second", lines))
    assert "one &amp; two" in drawn
    assert drawn.count('stroke-width="2"') == 2
    assert "V" in drawn.split('fill="none"')[0].rsplit("<path", 1)[1]
