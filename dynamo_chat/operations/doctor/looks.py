"""Check some items with strongly consistent reads, together with the items they depend on.

The items are read first, then what they depend on, then the items again: if one changed in
between, the reads don't show one state, and nothing is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dynamo_chat import keyspace
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import PK, SK, TABLE, Collection, Layout
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Key, is_live
from dynamo_chat.operations.doctor.call_rules import CALL_RULES
from dynamo_chat.operations.doctor.chat_rules import CHAT_RULES, in_conversation
from dynamo_chat.operations.doctor.counts import COUNTED, COUNTS, NEEDED
from dynamo_chat.operations.doctor.deletions import Deletions
from dynamo_chat.operations.doctor.findings import Code, Place, Problem, kind_of, place_of
from dynamo_chat.operations.doctor.forms import Examiner, Form, Subject
from dynamo_chat.operations.doctor.kinds import is_own
from dynamo_chat.operations.doctor.mail_rules import MAIL_RULES
from dynamo_chat.operations.doctor.people_rules import PEOPLE_RULES
from dynamo_chat.operations.doctor.relations import Found, Relation, Rule, Rules, belongs

RULES: Rules = {**CHAT_RULES, **PEOPLE_RULES, **MAIL_RULES, **CALL_RULES}
"""The rules of some kinds; every other kind has the rule `belongs`."""


@dataclass(slots=True)
class Look:
    """The result of one check of an item."""

    item: AttributeValues | None
    problems: list[Problem] = field(default_factory=list)
    is_moving: bool = False
    """True if the item changed during the check."""


class Looker(Repository):
    """Checks items together with the items they depend on."""

    def __init__(self, binding: Binding, examiner: Examiner, deletions: Deletions) -> None:
        super().__init__(binding)
        self._examiner = examiner
        self._deletions = deletions

    def suspicious(
        self, items: Sequence[AttributeValues], forms: Sequence[Form]
    ) -> dict[Place, set[Code]]:
        """Suspicions about the items of a page: cheap to find, and to be confirmed by `look`."""
        found: dict[Place, set[Code]] = {}
        here = {place_of(item): item for item in items}
        related = self._related([form.subject for form in forms], here, consistent=False)
        for item, form, judged in zip(items, forms, related, strict=True):
            codes = {each.code for each in (*form.problems, *judged)}
            if self._deletions.is_unfinished(item):
                codes.add("unfinished_deletion")
            if codes:
                found[place_of(item)] = codes
        return found

    def look(self, suspected: Mapping[Place, set[Code]]) -> dict[Place, Look]:
        """Check the items with these keys. Partitions of suspected counts are counted again."""
        places = list(suspected)
        items = self._get_items([_key(place) for place in places], consistent=True)
        forms = [Form() if item is None else self._examiner.form(item) for item in items]
        related = self._related([form.subject for form in forms], {}, consistent=True)
        looks: dict[Place, Look] = {}
        for place, item, form, judged in zip(places, items, forms, related, strict=True):
            about = list(judged)
            if item is not None and not suspected[place].isdisjoint(COUNTED):
                about += self._counted(item, form)
            if item is not None and form.subject is not None:
                about += self._deletions.problems(item)
            looks[place] = Look(item, [*form.problems, *about])
            # The item itself was read at one moment; only related items were read at another.
            looks[place].is_moving = bool(about)
        self._settle(looks)
        return looks

    def _settle(self, looks: Mapping[Place, Look]) -> None:
        """Read the items again and mark those that changed."""
        asked = [place for place, look in looks.items() if look.is_moving]
        again = self._get_items([_key(place) for place in asked], consistent=True)
        for place, item in zip(asked, again, strict=True):
            looks[place].is_moving = item != looks[place].item

    def _related(
        self,
        subjects: Sequence[Subject | None],
        here: Mapping[Place, AttributeValues],
        *,
        consistent: bool,
    ) -> list[list[Problem]]:
        """The problems that each subject's rule finds; `here` has items that were read already."""
        relations = [relation_of(subject) for subject in subjects]
        wanted: dict[Place, Key] = {
            place_of(key): key
            for relation in relations
            for key in keys_of(relation)
            if place_of(key) not in here
        }
        now = self._now()
        read = self._get_items(list(wanted.values()), consistent=consistent)
        known = {**here, **{place: item for place, item in zip(wanted, read, strict=True) if item}}
        living = {place: item for place, item in known.items() if is_live(item, now)}
        return [
            judged(relation, [living.get(place_of(key)) for key in keys_of(relation)])
            for relation in relations
        ]

    def _counted(self, item: AttributeValues, form: Form) -> Iterator[Problem]:
        make = COUNTS.get(kind_of(item))
        if make is None or form.subject is None:
            return
        count, now = make(), self._now()
        shape = form.subject.layout.table.sk
        everything = Collection(TABLE, item[PK]["S"], KeyRange("A", "a"), shape)
        for items in self._walk(everything, only=NEEDED):
            for each in items:
                count.add(each, now)
        yield from count.problems(form.subject.entity, item)


def relation_of(subject: Subject | None) -> Relation | Problem:
    """The items that an item depends on; a problem if it doesn't say which these are."""
    if subject is None:
        return Relation((), lambda _: iter(()))
    try:
        return _rule_of(subject.layout)(subject)
    except (CorruptItem, InvalidArgument) as error:
        return _unreadable(error)


def _rule_of(layout: Layout) -> Rule:
    if layout.table.pk.tag == keyspace.CONVERSATION_PARTITION.tag and is_own(layout):
        return in_conversation
    return RULES.get(layout.kind, belongs)


def keys_of(relation: Relation | Problem) -> tuple[Key, ...]:
    """The keys that must be read to judge an item."""
    return relation.keys if isinstance(relation, Relation) else ()


def judged(relation: Relation | Problem, found: Found) -> list[Problem]:
    """The problems of an item, given the items that it depends on."""
    if isinstance(relation, Problem):
        return [relation]
    try:
        return list(relation.judge(found))
    except (CorruptItem, InvalidArgument) as error:
        return [_unreadable(error)]


def _unreadable(error: CorruptItem | InvalidArgument) -> Problem:
    reason = error.reason if isinstance(error, CorruptItem) else str(error)
    return Problem("unreadable", reason)


def _key(place: Place) -> Key:
    return {PK: {"S": place[0]}, SK: {"S": place[1]}}
