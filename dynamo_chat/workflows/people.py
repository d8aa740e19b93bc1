"""The repository of people: what belongs to a person, handed out or erased (G1–G3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from dynamo_chat.chat.snapshot import SnapshotCache
from dynamo_chat.core.addresses import address_key
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.changes import checked_as
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.patterns import access_pattern, running
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.settings import check_callable
from dynamo_chat.identity.user import User
from dynamo_chat.workflows.belongings import Finder, Person
from dynamo_chat.workflows.erase_person import Eraser
from dynamo_chat.workflows.person_records import (
    ErasurePlan,
    ErasureReceipt,
    Mention,
    PersonRecord,
)

MAX_IDS = 10
"""The most accounts, and the most addresses, of one call: each takes some twenty requests."""

T = TypeVar("T")


class People(Repository):
    """Export and erase what belongs to a person, in every domain."""

    def __init__(self, binding: Binding, snapshots: SnapshotCache) -> None:
        super().__init__(binding)
        self._finder = Finder(binding)
        self._eraser = Eraser(binding, snapshots)

    @access_pattern(
        "G1",
        "Query, GetItem, BatchGetItem",
        "⌈MB⌉ of each list + 2 for each conversation and 1 for each thread",
        budget=32,
        index="table + GSI1 + GSI2",
        owner="argument",
        domain="workflows",
    )
    def export(
        self,
        user_id: str,
        *,
        account_ids: Iterable[str] = (),
        addresses: Iterable[str] = (),
        on_unreadable: Callable[[CorruptItem], object] | None = None,
    ) -> Iterator[PersonRecord]:
        """Everything that belongs to a person, one by one, each before what belongs to it.

        By the user id: the user, logins, activity, memberships, conversations with all that is in
        them, caller, queue place, calls. By their addresses, and the further ones given: invites to
        them. By the accounts: e-mail threads, LLM interactions, reports, invocations, rate limits.
        Memory does not grow with their number. InvalidArgument before the first. What cannot be
        read is left out: `on_unreadable` is called with the error of each; without it, the first
        CorruptItem is raised after the last record.
        """
        person = _person(user_id, account_ids, addresses)
        if on_unreadable is not None:
            check_callable("on_unreadable", on_unreadable)
        return _counted_as("G1", self._records(person, on_unreadable))

    @access_pattern(
        "G2",
        "Query, GetItem, BatchGetItem",
        "as G1, and ⌈MB⌉ of each organization",
        budget=48,
        index="table + GSI1 + GSI2",
        owner="argument",
        domain="workflows",
    )
    def plan_erasure(
        self,
        user_id: str,
        *,
        account_ids: Iterable[str] = (),
        addresses: Iterable[str] = (),
        on_mention: Callable[[Mention], object] | None = None,
    ) -> ErasurePlan:
        """What `erase` would do now: how many of each kind, and what stays with others.

        `on_mention` is called with each mention, also with those beyond the first 1,000, which the
        plan lists.
        """
        person = _person(user_id, account_ids, addresses)
        return self._eraser.plan(person, _hook("on_mention", on_mention))

    @access_pattern(
        "G3",
        "Query, GetItem, BatchGetItem, PutItem, UpdateItem, TransactWriteItems",
        "as G2 and U8, and M12 for each thread",
        budget=120,
        index="table + GSI1 + GSI2",
        owner="argument",
        domain="workflows",
    )
    def erase(
        self,
        user_id: str,
        *,
        account_ids: Iterable[str] = (),
        addresses: Iterable[str] = (),
        heir_id: str | None = None,
        on_progress: Callable[[int], object] | None = None,
        on_mention: Callable[[Mention], object] | None = None,
    ) -> ErasureReceipt:
        """Erase everything that belongs to a person, and return a receipt.

        What `export` returns is deleted, except calls: the other side keeps them, with a
        pseudonym. It also replaces the person's id as an inviter, and as a reviewer of others'
        conversations. Texts that others own are listed for a human. After a crash, call it again;
        called once more, it erases what was written meanwhile. Damaged items go, too, if they still
        say whose they are; others stay, and are `unreadable` in the receipt. There need be no user
        with this id.
        Conflict if the id was given to another user before anything was erased. `on_progress` is
        called now and then with the number of items erased so far, helper items included.
        `on_mention` is called with each mention, before anything is erased: what it raises ends the
        call. The receipt counts all, and lists the first 1,000.
        The heir and the errors are those of `users.delete`: IllegalTransition if the person is the
        last owner of an organization, NotFound if the heir does not exist.
        """
        person = _person(user_id, account_ids, addresses)
        progress, mention = _hook("on_progress", on_progress), _hook("on_mention", on_mention)
        return self._eraser.erase(person, heir_id, progress, mention)

    def _records(
        self, person: Person, on_unreadable: Callable[[CorruptItem], object] | None
    ) -> Iterator[PersonRecord]:
        unreadable: CorruptItem | None = None
        for found in self._finder.find(self._finder.with_addresses(person)):
            try:
                record = PersonRecord(found.layout.kind, found.entity)
            except CorruptItem as error:
                if on_unreadable is not None:
                    on_unreadable(error)
                else:
                    unreadable = unreadable or error
            else:
                yield record
        if unreadable is not None:
            raise unreadable


def _person(user_id: str, account_ids: Iterable[str], addresses: Iterable[str]) -> Person:
    """The person of a call. InvalidArgument."""
    checked_as(User, "user_id", user_id, "user_id")
    accounts = _texts("account_ids", account_ids)
    for each in accounts:
        checked_as(User, "user_id", each, "account_ids")
    given = _texts("addresses", addresses)
    return Person(user_id, accounts, tuple(dict.fromkeys(address_key(each) for each in given)))


def _hook(argument: str, given: Callable[[T], object] | None) -> Callable[[T], object]:
    """What to call; something that does nothing if nothing is given. InvalidArgument."""
    if given is None:
        return lambda _: None
    check_callable(argument, given)
    return given


def _texts(argument: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InvalidArgument(argument, "must be a list of texts")
    found: dict[str, None] = {}
    for each in given:
        if not isinstance(each, str) or not each:
            raise InvalidArgument(argument, "must have texts only, none of them empty")
        found[each] = None
        if len(found) > MAX_IDS:
            raise InvalidArgument(argument, f"must have at most {MAX_IDS:,}")
    return tuple(found)


def _counted_as(pattern_id: str, items: Iterator[T]) -> Iterator[T]:
    """`items`, whose requests count as this pattern although the method has returned."""
    while True:
        with running(pattern_id):
            found = next(items, None)
        if found is None:
            return
        yield found
