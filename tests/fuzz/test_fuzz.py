"""A small share of ``scripts/fuzz``, and that it finds what it looks for."""

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dynamo_chat.chat.conversations import Conversations
from dynamo_chat.core import page as pages
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import ItemPlan
from dynamo_chat.streams import records
from fuzzing.__main__ import all_parsers
from fuzzing.corpus import theatre
from fuzzing.methods import Methods
from fuzzing.mutation import mutated
from fuzzing.paging import paged_methods
from fuzzing.parsers import Parser, Reading
from fuzzing.running import fuzz, judged, load, shares

METHODS = (
    "messages.list",
    "messages.get_by_id",
    "conversations.list_by_user",
    "emails.list_by_conversation",
    "invites.get",
    "users.get_by_email",
    "members.list_by_user",
)
SEED = 20_260_115
INPUTS = 1_500
INDEXED = {"PK", "SK", "GSI1PK", "GSI1SK", "GSI2PK", "GSI2SK"}


@pytest.fixture(scope="module")
def parsers() -> dict[str, Parser]:
    """All of them, on the items of a few scenarios."""
    return {each.name: each for each in all_parsers(METHODS)}


def test_nothing_is_untyped(parsers: dict[str, Parser]) -> None:
    """Every parser reads or refuses whatever it is given."""
    for parser, share in shares(list(parsers.values()), INPUTS):
        tally = fuzz(parser, range(share), SEED)
        assert not [failure.error for failure in tally.failures]
        assert sum(tally.outcomes.values()) == tally.inputs == share
        assert tally.outcomes["UNTYPED"] == 0
        assert len(tally.outcomes) > 1 or share < 50, parser.name


@pytest.mark.once
def test_each_attribute_of_what_is_exported_erased_or_swept_may_be_damaged() -> None:
    """No AttributeValue at all, or no base64: each call ends, and with a typed error or without."""
    swept = ("llm.delete_all", "invocations.delete_all")
    stage = theatre(("people.export", "people.plan_erasure", "people.erase", *swept))
    methods, outcomes = Methods(stage), Counter[str]()
    damages = cycle([None, "text", {"B": "no base64!"}])
    for scene in stage.scenes:
        for key in sorted(scene.shown):
            item = scene.image.items.get(key, {})
            for name, wrong in zip(sorted({*item} - INDEXED), damages, strict=False):
                change = [*key, item | {name: wrong}]
                made = [scene.method, scene.place, [change], len(name)]
                assert judged(methods, made, outcomes) is None, (key, name, wrong)
    assert len(outcomes) > 1


def test_every_paged_method_is_given_cursors(parsers: dict[str, Parser]) -> None:
    rng = Random(SEED)
    given = {parsers["cursors"].make(rng)[0] for _ in range(600)}
    assert given == set(paged_methods())


def test_inputs_are_made_by_seed_and_number(parsers: dict[str, Parser]) -> None:
    """So that a failure can be given again."""
    for parser in parsers.values():
        one, other = (repr(parser.make(Random("1 x 7"))) for _ in range(2))
        assert one == other


def found(parser: Parser, inputs: int = 400) -> Counter[str]:
    tally = fuzz(parser, range(inputs), SEED)
    return Counter(failure.what.partition(":")[0] for failure in tally.failures)


def test_an_untyped_error_of_reading_items_is_found(
    parsers: dict[str, Parser], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(plan: ItemPlan[Any], item: Any) -> Any:
        return plan.entity.model_validate({name: value["S"] for name, value in item.items()})

    monkeypatch.setattr(ItemPlan, "decode", decode)
    assert found(parsers["items"])
    assert found(parsers["methods"])


def test_a_list_that_is_lost_with_an_item_is_found(
    parsers: dict[str, Parser], monkeypatch: pytest.MonkeyPatch
) -> None:
    def list_all(self: Conversations, *_: Any, **__: Any) -> Any:
        raise CorruptItem("message", "one of them")

    monkeypatch.setattr(Conversations, "list_by_user", list_all)
    assert found(parsers["methods"])["fuzzing.parsers.Untyped"]


def test_a_cursor_that_is_not_held_to_its_range_is_found(
    parsers: dict[str, Parser], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hmac.compare_digest", lambda *_: True)
    monkeypatch.setattr(pages, "MAX_SORT_KEY_BYTES", 100_000)
    plain = found(parsers["cursors"])
    assert not plain  # forged marks alone lead nowhere else
    monkeypatch.setattr(
        pages.CursorCodec, "open", lambda self, *asked: str(asked[2].encode().decode("ascii"))
    )
    assert found(parsers["cursors"])


def test_a_stream_that_is_held_up_by_a_time_is_found(
    parsers: dict[str, Parser], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        records, "_moment", lambda value: value and datetime.fromtimestamp(value, UTC)
    )
    assert found(parsers["stream records"], 2_000)


def test_a_failure_is_kept_and_given_again(tmp_path: Path) -> None:
    """Its file holds what no JSON does: bytes, and names that are no text."""

    def read(made: Any) -> object:
        return made["a"] / 0 if b"\x00" in made["b"] else None

    broken = Reading("broken thing", read, [{"a": 1, "b": b"\x00"}])
    tally = fuzz(broken, range(60), 1)
    assert tally.outcomes["UNTYPED"]
    for failure in tally.failures:
        path = failure.save(tmp_path / "kept")
        name, made = load(path)
        assert (name, repr(made)) == ("broken thing", repr(failure.made))
        assert judged(broken, made, Counter()) is not None
        assert json.loads(path.read_text())["error"]


def test_mutation_changes_every_part_of_an_item() -> None:
    """Each attribute, its type, its content; and the item as a whole."""
    item = {"a": {"S": "text"}, "b": {"N": "1"}, "c": {"S": '{"x": [1, 2]}'}}
    rng = Random(1)
    changed = [mutated(item, rng) for _ in range(400)]
    assert not all(isinstance(each, dict) for each in changed)
    kept = [each for each in changed if isinstance(each, dict)]
    for name, value in item.items():
        assert any(name not in each for each in kept)
        assert any(each.get(name, value) != value for each in kept)
    inside = [str(each["c"]) for each in kept if each.get("c", item["c"]) != item["c"]]
    assert any('"x"' in each for each in inside)
    assert item == {"a": {"S": "text"}, "b": {"N": "1"}, "c": {"S": '{"x": [1, 2]}'}}
