"""Erasing a person (G3): everything that belongs to them, in an order that can be resumed.

    plan      what there is: the receipt's counts; refused as `users.delete` is
    bury      a tombstone replaces the user, or is put where there is none
    logins    nobody gets in any more
    names     in the organizations that the person is in, a pseudonym replaces their id
    leave     organizations are left, or handed to the heir
    caller    no call can begin; then calls end, and a pseudonym replaces the person in them
    invites   those to the person's addresses are deleted
    reviews   in those of others' conversations, a pseudonym replaces the reviewer
    accounts  e-mail threads, interactions, invocations, reports, rate limits
    rest      conversations, activity; last the addresses and the tombstone

All steps but the plan are inside the deletion of the user (`delete_user`), while its tombstone
stands: so after a crash anywhere, the next call finds the tombstone and goes through all of them
again. Each finds what is left by itself and is conditional on what it found: an id that somebody
else has by now is left alone. What is found by an index is looked for until nothing is found. A
thread disappears from the index when its deletion begins; so the tombstone notes it, as it does for
conversations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.calls.call import Call, call_key
from dynamo_chat.calls.ending import CallEnder
from dynamo_chat.chat.conversation import still
from dynamo_chat.chat.reviews import Review
from dynamo_chat.chat.snapshot import SnapshotCache
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.deletion import Deletion
from dynamo_chat.core.errors import CorruptItem, NotFound
from dynamo_chat.core.fence import Overtaken
from dynamo_chat.core.item import helper_text, is_kind, key_parts, plan, text_in
from dynamo_chat.core.layout import GSI1, GSI2, KIND, PK, SK, Layout, Place
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.sweep import Sweep, Sweeper, Together
from dynamo_chat.core.transaction import Check, Delete, Update, key_of, set_index_keys
from dynamo_chat.core.ulids import is_ulid
from dynamo_chat.identity.removal import CLEARING_THREAD, Wishes
from dynamo_chat.identity.user import user_key
from dynamo_chat.limits.rate_limits import limits_of
from dynamo_chat.mail.removal import ThreadRemover
from dynamo_chat.mail.thread import thread_key
from dynamo_chat.orgs.invite import pointer_deletes
from dynamo_chat.telemetry.invocations import invocations_of
from dynamo_chat.telemetry.llm import interactions_of_account
from dynamo_chat.telemetry.reports import reports_of
from dynamo_chat.workflows.belongings import Finder, Found, Person, addresses_in
from dynamo_chat.workflows.delete_user import Life, UserRemover
from dynamo_chat.workflows.names import Names
from dynamo_chat.workflows.person_records import (
    ErasurePlan,
    ErasureReceipt,
    Mention,
    Mentions,
)

_ERASED: Final = "erased~"
_ACCOUNT: Final = "account_id"
_EVERYTHING: Final = Wishes("remove", "remove")
_SIDES: Final = {GSI1: "user_a", GSI2: "user_b"}
_OF_ACCOUNTS: Final = (interactions_of_account, invocations_of, reports_of, limits_of)


class Eraser(Repository):
    """Plans and does erasures."""

    def __init__(self, binding: Binding, snapshots: SnapshotCache) -> None:
        super().__init__(binding)
        self._snapshots = snapshots
        self._finder = Finder(binding)
        self._names = Names(binding)

    def plan(self, person: Person, on_mention: Callable[[Mention], object]) -> ErasurePlan:
        """What an erasure of this person would do now."""
        person = self._finder.with_addresses(person)
        counts: Counter[str] = Counter()
        unreadable, mentions = Mentions(), Mentions(on_mention)
        for each in self._finder.find(person):
            if each.doubt is None:
                counts[each.layout.kind] += 1
            else:
                unreadable.add(_left(each, each.doubt))
        # The other side keeps calls.
        replaced = Counter({keyspace.CALL.kind: counts.pop(keyspace.CALL.kind, 0)})
        for kind, mention in self._names.everywhere(person):
            replaced[kind] += kind != keyspace.ORGANIZATION.kind
            if mention is not None:
                mentions.add(mention)
        return ErasurePlan(
            user_id=person.user_id,
            account_ids=person.account_ids,
            erased={kind: count for kind, count in counts.items() if count},
            replaced={kind: count for kind, count in replaced.items() if count},
            mentions=mentions.first,
            mention_counts=mentions.counts,
            unreadable=unreadable.first,
            unreadable_counts=unreadable.counts,
        )

    def erase(
        self,
        person: Person,
        heir_id: str | None,
        on_progress: Callable[[int], object],
        on_mention: Callable[[Mention], object],
    ) -> ErasureReceipt:
        """Erase this person: see `People.erase`."""
        began_at = self._now()
        life = Life(self._get_item(user_key(person.user_id), consistent=True))
        planned = self.plan(person, on_mention)
        steps = _Steps(self._binding, person, f"{_ERASED}{self._new_id()}", on_progress)
        UserRemover(self._binding, self._snapshots, steps).delete(
            person.user_id, _EVERYTHING, heir_id, life
        )
        return ErasureReceipt(
            user_id=planned.user_id,
            account_ids=planned.account_ids,
            erased=planned.erased,
            replaced=planned.replaced,
            mentions=planned.mentions,
            mention_counts=planned.mention_counts,
            unreadable=planned.unreadable,
            unreadable_counts=planned.unreadable_counts,
            pseudonyms=(steps.pseudonym,) if planned.replaced else (),
            began_at=began_at,
            finished_at=self._now(),
            is_resumed=life.is_ending,
        )


class _Steps(Repository):
    """The steps that an erasure adds to the deletion of the user: a `Further`."""

    def __init__(
        self,
        binding: Binding,
        person: Person,
        pseudonym: str,
        on_progress: Callable[[int], object],
    ) -> None:
        super().__init__(binding)
        self._on_progress = on_progress
        self._done = 0
        self._person = person
        self.pseudonym = pseudonym
        self._finder = Finder(binding)
        self._names = Names(binding)
        self._threads = ThreadRemover(binding)
        self._ender = CallEnder(binding)

    def told(self, count: int) -> None:
        """Report that so many more items are erased."""
        if count:
            self._done += count
            self._on_progress(self._done)

    def before_leaving(self, deletion: Deletion, organization_ids: list[str]) -> None:
        """Replace the person's id in members and invites of their organizations."""

        def groups() -> Iterator[Together]:
            for organization_id in organization_ids:
                for item, fields in self._names.in_organization(organization_id, user_id):
                    for name in fields:
                        yield (self._renamed(item, name),)

        user_id = self._person.user_id
        Sweeper(self._binding, deletion.check).apply(groups())

    def before_the_rest(self, deletion: Deletion, tombstone: AttributeValues) -> None:
        """Delete or rename what is found by indexes. Overtaken."""
        sweeper = Sweeper(self._binding, deletion.check)
        addresses = dict.fromkeys([*self._person.addresses, *addresses_in(tombstone)])
        invites = [keyspace.INVITE.collection(GSI1, each)() for each in addresses]
        self.told(sweeper.sweep(Sweep(invites, self._without_invite, also=("token_hash",))))
        self._rename_calls(sweeper, deletion.check)
        self._rename_reviews(sweeper)
        self._delete_threads(deletion, tombstone)
        for account_id in self._person.account_ids:
            for of_account in _OF_ACCOUNTS:
                self.told(sweeper.sweep(of_account(account_id)))
        self._delete_own_kinds(sweeper, replace(self._person, addresses=tuple(addresses)))

    # -- names --------------------------------------------------------------------------------

    def _renamed(self, item: AttributeValues, name: str) -> Update:
        path = Path(name)
        return Update(key_of(item), [path.set(self.pseudonym)], path == self._person.user_id)

    def _without_invite(self, item: AttributeValues) -> Together:
        """Deletes of an invite with its pointers; not of a newer one with the same key."""
        token = item.get("token_hash")
        is_it = Path(PK).exists() if token is None else Path("token_hash") == token["S"]
        group: list[Delete] = [Delete(key_of(item), is_it)]
        with suppress(CorruptItem):
            group += pointer_deletes(item)
        return group

    def _rename_calls(self, sweeper: Sweeper, check: Check) -> None:
        """End the person's calls, and replace them in the history of the other side."""
        user_id = self._person.user_id
        while True:
            count = 0
            for place, side in _SIDES.items():
                for items in self._walk(
                    keyspace.CALL.collection(place, user_id)(), consistent=False
                ):
                    groups = [self._without_caller(each, place, side, check) for each in items]
                    count += sweeper.apply(groups)
            if not count:
                return

    def _without_caller(
        self, item: AttributeValues, place: Place, side: str, check: Check
    ) -> Together:
        try:
            call = plan(Call).decode(item)
        except CorruptItem:
            return ()  # the doctor reports it
        if getattr(call, side) != self._person.user_id:
            return ()
        with suppress(NotFound):
            self._ender.end(call, self._now(), check)
        is_it = (Path(side) == self._person.user_id) & (
            plan(Call).model.started_at == call.started_at
        )
        is_it &= plan(Call).model.ended_at.exists()
        other = call.user_b if side == "user_a" else call.user_a
        key = call_key(call.call_id)
        if _is_pseudonym(other):
            return (Delete(key, is_it),)  # nobody keeps it
        fields = {**call.__dict__, "user_id": self.pseudonym}
        renamed = Path(side).set(self.pseudonym)
        return (Update(key, [renamed, *set_index_keys(keyspace.CALL, place, **fields)], is_it),)

    def _rename_reviews(self, sweeper: Sweeper) -> None:
        """Replace the person as the reviewer, in reviews and their id items."""
        while True:
            groups = (
                self._without_reviewer(each)
                for each in self._names.reviews_by(self._person.user_id)
            )
            if not sweeper.apply(groups):
                return

    def _without_reviewer(self, review: Review) -> Together:
        named = Path("reviewed_by") == self._person.user_id
        renamed = review.model_copy(update={"reviewed_by": self.pseudonym})
        fields = {**renamed.indexed()[GSI1]}
        actions = [
            Path("reviewed_by").set(self.pseudonym),
            *set_index_keys(keyspace.REVIEW, GSI1, **fields),
        ]
        # Archiving moves it in the same index: its key must be made of what is stored.
        archived = Path("archived_at")
        is_as_read = archived.exists() if review.is_archived else archived.does_not_exist()
        pointer = keyspace.REVIEW_ID.key(review_id=review.review_id)
        return (
            Update(keyspace.REVIEW.key(**review.__dict__), actions, named & is_as_read),
            Update(
                pointer,
                [Path("reviewed_by").set(self.pseudonym)],
                named & (Path("conversation_id") == review.conversation_id),
            ),
        )

    # -- accounts -----------------------------------------------------------------------------

    def _delete_threads(self, deletion: Deletion, tombstone: AttributeValues) -> None:
        """Delete the accounts' e-mail threads, until the index shows none. Overtaken."""
        noted = _noted(tombstone)
        if noted is not None:
            self._finish_thread(noted)
        for account_id in self._person.account_ids:
            collection = keyspace.EMAIL_THREAD.collection(GSI1, account_id)()
            is_done = False
            while not is_done:
                is_done = True
                for items in self._walk(collection, consistent=False, only=(PK, SK)):
                    for item in items:
                        went, noted = self._delete_thread(item, account_id, deletion, noted)
                        is_done = is_done and not went

    def _delete_thread(
        self, item: AttributeValues, account_id: str, deletion: Deletion, noted: str | None
    ) -> tuple[bool, str | None]:
        """Delete one thread; whether it was there, and what the tombstone notes then."""
        path = Path(CLEARING_THREAD)
        while True:
            try:
                (conversation_id,) = key_parts(keyspace.EMAIL_THREAD, item, PK)
                is_same = path.does_not_exist() if noted is None else path == noted
                note = Update(
                    deletion.check.key,
                    [path.set(conversation_id)],
                    deletion.check.condition & is_same,
                )
                self.told(self._threads.delete(conversation_id, account_id, part_of=note))
            except (CorruptItem, NotFound):
                return False, noted  # deleted: the index is behind
            except Overtaken as overtaken:
                if overtaken.there is None or not deletion.goes_on_at(overtaken.there):
                    raise
                # Another worker of this erasure has begun a thread.
                noted = _noted(overtaken.there)
                if noted is not None:
                    self._finish_thread(noted)
            else:
                return True, conversation_id

    def _finish_thread(self, conversation_id: str) -> None:
        """Finish the thread that a crashed call began to delete."""
        item = self._get_item(thread_key(conversation_id), consistent=True)
        if item is None or not is_kind(item, keyspace.EMAIL_THREAD_TOMBSTONE):
            return
        if text_in(item, _ACCOUNT) in self._person.account_ids:
            self._threads.finish(item)

    def _delete_own_kinds(self, sweeper: Sweeper, person: Person) -> None:
        """Delete what is the person's in kinds of an application's own."""
        own: tuple[Layout, ...] = getattr(self._binding, "own", ())
        roots = [each for each in own if each.owner is not None]
        if not roots:
            return
        count = -1
        while count:
            count = sweeper.apply(
                (Delete(key_of(each.item), _still_theirs(each)),)
                for each in _roots_last(self._finder.find(person, roots, helpers=True))
                if each.doubt is None
            )
            self.told(count)


def _noted(tombstone: AttributeValues) -> str | None:
    """The thread that the tombstone notes as begun last; None if it notes none."""
    if CLEARING_THREAD not in tombstone:
        return None
    return helper_text(tombstone, CLEARING_THREAD, keyspace.USER_TOMBSTONE)


def _left(found: Found, why: CorruptItem) -> Mention:
    """An item that stays, because it does not say whose it is; by its raw key."""
    ids = tuple((name, found.item[name]["S"]) for name in (PK, SK))
    return Mention(found.layout.kind, ids, (), why.reason)


def _roots_last(found: Iterator[Found]) -> Iterator[Found]:
    """Each root after what belongs to it: nothing else leads there after a crash."""
    root: Found | None = None
    for each in found:
        if each.layout.owner is None:
            yield each
            continue
        if root is not None:
            yield root
        root = each
    if root is not None:
        yield root


def _still_theirs(found: Found) -> Condition:
    """The item is of the same kind, and names the same owner."""
    condition: Condition = Path(KIND) == found.layout.kind
    owner = found.layout.owner
    return condition if owner is None else condition & still(found.item, *owner.fields)


def _is_pseudonym(user_id: str) -> bool:
    return user_id.startswith(_ERASED) and is_ulid(user_id.removeprefix(_ERASED))
