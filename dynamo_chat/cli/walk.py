"""``dynamo-chat demo --full``: load sample records, show the table, and run every pattern."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.highlighter import JSONHighlighter

from dynamo_chat.cases.playing import Played, Player
from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.words import words
from dynamo_chat.catalogue import Entry, catalogue
from dynamo_chat.cli.console import (
    WIDE,
    DataConsole,
    Text,
    domain_of,
    domain_style,
    headline,
    json_text,
    output,
    table,
    units,
)
from dynamo_chat.cli.item_collections import (
    read_conversation_items,
    read_record_items,
    show_collections,
)
from dynamo_chat.cli.target import Target
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.layout import KIND
from dynamo_chat.core.text import cut
from dynamo_chat.importing import acs, oneonone
from dynamo_chat.importing.acs import Acs
from dynamo_chat.importing.loading import Loaded, chat_samples, load_file, load_sample
from dynamo_chat.importing.oneonone import OneOnOne
from dynamo_chat.importing.sample_records import Sample, sample
from dynamo_chat.provision.table import TableDefinition
from dynamo_chat.store import ChatStore, StoreFactory

SHOWN_CONVERSATIONS: Final = 8
DEMO_TABLE: Final = TableDefinition(
    deletion_protection=False, point_in_time_recovery=False, encryption_managed=False
)
"""The settings of the demo's table: it can be thrown away."""


class Domain(StrEnum):
    """The domains that the walk can be limited to."""

    CHAT = "chat"
    IDENTITY = "identity"
    ORGS = "orgs"
    MAIL = "mail"
    LIMITS = "limits"
    TELEMETRY = "telemetry"
    CALLS = "calls"


OF_ACS: Final = frozenset(Domain) - {Domain.CHAT, Domain.CALLS}
"""The domains that hold the records of `acs`."""


@dataclass(slots=True)
class World:
    """All loaded records."""

    conversations: list[Loaded] = field(default_factory=list)
    acs: Acs | None = None
    oneonone: OneOnOne | None = None

    def partitions(self) -> list[str]:
        """The partition keys of all records except conversations."""
        return [key for each in (self.acs, self.oneonone) if each for key in each.partitions()]


def walk(
    console: Console,
    target: Target,
    *,
    domains: Sequence[Domain],
    file: Path | None = None,
    samples: bool = True,
) -> None:
    """Load the records, show them in the table, and run every pattern of these domains."""
    with target.opened() as factory:
        store = factory()
        _make_table(console, target, store)
        headline(console, "Loading")
        world = _loaded(console, factory, domains=domains, file=file, samples=samples)
        _show_table(console, store, world, domains)
        _read_out(console, world.conversations)
        _show_patterns(console, factory, domains if samples else [Domain.CHAT])


def draw(file: Path, *, domains: Sequence[Domain]) -> None:
    """Write the atlas with the sample records of these domains, loaded on the embedded engine."""
    from dynamo_chat.operations.atlas.collecting import collect_embedded
    from dynamo_chat.operations.atlas.page import page

    def load(factory: StoreFactory) -> list[AttributeValues]:
        silent = DataConsole(quiet=True)
        world = _loaded(silent, factory, domains=domains)
        return [item for item in _items(factory(), world) if _is_of(item, domains)]

    with output(stderr=True).status("drawing …") as status:
        drawn = collect_embedded(
            load=load, progress=lambda what: status.update(Text(f"drawing … {what}"))
        )
    file.write_text(page(drawn), encoding="utf-8")
    output(stderr=True).print(f"wrote {file}", soft_wrap=True)


def _loaded(
    console: Console,
    factory: StoreFactory,
    *,
    domains: Sequence[Domain],
    file: Path | None = None,
    samples: bool = True,
) -> World:
    """Load the records, and show how."""
    world = World()
    if Domain.CHAT in domains:
        world.conversations = _load_chat(console, factory(), file, with_samples=samples)
    if samples:
        _load_others(console, factory, domains, world)
    return world


def _items(store: ChatStore, world: World) -> list[AttributeValues]:
    """The items of the first conversations and of all other records."""
    chosen = world.conversations[:SHOWN_CONVERSATIONS]
    identities = dict.fromkeys(each.conversation.conversation_id for each in chosen)
    items = read_conversation_items(store, identities)
    return items + read_record_items(store, world.partitions())


def _is_of(item: AttributeValues, domains: Sequence[Domain]) -> bool:
    return domain_of(item[KIND]["S"]) in {each.value for each in domains}


def _make_table(console: Console, target: Target, store: ChatStore) -> None:
    headline(console, "The table")
    created = store.table.create(DEMO_TABLE)
    console.print(
        f"{target.table} on {target}: "
        + ("created, with GSI1, GSI2 and TTL" if created else "exists already")
    )


def _load_chat(
    console: Console, store: ChatStore, file: Path | None, *, with_samples: bool
) -> list[Loaded]:
    now = datetime.now(UTC)
    loaded: list[Loaded] = []
    notes: list[str] = []
    for each in chat_samples() if with_samples else ():
        found = list(load_sample(store, each, now))
        loaded += found
        notes += _notes(each)
        for one in found:
            notes += _moved(each, one.moved_by)
    if file is not None:
        with output(stderr=True).status(f"loading {file.name} …"):
            loaded += load_file(store, file)
    _show_loaded(console, loaded)
    _show_notes(console, notes)
    return loaded


def _load_others(
    console: Console, factory: StoreFactory, domains: Sequence[Domain], world: World
) -> None:
    """Load the sample records that are not conversations."""
    now = datetime.now(UTC)
    shown = table("from", "table there", "here", "what", wrapping=("what",))
    notes: list[str] = []
    if not OF_ACS.isdisjoint(domains):
        records = sample("acs")
        world.acs = acs.load_acs(factory, records, now)
        for name, entity in world.acs.rows():
            kind = "–" if entity is None else type(entity).__name__
            shown.add_row("acs", name, kind, words(entity))
        notes += [*_notes(records, acs.SETTLED), *_moved(records, world.acs.moved_by)]
    if Domain.CALLS in domains:
        records = sample("oneonone")
        world.oneonone = oneonone.load_oneonone(factory, records, now)
        for name, entity in world.oneonone.rows():
            shown.add_row("oneonone", name, type(entity).__name__, words(entity))
        settled = oneonone.SETTLED
        notes += [*_notes(records, settled), *_moved(records, world.oneonone.moved_by)]
    if shown.row_count:
        console.print()
        console.print(shown)
        _show_notes(console, notes)


def _notes(records: Sample, settled: Sequence[str] = ()) -> Iterator[str]:
    """Notes on a sample: its source, and what was decided to load it."""
    for said in (records.origin, *records.choices, *settled):
        yield f"{records.document}: {said}"


def _moved(records: Sample, by: timedelta) -> Iterator[str]:
    if by:
        why = "because it had expired or was in the future"
        yield f"{records.document}: moved by {by.days:,} days, {why}"


def _show_notes(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(Text(f"· {note}", style="dim"))


def _show_loaded(console: Console, loaded: Sequence[Loaded]) -> None:
    numbers = ("messages", "feedback", "reviews")
    wrapping = ("conversation", "user", "title")
    shown = table("from", *wrapping, *numbers, numbers=numbers, wrapping=wrapping)
    for each in loaded:
        conversation, record = each.conversation, each.record
        shown.add_row(
            each.source,
            conversation.conversation_id,
            conversation.user_id,
            cut(conversation.title or "–", 40),
            str(conversation.message_count),
            str(len(record.feedback)),
            str(len(record.reviews)),
        )
    console.print(shown)


def _show_table(
    console: Console, store: ChatStore, world: World, domains: Sequence[Domain]
) -> None:
    headline(console, "What is in the table")
    show_collections(console, [each for each in _items(store, world) if _is_of(each, domains)])
    more = len(world.conversations) - SHOWN_CONVERSATIONS
    if more > 0:
        console.print(f"… and {more:,} more conversations")


def _read_out(console: Console, loaded: Sequence[Loaded]) -> None:
    """Show that each sample is read back as it was loaded, in its original form."""
    documents = [each for each in loaded if each.read_out is not None]
    if not documents:
        return
    headline(console, "Read back in the original form")
    for each in documents:
        found = each.read_out() if each.read_out is not None else None
        line = Text(f"{each.source} {each.conversation.conversation_id}: ")
        if found == each.wanted:
            line.append("the same as what was loaded", style="green")
        else:
            line.append("differs from what was loaded: it was changed since", style="yellow")
        console.print(line)
    last = documents[-1]
    highlight = JSONHighlighter()
    for row in json_text(last.read_out() if last.read_out is not None else None).split("\n"):
        console.print(highlight(Text(row)), soft_wrap=True)


def _show_patterns(console: Console, factory: StoreFactory, domains: Sequence[Domain]) -> None:
    """Run the cases of each domain on their own data, which is deleted afterwards."""
    for domain in domains:
        title = f"Every pattern of the {domain.value} domain, and what it costs"
        headline(console, title, domain_style(domain.value))
        with Player(factory) as player:
            played = [
                each
                for entry in _entries(domain)
                for each in player.play(entry, scenarios()[entry.method], only_shown=True)
            ]
        _show_played(console, played)


def _entries(domain: Domain) -> list[Entry]:
    """The methods of a domain's repositories, including those that span domains."""
    entries = catalogue()
    own = {entry.repository for entry in entries if entry.domain == domain.value}
    if domain is Domain.IDENTITY:
        own.add("people")  # a repository of its own for what spans domains: a user's data
    return [entry for entry in entries if entry.repository in own]


def _show_played(console: Console, played: Sequence[Played]) -> None:
    numbers = ("requests", "WCU", "RCU")
    more = ("index",) if console.width >= WIDE else ()
    shown = table(
        *("id", "method", "result", *numbers, *more), numbers=numbers, wrapping=("result",)
    )
    for each in played:
        shown.add_row(
            Text(each.pattern, style="bold"),
            Text(each.entry.method, style="cyan"),
            each.told,
            str(each.taken.requests),
            units(each.taken.wcu),
            units(each.taken.rcu),
            *(Text(each.entry.index, style="dim") for _ in more),
        )
    console.print(shown)
    taken = [each.taken for each in played]
    console.print(
        f"{len(taken)} calls: {sum(each.requests for each in taken)} requests, "
        f"{units(sum(each.wcu for each in taken))} WCU, "
        f"{units(sum(each.rcu for each in taken))} RCU, computed from the sizes of the items"
    )
