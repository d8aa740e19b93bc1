"""What is handed out of a person's data, and the receipt of its erasure, with their JSON forms."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from dynamo_chat.core.entity import Entity, as_invalid_argument
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.keys import format_time
from dynamo_chat.core.layout import KeySpace
from dynamo_chat.keyspace import KEY_SPACE

MAX_MENTIONS: Final = 1_000
"""The most mentions, and the most unreadable items, that a plan or a receipt lists."""
_FIELDS: Final = ("kind", "version", "fields")
_NO_KEYWORDS: Final = frozenset({"ge", "gt", "le", "lt", "max_digits", "decimal_places"})


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """One thing that belongs to a person."""

    kind: str
    """The kind of item, as in the key space: ``message``."""
    entity: Entity
    """The thing itself, with all its fields."""

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON values: its kind, the version of its form, its fields."""
        return {
            "kind": self.kind,
            "version": self.entity.schema_version,
            "fields": self.entity.model_dump(mode="json"),
        }

    def line(self) -> str:
        """The record as one line of JSON, without the line break."""
        return _line(self)


def read_record(line: str, key_space: KeySpace = KEY_SPACE) -> PersonRecord:
    """The record in a line that `PersonRecord.line` wrote. InvalidArgument names what is wrong.

    With an application's own kinds, pass ``MyStore.key_space``.
    """
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument("line", "must be JSON") from error
    if not isinstance(given, dict) or set(given) != set(_FIELDS):
        raise InvalidArgument("line", f"must be an object with {', '.join(_FIELDS)}")
    kind = given["kind"]
    entity = key_space.entities.get(kind) if isinstance(kind, str) else None
    if entity is None:
        raise InvalidArgument("line.kind", "must be the kind of an entity, such as 'message'")
    if given["version"] != entity.schema_version:
        raise InvalidArgument("line.version", f"must be {entity.schema_version} for a {kind}")
    fields = given["fields"]
    try:
        # Not strict: in JSON, decimals and times are texts. What reads otherwise is refused below.
        made = entity.model_validate_json(json.dumps(fields), strict=False)
    except ValidationError as error:
        refused = as_invalid_argument(error, "line.fields")
    else:
        read = made.model_dump(mode="json")
        changed = [name for name, value in fields.items() if read.get(name) != value]
        if not changed:
            return PersonRecord(kind, made)
        refused = InvalidArgument(f"line.fields.{changed[0]}", "must be as an export writes it")
    raise refused


def record_schema(key_space: KeySpace = KEY_SPACE) -> dict[str, Any]:
    """The JSON schema of a line of an export, made from the entities of a store's `key_space`."""
    definitions: dict[str, Any] = {}
    records = []
    for kind, entity in sorted(exported_kinds(key_space)):
        schema = entity.model_json_schema(mode="serialization", ref_template="#/$defs/{model}")
        definitions.update(_cleaned(schema.pop("$defs", {})))
        # An export writes every field, also those that have their default.
        definitions[kind] = {**_cleaned(schema), "required": [*schema["properties"]]}
        records.append(
            {
                "type": "object",
                "properties": {
                    "kind": {"const": kind},
                    "version": {"const": entity.schema_version},
                    "fields": {"$ref": f"#/$defs/{kind}"},
                },
                "required": list(_FIELDS),
                "additionalProperties": False,
            }
        )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of an export of a person's data",
        "oneOf": records,
        "$defs": definitions,
    }


def _cleaned(schema: Any) -> Any:
    """A schema without the limits of numbers that pydantic writes beside a text's: no keywords."""
    if isinstance(schema, list):
        return [_cleaned(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _cleaned(each) for name, each in schema.items() if name not in _NO_KEYWORDS}


def exported_kinds(key_space: KeySpace = KEY_SPACE) -> Iterator[tuple[str, type[Entity]]]:
    """The kinds that an export may contain, with their entities."""
    for kind, entity in key_space.entities.items():
        layout = key_space.layouts[kind]
        while layout.owner is None and layout.of is not None:
            layout = layout.of
        is_somebodys = layout.owner is not None and layout.owner.what != "nobody"
        if is_somebodys and not key_space.layouts[kind].helper:
            yield kind, entity


@dataclass(frozen=True, slots=True)
class Mention:
    """Something that stays and names the person, or may: for a human to look at."""

    kind: str
    ids: tuple[tuple[str, str], ...]
    """The ids by which it is found, with their names."""
    fields: tuple[str, ...]
    """Where to look."""
    why: str

    @property
    def identity(self) -> dict[str, str]:
        """The ids by which it is found, by name."""
        return dict(self.ids)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "kind": self.kind,
            "identity": self.identity,
            "fields": list(self.fields),
            "why": self.why,
        }

    def line(self) -> str:
        """The mention as one line of JSON, without the line break."""
        return _line(self)


def _line(record: PersonRecord | Mention) -> str:
    return json.dumps(record.as_dict(), ensure_ascii=False, separators=(",", ":"))


class Mentions:
    """Mentions that are added one by one: all are counted and passed on, the first are kept."""

    def __init__(self, on_mention: Callable[[Mention], object] = lambda _: None) -> None:
        self._on_mention = on_mention
        self._first: dict[Mention, None] = {}
        self._counts: Counter[str] = Counter()

    def add(self, mention: Mention) -> None:
        """Count it, and pass it on; not one that is kept already."""
        if mention in self._first:
            return
        self._on_mention(mention)
        self._counts[mention.kind] += 1
        if len(self._first) < MAX_MENTIONS:
            self._first[mention] = None

    @property
    def first(self) -> tuple[Mention, ...]:
        """The first `MAX_MENTIONS`, in the order in which they were added."""
        return tuple(self._first)

    @property
    def counts(self) -> dict[str, int]:
        """By kind, the number of all."""
        return dict(self._counts)


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What an erasure would do now."""

    user_id: str
    account_ids: tuple[str, ...]
    erased: Mapping[str, int] = field(default_factory=dict)
    """By kind, the number of things that go; their helper items go with them."""
    replaced: Mapping[str, int] = field(default_factory=dict)
    """By kind, the number of things that stay with others, with a pseudonym for the user's id."""
    mentions: tuple[Mention, ...] = ()
    """The first 1,000 things that stay with others and may name the person in their texts.

    `on_mention` is called with each of them, also beyond those listed here."""
    mention_counts: Mapping[str, int] = field(default_factory=dict)
    """By kind, the number of all mentions."""
    unreadable: tuple[Mention, ...] = ()
    """The first 1,000 things in lists of the person's that stay: they no longer say whose they are.

    The doctor finds all."""
    unreadable_counts: Mapping[str, int] = field(default_factory=dict)
    """By kind, the number of all that are unreadable."""

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to erase and nothing to replace."""
        return not self.erased and not self.replaced

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "user_id": self.user_id,
            "account_ids": list(self.account_ids),
            "erased": dict(sorted(self.erased.items())),
            "replaced": dict(sorted(self.replaced.items())),
            "mentions": [each.as_dict() for each in self.mentions],
            "mention_counts": dict(sorted(self.mention_counts.items())),
            "unreadable": [each.as_dict() for each in self.unreadable],
            "unreadable_counts": dict(sorted(self.unreadable_counts.items())),
        }


@dataclass(frozen=True, slots=True)
class ErasureReceipt(ErasurePlan):
    """What an erasure did, and what it left and why."""

    pseudonyms: tuple[str, ...] = ()
    """What stands for the user's id in what others keep: random, one for each call of `erase`."""
    began_at: datetime | None = None
    finished_at: datetime | None = None
    is_resumed: bool = False
    """True if an earlier call had begun: what that one erased is not counted here."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        times = {"began_at": self.began_at, "finished_at": self.finished_at}
        return {
            **ErasurePlan.as_dict(self),
            "is_resumed": self.is_resumed,
            "pseudonyms": list(self.pseudonyms),
            **{name: None if at is None else format_time(at) for name, at in times.items()},
        }
