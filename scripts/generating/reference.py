"""The pages of the documentation that are made from the code: key space and access patterns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from dynamo_chat.cases.playing import measure_all
from dynamo_chat.catalogue import Entry, catalogue, id_order
from dynamo_chat.core.layout import GSI1, GSI2, TABLE, Layout, Place
from dynamo_chat.core.patterns import OWNER_CHECKS, READS, REGIONS
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.store import ChatStore
from dynamo_chat.testing import EmbeddedEngine

FOLDER = Path("docs", "reference")
MADE_BY = "<!-- Made by `scripts/generate`: change the code, not this page. -->"

_TITLES = {
    "calls": "Calls: points, queue, voice calls",
    "chat": "Chat: conversations, messages, feedback, reviews",
    "identity": "Identity: users, activity, login sessions",
    "limits": "Limits: rate limits",
    "mail": "Mail: threads and e-mails",
    "orgs": "Orgs: organizations, members, invites",
    "provision": "The table itself",
    "telemetry": "Telemetry: LLM interactions, reports, invocations",
    "workflows": "Workflows: what spans domains",
}

_BY_ITSELF: Mapping[str, Sequence[tuple[str, str, str, str]]] = {
    "calls": [
        (
            "P8",
            "A call expires 90 days after it ended, or after it started while nobody ended it",
            "0",
            "Sessions expiresAt (TTL)",
        )
    ],
    "chat": [
        (
            "C17",
            "A conversation with retention and everything in it expire together",
            "0; ⌈items/99⌉ for each period, where the deadline slides",
            "",
        )
    ],
}
"""Patterns that have no method, by domain: id, what happens, requests, what that replaces."""


def files() -> Mapping[Path, str]:
    """The text of each page, by its path in the repository."""
    return {
        FOLDER / "access-patterns.md": access_patterns(),
        FOLDER / "key-space.md": key_space(),
        FOLDER / "owners.md": owners(),
    }


def key_space() -> str:
    """The page of every kind of item: its keys in the table and in both indexes."""
    return "\n".join(
        [
            MADE_BY,
            "",
            "# Key space",
            "",
            "Every kind of item in the table. A key is a tag and components, each closed by `#`",
            "(the closing `#` is left out here). A kind without keys in an index is not in it;",
            "where it says so, only some of its items are. *Helper* items make an entity findable",
            "or unique; they are no entity of their own. A kind *serves* the patterns whose worked",
            "calls read or write such an item.",
            "",
            'To see it instead, open <a href="../atlas.html">the atlas</a>: a page for each kind,',
            "and the items that each method touches.",
            *(
                line
                for domain, layouts in KEY_SPACE.domains.items()
                for line in _kinds(domain, layouts)
            ),
            "",
        ]
    )


def access_patterns() -> str:
    """The page of the catalogue: every method that touches the table, by domain and id."""
    entries = sorted(catalogue(), key=lambda entry: entry.domain)  # stable: by id within it
    return "\n".join(
        [
            MADE_BY,
            "",
            "# Access patterns",
            "",
            "Every method of a `ChatStore` that touches the table, and the requests that one call",
            "makes: for one page or one change, uncontended, by a store that knows what it worked",
            "with before, on a range of at most 1 MB without expired items. Each further 1 MB,",
            "lost race or retry adds a request. Nothing scans, nothing filters.",
            "",
            "`dynamo-chat patterns --measure` runs all of them and counts.",
            "",
            "What answers show:",
            "",
            *_table(("reads", "means"), READS.items()),
            "",
            "In which regions of a [global table](../guide/global-tables.md) to call a method:",
            "",
            *_table(("regions", "means"), REGIONS.items()),
            *(
                line
                for domain, found in groupby(entries, key=lambda entry: entry.domain)
                for line in _methods(domain, found)
            ),
            *_beside(),
            "",
        ]
    )


def owners() -> str:
    """The page of how each method serves nobody but the owner of what it finds."""
    entries = sorted(catalogue(), key=lambda entry: entry.domain)
    return "\n".join(
        [
            MADE_BY,
            "",
            "# Owners",
            "",
            "How each method serves the owner alone. What belongs to someone else is not found:",
            "the same error, after the same requests, as for what does not exist.",
            "[Why it is done like this](../design/tenancy.md).",
            "",
            *_table(("check", "what it means"), OWNER_CHECKS.items()),
            *(
                line
                for domain, found in groupby(entries, key=lambda entry: entry.domain)
                for line in _owned(domain, found)
            ),
            "",
        ]
    )


def _owned(domain: str, entries: Iterable[Entry]) -> Iterator[str]:
    yield from ("", f"## {_title(domain)}", "")
    yield from _table(
        ("method", "owner", "check"),
        (
            (
                f"`{entry.method}`",
                f"`{entry.owner_argument}`" if entry.owner_argument else "–",
                f"none: {entry.unowned_because}" if entry.unowned_because else entry.owner,
            )
            for entry in entries
        ),
    )


def _kinds(domain: str, layouts: Iterable[Layout]) -> Iterator[str]:
    yield from ("", f"## {_title(domain)}", "")
    yield from _table(
        ("kind", "table", "GSI1", "GSI2", "serves", "status", "note"),
        (
            (
                f"`{layout.kind}`" + (" *helper*" if layout.helper else ""),
                *(_slot(layout, place) for place in (TABLE, GSI1, GSI2)),
                _ranges(_serves().get(layout.kind, ())) or "–",
                layout.status,
                layout.note,
            )
            for layout in layouts
        ),
    )


@cache
def _serves() -> Mapping[str, set[str]]:
    """The ids of the patterns whose cases read or write items of a kind, by kind."""
    found: dict[str, set[str]] = {}
    with EmbeddedEngine() as engine:
        region = engine.store("serves").connection.region

        def factory(table_name: str | None = None, **options: Any) -> ChatStore:
            return ChatStore(table_name or "serves", region=region, **options)

        for measured in measure_all(factory):
            for played in measured.cases:
                for kind in played.taken.kinds:
                    found.setdefault(kind, set()).add(played.pattern)
    return found


def _ranges(ids: Iterable[str]) -> str:
    """The ids in order, neighbours joined, such as ``C1–C4, C6``."""
    runs: list[list[str]] = []
    for each in sorted(ids, key=id_order):
        letters, number = id_order(each)
        if runs and id_order(runs[-1][-1]) == (letters, number - 1):
            runs[-1].append(each)
        else:
            runs.append([each])
    return ", ".join("–".join(dict.fromkeys((run[0], run[-1]))) for run in runs)


def _slot(layout: Layout, place: Place) -> str:
    slot = layout.slot(place)
    return "–" if slot is None else f"`{slot.pk.pattern()}` / `{slot.sk.pattern()}`"


def _methods(domain: str, entries: Iterable[Entry]) -> Iterator[str]:
    yield from ("", f"## {_title(domain)}", "")
    yield from _table(
        ("id", "method", "what", "index", "operation", "requests", "reads", "regions", "replaces"),
        sorted(
            [
                *(
                    (
                        entry.id,
                        f"`{entry.method}`",
                        entry.description,
                        entry.index,
                        entry.operation,
                        entry.requests,
                        entry.reads,
                        entry.regions,
                        entry.replaces,
                    )
                    for entry in entries
                ),
                *(
                    (identity, "–", what, "table", "TTL", requests, "–", "–", replaces)
                    for identity, what, requests, replaces in _BY_ITSELF.get(domain, ())
                ),
            ],
            key=lambda row: id_order(row[0]),
        ),
    )


# What the requirements ask for beside the table: it sends no request of its own.
_BESIDE: Final = (
    ("T2", "`dynamo-chat template`", "The table as CloudFormation, Terraform, CDK, or `aws` files"),
    ("T3", "`dynamo-chat policy`", "IAM policies: service, read-only, user, table, deploy, backup"),
    ("T4", "`dynamo-chat alarms`", "Alarms, events, a budget, a dashboard"),
    ("T6", "`dynamo-chat cost`", "A month's bill of a workload, by measured capacity"),
    ("T7", "`parse_stream_record`", "A record of the table's stream as a typed change"),
    ("T7", "`stream_handler`", "A Lambda handler of batches of records"),
)


def _beside() -> Iterator[str]:
    yield from ("", "## Beside the table", "")
    yield from _table(("id", "command or function", "what"), _BESIDE)


def _title(domain: str) -> str:
    return _TITLES.get(domain, domain.capitalize())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _row(header)
    yield _row(["---"] * len(header))
    for row in rows:
        yield _row([cell.replace("|", "\\|") for cell in row])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
