"""Collect an atlas: play every case of a store, and note each request and the items it touched."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from inspect import formatannotation
from typing import Any, Final

from dynamo_chat.cases.playing import Played, Player
from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.stage import Scenario
from dynamo_chat.cases.words import describe
from dynamo_chat.catalogue import Entry, catalogue
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.layout import KIND, PLACES, KeySpace, Layout
from dynamo_chat.core.patterns import OWNER_CHECKS
from dynamo_chat.core.size import item_size
from dynamo_chat.core.text import cut
from dynamo_chat.operations import cost as costs
from dynamo_chat.operations.atlas.shown import (
    Atlas,
    Bill,
    Item,
    Key,
    Kind,
    Pattern,
    PlayedCase,
    Step,
)
from dynamo_chat.operations.rehearsal import bills as bills_of
from dynamo_chat.store import ChatStore, StoreFactory
from dynamo_chat.testing.engine import EmbeddedEngine
from dynamo_chat.testing.meter import RequestRecord
from dynamo_chat.testing.schema import TABLE
from dynamo_chat.testing.touched import Touched

Progress = Callable[[str], None]
"""Is told what comes next, in a few words."""
Watch = Callable[[Played], None]
"""Is given each case after its run."""
Load = Callable[[StoreFactory], Iterable[AttributeValues]]

MOST_ITEMS: Final = 12
"""How many items of one request are shown."""
LONGEST_TEXT: Final = 160
"""How many characters of an item's content are shown."""
WORKLOAD: Final = costs.Workload(
    conversations=100_000, turns=10, question_bytes=200, answer_bytes=1_000, retention_months=12
)
"""What the bills of an atlas are for."""

_MODULES: Final = re.compile(r"(?:\w+\.)+(?=\w)")


def collect_embedded(
    store: type[ChatStore] = ChatStore,
    *,
    load: Load = lambda _: (),
    progress: Progress = lambda _: None,
    watch: Watch = lambda _: None,
) -> Atlas:
    """The atlas of a store class, played on the embedded engine, with the bills of a month.

    `load` fills the table before, and returns its items, which are shown beside those of the cases.
    InvalidArgument if the engine is not installed, or the store's cases can't be imported.
    """
    name = f"atlas-{uuid.uuid4().hex}"  # nested engines share their tables
    try:
        with EmbeddedEngine() as engine:
            engine.store(name, store=store)

            def factory(table_name: str | None = None, **options: Any) -> ChatStore:
                return store(table_name or name, region=engine.region, **options)

            try:
                progress("a month's bill")
                prices = costs.load_prices()[costs.CURRENT]
                made = bills_of(WORKLOAD, prices)
                return collect(
                    factory,
                    items=load(factory),
                    bills=made,
                    workload=_words_of(prices),
                    progress=progress,
                    watch=watch,
                )
            finally:  # inside another engine, nobody else deletes it
                engine.client().delete_table(TableName=name)
    except ModuleNotFoundError as error:  # moto is looked for when its engine starts
        raise InvalidArgument(
            "atlas", "needs the embedded engine: pip install 'dynamo_chat[cli,testing]'"
        ) from error


def collect(
    factory: StoreFactory,
    *,
    entries: Sequence[Entry] | None = None,
    items: Iterable[AttributeValues] = (),
    bills: Iterable[costs.Bill] = (),
    workload: str = "",
    progress: Progress = lambda _: None,
    watch: Watch = lambda _: None,
) -> Atlas:
    """The atlas of the factory's stores, whose table exists; it is left as it was.

    `entries` are the methods to show; all by default. `items` are shown as the table's own, beside
    those of the cases. `workload` says what the
    `bills` are for. If a case of an application's store fails, its pattern is shown without one.
    InvalidArgument if the store's cases can't be imported.
    """
    with Player(factory, keeps_items=True) as player:
        store = type(player.stage.store)
        seen = _Items(store.key_space)
        known = _scenarios(store)
        patterns = []
        for entry in catalogue(store) if entries is None else entries:
            progress(f"{entry.id} {entry.method}")
            patterns.append(_pattern(player, entry, known.get(entry.method), seen, watch))
    loaded = tuple(seen.number(item) for item in items)
    return Atlas(
        store=store.__name__,
        version=_version(),
        kinds=tuple(_kinds(store.key_space, seen)),
        patterns=tuple(patterns),
        items=tuple(seen.numbers),
        loaded=loaded,
        bills=tuple(_bill(each) for each in bills),
        workload=workload,
    )


class _Items:
    """Every item that was shown, each once, and the methods that touched each kind."""

    def __init__(self, key_space: KeySpace) -> None:
        self._key_space = key_space
        self.numbers: dict[Item, int] = {}
        self.methods: dict[str, dict[str, None]] = {}

    def number(self, item: AttributeValues, key: Key | None = None) -> int:
        """The number of an item. `key` is its key, if it has only some of its attributes."""
        held = tuple(_key_in(item, place.pk, place.sk) for place in PLACES)
        table = key or held[0] or ("", "")
        kind = item[KIND]["S"] if KIND in item else self._kind_at(table)
        is_whole = KIND in item
        made = Item(
            kind=kind,
            keys=(table, held[1], held[2]),
            bytes=item_size(item) if is_whole else 0,
            what=_words(item) if is_whole else "",
        )
        return self.numbers.setdefault(made, len(self.numbers))

    def touch(self, method: str, touched: Touched) -> int:
        """The number of an item that a method touched."""
        _, pk, sk = touched.address
        item: Any = touched.item or {}
        number = self.number(item, (pk, sk))
        kind = item[KIND]["S"] if KIND in item else self._kind_at((pk, sk))
        self.methods.setdefault(kind, {})[method] = None
        return number

    def _kind_at(self, key: Key) -> str:
        """The kind that has such keys; a tombstone has those of another."""
        for layout in self._key_space:
            if not layout.is_tombstone and all(
                shape.matches(part) for shape, part in zip(layout.table, key, strict=True)
            ):
                return layout.kind
        return ""


def _scenarios(store: type[ChatStore]) -> Mapping[str, Scenario]:
    try:
        return scenarios(store)
    except ImportError as error:
        raise InvalidArgument("store", f"its cases can't be imported: {error}") from error


def _pattern(
    player: Player, entry: Entry, scenario: Scenario | None, seen: _Items, watch: Watch
) -> Pattern:
    played: list[PlayedCase] = []
    unplayed = "" if scenario else "It has no worked call."
    if scenario is not None:
        try:
            for each in player.play(entry, scenario):
                played.append(_case(each, seen))
                watch(each)
        except Exception as error:
            if type(player.stage.store) is ChatStore:
                raise
            # An application's methods and cases may do anything; the rest is shown all the same.
            unplayed = f"Its worked call failed: {type(error).__name__}"
    return Pattern(
        id=entry.id,
        method=entry.method,
        domain=entry.domain,
        description=entry.description,
        index=entry.index,
        operation=entry.operation,
        requests=entry.requests,
        owner=_owner(entry),
        cases=tuple(played),
        unplayed=unplayed,
    )


def _case(played: Played, seen: _Items) -> PlayedCase:
    taken = played.taken
    return PlayedCase(
        label=played.case.label,
        result=played.told,
        requests=taken.requests,
        budget=played.budget,
        wcu=taken.wcu,
        rcu=taken.rcu,
        steps=tuple(_step(played.entry.method, record, seen) for record in taken.records),
    )


def _step(method: str, record: RequestRecord, seen: _Items) -> Step:
    numbers = [(each.how, seen.touch(method, each)) for each in record.touched[:MOST_ITEMS]]
    is_of_items = bool(record.touched or record.wcu or record.rcu)
    return Step(
        operation=record.operation,
        place=record.index or (TABLE if is_of_items else ""),
        asked=record.asked,
        error=record.error or "",
        wcu=dict(record.wcu),
        rcu=dict(record.rcu),
        touched=tuple(numbers),
        more=len(record.touched) - len(numbers),
    )


def _owner(entry: Entry) -> str:
    if entry.unowned_because:
        return f"No owner is checked: {entry.unowned_because}."
    return next(text for name, text in OWNER_CHECKS.items() if name == entry.owner)


def _kinds(key_space: KeySpace, seen: _Items) -> Iterator[Kind]:
    for domain, layouts in key_space.domains.items():
        for layout in layouts:
            yield _kind(domain, layout, tuple(seen.methods.get(layout.kind, ())))


def _kind(domain: str, layout: Layout, methods: tuple[str, ...]) -> Kind:
    entity = layout.resolved()
    slots = [layout.slot(place) for place in PLACES]
    patterns = [None if slot is None else (slot.pk.pattern(), slot.sk.pattern()) for slot in slots]
    described = {} if entity is None else entity.model_fields
    return Kind(
        kind=layout.kind,
        domain=domain,
        entity="" if entity is None else entity.__name__,
        about="" if entity is None else _first_line(entity.__doc__),
        helper=layout.helper,
        of="" if layout.of is None else layout.of.kind,
        status=layout.status,
        note=layout.note,
        keys=(patterns[0], patterns[1], patterns[2]),
        fields=tuple((name, _type(each.annotation)) for name, each in described.items()),
        patterns=methods,
    )


def _type(annotation: Any) -> str:
    """A type as a person writes it: without the names of modules."""
    return _MODULES.sub("", formatannotation(annotation))


def _key_in(item: AttributeValues, pk: str, sk: str) -> Key | None:
    return (item[pk]["S"], item[sk]["S"]) if pk in item and sk in item else None


def _words(item: AttributeValues) -> str:
    try:
        return cut(describe(item), LONGEST_TEXT)
    except CorruptItem:
        return "(damaged)"


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _version() -> str:
    try:
        return version("dynamo_chat")
    except PackageNotFoundError:
        return ""


def _bill(made: costs.Bill) -> Bill:
    return Bill(
        design=made.design,
        of="own" if made.design.startswith(costs.OWN) else "other",
        total=costs.plain(made.total),
        lines=tuple((line.what, costs.plain(line.dollars)) for line in made.lines),
    )


def _words_of(prices: costs.Prices) -> str:
    load = WORKLOAD
    return (
        f"{load.conversations:,} conversations a month, each with {load.turns} turns of "
        f"{load.question_bytes:,} and {load.answer_bytes:,} bytes, opened {load.opens} times and "
        f"kept for {load.retention_months} months. In {prices.region}, at the prices since "
        f"{prices.date}."
    )
