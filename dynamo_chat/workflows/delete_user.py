"""Deleting a user and everything that belongs to them (U8). After a crash, it can be resumed.

    look      refuse if an organization would lose its last active owner, unless an heir is named
    bury      a tombstone replaces the user: nobody finds the user, nothing can be added to them
    logins    all logins are revoked
    leave     organizations that the user owns are left, or handed to the heir, in one transaction;
              then the other organizations
    clear     conversations, the place in a queue and activity are deleted
    finish    addresses and id are free again; if something was kept, the id is retired

Two owners of one organization may delete themselves at the same moment. Both get a tombstone, but
only one can leave. The deletion of the other is undone: they stay as the last owner, but have to
log in again.

Every step is conditional on this deletion's tombstone. Memberships are read strongly consistent
from the user's own partition; conversations can only be found by the index.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, get_args

from dynamo_chat import keyspace
from dynamo_chat.calls.caller import Caller, caller_key, has_ticket, place_of
from dynamo_chat.chat.snapshot import SnapshotCache
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.changes import checked_as
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.deletion import Deletion, resume
from dynamo_chat.core.errors import Conflict, CorruptItem, InvalidArgument, NotFound
from dynamo_chat.core.fence import Overtaken
from dynamo_chat.core.item import is_kind, key_parts, plan
from dynamo_chat.core.layout import PK, SK
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Delete, contended, key_of
from dynamo_chat.identity.removal import (
    KeepOrRemove,
    Seen,
    UserDeletionSteps,
    Wishes,
    is_retired,
    noted_wishes,
    organizations_of,
)
from dynamo_chat.identity.user import User, is_user
from dynamo_chat.workflows.clear_conversations import ConversationsOfOwner, has_noted
from dynamo_chat.workflows.leave_organizations import Leaver, Refused


class Further(Protocol):
    """What else goes while the tombstone stands. Each step may be repeated after a crash."""

    def before_leaving(self, deletion: Deletion, organization_ids: list[str], /) -> None:
        """Called while the memberships still show which organizations to look at. Overtaken."""

    def before_the_rest(self, deletion: Deletion, tombstone: AttributeValues, /) -> None:
        """Called when nobody gets in any more: logins, memberships and caller are gone. Overtaken.

        `deletion` may go on only while it does at its tombstone.
        """

    def told(self, count: int, /) -> None:
        """Called when so many more items are deleted."""


class Life(NamedTuple):
    """Which life of an id is deleted: that of the item that was there, or of nobody."""

    item: AttributeValues | None
    """The user or the tombstone; None if there was neither."""

    @property
    def is_ending(self) -> bool:
        """True if its deletion has begun."""
        return (
            self.item is not None
            and is_kind(self.item, keyspace.USER_TOMBSTONE)
            and not is_retired(self.item)
        )

    def is_over(self, there: AttributeValues) -> bool:
        """True if what is there now belongs to somebody who got the id since."""
        now = there.get("created_at")
        if self.item is None or ("created_at" not in self.item and not is_user(self.item)):
            return now is not None  # there was no user, so this one is new
        return now is not None and self.item.get("created_at", now) != now


class UserRemover(Repository):
    """Deletes users and everything that belongs to them.

    With `further`, also what else it deletes, and what is stored under an id without a user.
    """

    def __init__(
        self, binding: Binding, snapshots: SnapshotCache, further: Further | None = None
    ) -> None:
        super().__init__(binding)
        self._further = further
        self._conversations = ConversationsOfOwner(binding, snapshots, keyspace.USER_TOMBSTONE)
        self._leaver = Leaver(binding)
        self._steps = UserDeletionSteps(binding)

    def delete(
        self, user_id: str, wishes: Wishes, heir_id: str | None, life: Life | None = None
    ) -> int:
        """Delete a user. Returns the number of items deleted: see `Users.delete`.

        Only in the given life of the id, by default the one that is found first. Conflict if that
        one is over before anything is deleted.
        """
        _check(wishes)
        if heir_id is not None:
            checked_as(User, "user_id", heir_id, "heir_id")
            if heir_id == user_id:
                raise InvalidArgument("heir_id", "must be another user")
        has_begun = False
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt:
                self._connection.pause(attempt)
            seen = self._steps.look(user_id)
            if life is None:
                if seen is None and self._further is None:
                    raise NotFound("user", user_id)
                life = Life(None if seen is None else seen.item)
            if self._is_finished(seen, life, wishes, has_begun=has_begun):
                return 0
            deletion = self._begin(user_id, seen, wishes, heir_id)
            if deletion is None:
                continue  # the user has changed since it was read
            has_begun = True
            before = None if seen is None else seen.item
            try:
                return self._carry_on(user_id, deletion, wishes, heir_id, before)
            except Overtaken:
                continue  # another call of this deletion finished or undid it
        raise contended("the user")

    def _is_finished(
        self, seen: Seen | None, life: Life, wishes: Wishes, *, has_begun: bool
    ) -> bool:
        """True if another call has done everything. Conflict if nothing was begun in this life."""
        if seen is None:
            return has_begun or life.item is not None
        if life.is_over(seen.item):
            if self._further is not None and not has_begun:
                raise Conflict("the id was given to another user meanwhile")
            return True
        return _is_as_wished(seen, wishes)

    def _begin(
        self, user_id: str, seen: Seen | None, wishes: Wishes, heir_id: str | None
    ) -> Deletion | None:
        """Put the tombstone, or take over the one that was read; None if that has changed."""
        if seen is None:
            return self._steps.begin_without_user(user_id, wishes)
        if wishes.memberships == "remove" and (seen.organization_ids or heir_id is not None):
            # A deletion that has begun is refused and undone later, in `_leave`.
            ids = seen.organization_ids if is_user(seen.item) else []
            self._leaver.check(user_id, ids, heir_id)
        return self._steps.begin(user_id, seen.item, wishes)

    def finish(self, tombstone: AttributeValues) -> int:
        """Finish the deletion that left this tombstone, with the wishes stored on it.

        Returns the number of items deleted: 0 if another worker has finished it, even if the id
        has been used again since. IllegalTransition if an organization would lose its last owner:
        then the tombstone stays.
        """
        if is_retired(tombstone):
            return 0
        (user_id,) = key_parts(keyspace.USER_TOMBSTONE, tombstone, PK)
        deletion = resume(self._connection, tombstone, self._new_id(), keyspace.USER_TOMBSTONE)
        if deletion is None:
            return 0
        try:
            return self._carry_on(user_id, deletion, noted_wishes(tombstone), None, None)
        except Overtaken:
            return 0

    def _carry_on(
        self,
        user_id: str,
        deletion: Deletion,
        wishes: Wishes,
        heir_id: str | None,
        before: AttributeValues | None,
    ) -> int:
        """All steps after the tombstone. With the replaced item, `before`, they can be undone."""
        left = self._steps.revoke_logins(user_id, deletion)
        count = left.revoked + self._conversations.finish(user_id, left.tombstone)
        finished = self._conversations.noted(left.tombstone)
        organization_ids = organizations_of(left.read)
        if self._further is not None:
            self._further.before_leaving(deletion, organization_ids)
        if organization_ids and wishes.memberships == "remove":
            self._leave(user_id, organization_ids, heir_id, deletion, before)
            organization_ids = []
        if self._further is not None:
            count += self._delete_caller(user_id, deletion)
            self._further.before_the_rest(deletion, left.tombstone)
        if wishes.conversations == "remove":
            told = None if self._further is None else self._further.told
            deleted, finished = self._conversations.delete(user_id, deletion, finished, told)
            count += deleted
        # Meanwhile another worker may have begun to delete a conversation, and crashed.
        deletion = deletion.only_if(has_noted(finished))
        if any(item[SK] == caller_key(user_id)[SK] for item in left.read):
            count += self._delete_caller(user_id, deletion)
        if organization_ids or wishes.conversations == "keep":
            return count + self._steps.retire(user_id, deletion, left)
        # Creating a caller does not check the user. Delete one that was created meanwhile, too.
        return count + self._steps.finish(user_id, deletion, left, [Delete(caller_key(user_id))])

    def _leave(
        self,
        user_id: str,
        organization_ids: list[str],
        heir_id: str | None,
        deletion: Deletion,
        before: AttributeValues | None,
    ) -> None:
        """Leave the organizations; if that is refused, undo the deletion and raise the reason."""
        # Tombstones of an older version have too little data to restore the user.
        can_be_taken_back = before is not None and "created_at" in before
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt:
                self._connection.pause(attempt)
            try:
                self._leaver.leave(user_id, organization_ids, heir_id, deletion)
            except Refused as refused:
                if not can_be_taken_back:
                    raise refused.error from None
                try:
                    self._steps.take_back(deletion, *refused.checks)
                except ConditionFailed:
                    continue  # there is another owner now
                raise refused.error from None
            return
        raise contended("the organizations' members")

    def _delete_caller(self, user_id: str, deletion: Deletion) -> int:
        """Delete the user's caller and their queue ticket; the number of items. Overtaken.

        A live call is not ended.
        """
        key = caller_key(user_id)
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt:
                self._connection.pause(attempt)
            item = self._get_item(key, consistent=True)
            if item is None:
                return 0
            writes = _caller_deletes(item)
            try:
                self._write(deletion.check, *writes)
            except ConditionFailed as failed:
                if 0 in failed.items:
                    raise Overtaken from failed
                continue  # the caller joined or left a queue
            return len(writes)
        raise contended("the caller")


def _check(wishes: Wishes) -> None:
    for name, wish in wishes._asdict().items():
        if wish not in get_args(KeepOrRemove):
            raise InvalidArgument(name, "must be 'remove' or 'keep'")


def _is_as_wished(seen: Seen, wishes: Wishes) -> bool:
    """True if an earlier deletion has done everything that this one would."""
    is_kept = wishes.memberships == "keep" or not seen.organization_ids
    return is_retired(seen.item) and wishes.conversations == "keep" and is_kept


def _caller_deletes(item: AttributeValues) -> list[Delete]:
    """Deletes of a caller and their ticket, if the caller still has the same one."""
    key = key_of(item)
    try:
        place = place_of(plan(Caller).decode(item))
    except CorruptItem:
        return [Delete(key)]  # the queue is unknown; the ticket expires
    if place is None:
        return [Delete(key, plan(Caller).model.ticket_id.does_not_exist())]
    return [Delete(key, has_ticket(place.ticket_id)), Delete(place.key)]
