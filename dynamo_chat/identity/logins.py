"""Login sessions (U6, U7): a bearer secret and the login that it opens until it expires.

    LOGIN#hash                    the login, found by the hash of its secret; in an index by expiry
    USER#id / LOGIN#expires#hash  its listing, in the user's own partition

Both are written in one transaction and deleted together: a login that can be read is active. The
active logins of a user are a key range of the index. Revoking them all reads the listings instead,
strongly consistent, so that a new one is not missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field

from dynamo_chat import keyspace
from dynamo_chat.core.bearer import given_or_new, hash_of
from dynamo_chat.core.changes import check_indexed, check_rewritten
from dynamo_chat.core.clock import not_ahead, whole_second
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Deadline, Entity, Id, JsonObject, Text, Time, validated
from dynamo_chat.core.errors import AlreadyExists, CorruptItem, InvalidArgument, NotFound
from dynamo_chat.core.item import Item, helper_item, key_parts, plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.layout import GSI1, PK, SK, TABLE, Layout
from dynamo_chat.core.owners import check_owner
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import BEARER, NoOwner, access_pattern
from dynamo_chat.core.renamed import formerly
from dynamo_chat.core.repository import PageRequest, Repository
from dynamo_chat.core.transaction import (
    MAX_TRANSACTION_WRITES,
    Check,
    Delete,
    Put,
    Update,
    absent,
    is_live,
    live,
)
from dynamo_chat.identity.removal import login_deletes
from dynamo_chat.identity.user import user_exists, user_key

DEFAULT_LIFETIME = timedelta(days=7)
MAX_LIFETIME = timedelta(days=3_650)
_REVOKED_AT_ONCE = MAX_TRANSACTION_WRITES // 2


class LoginSession(Entity):
    """A user's login on one device. Expired and revoked logins are not found."""

    layout: ClassVar[Layout] = keyspace.LOGIN

    login_id: Id
    """Identifies the login but does not open it: the SHA-256 of its secret."""
    user_id: Id
    account_id: Id | None = None
    created_at: Time
    last_activity: Time
    expires_at: Annotated[Time, Deadline()]
    """When it expires, in whole seconds."""
    ip_address: Text | None = None
    user_agent: Text | None = None
    metadata: JsonObject = Field(default_factory=dict)
    """Free data, such as the login method and the type of device. At most 4,096 bytes as JSON."""


@dataclass(frozen=True, slots=True)
class OpenedLogin:
    """A new login and its secret. The secret is not stored and is returned only here."""

    login: LoginSession
    secret: str = field(repr=False)
    """What the client sends to authenticate, in a cookie or a bearer header."""


class Logins(Repository):
    """Create, check, list and revoke logins."""

    @access_pattern("U6", "TransactWriteItems", "1", owner="argument")
    def create(
        self,
        user_id: str,
        *,
        lifetime: timedelta = DEFAULT_LIFETIME,
        account_id: str | None = None,
        ip_address: str | None = None,
        user_agent: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        secret: str | None = None,
    ) -> OpenedLogin:
        """Create a login for a user, and return it with its secret.

        To make retries safe, pass your own `secret` of at least 128 random bits: a retry with it
        returns the existing login. AlreadyExists if the secret belongs to a different login.
        NotFound if the user does not exist.
        """
        known = given_or_new("secret", secret)
        if metadata is not None and not isinstance(metadata, Mapping):
            raise InvalidArgument("metadata", f"must be a mapping, not {type(metadata).__name__}")
        now = self._now()
        login = validated(
            LoginSession,
            login_id=hash_of("secret", known),
            user_id=user_id,
            account_id=account_id,
            created_at=now,
            last_activity=now,
            expires_at=_expiry(now, lifetime),
            ip_address=ip_address,
            user_agent=user_agent,
            metadata=dict(metadata or {}),
        )
        check_indexed("metadata", login.metadata)
        return OpenedLogin(self._put(login, now), known)

    open = formerly("open", create)

    @access_pattern("U6", "TransactWriteItems", "1", owner="argument")
    def load(self, secret: str, login: LoginSession) -> LoginSession:
        """Store a login of another system unchanged, under its own secret, and return it.

        Its ``login_id`` is replaced by the hash of the secret. Loading it again returns the stored
        login. AlreadyExists if the secret belongs to a different login. NotFound if the user does
        not exist. InvalidArgument if it has expired, or begins more than five minutes ahead.
        """
        given = _read_before("login", login)
        if not isinstance(secret, str):
            raise InvalidArgument("secret", f"must be text, not {type(secret).__name__}")
        login_id = hash_of("secret", given_or_new("secret", secret))
        loaded = given.model_copy(update={"login_id": login_id})
        now = self._now()
        if not now < loaded.expires_at <= now + MAX_LIFETIME:
            raise InvalidArgument("login.expires_at", "must be in the future, within 3,650 days")
        not_ahead("login.created_at", loaded.created_at, now)
        not_ahead("login.last_activity", loaded.last_activity, now)
        loaded = loaded.model_copy(update={"expires_at": whole_second(loaded.expires_at)})
        return self._put(loaded, now)

    @access_pattern("U6", "GetItem", "1", owner=BEARER)
    def get(self, secret: str, *, consistent: bool = True) -> LoginSession:
        """The login that this secret opens. NotFound if there is none, or it was revoked.

        ``consistent=False`` halves the cost, but may still return a login that was just revoked.
        """
        login_id = hash_of("secret", secret)
        found = self._get(LoginSession, consistent=consistent, login_id=login_id)
        if found is None:
            raise NotFound("login")
        return found

    @access_pattern("U6", "GetItem", "1", owner="read")
    def get_by_id(self, login_id: str, *, user_id: str) -> LoginSession:
        """A user's login by its id, for example to revoke it. NotFound, also for another user's."""
        check_owner("user_id", user_id)
        found = self._get(LoginSession, consistent=True, login_id=login_id)
        if found is None or found.user_id != user_id:
            raise NotFound("login")
        return found

    @access_pattern("U6", "UpdateItem", "1", owner=BEARER)
    def touch(self, secret: str) -> LoginSession:
        """Set a login's last activity to now and return it. NotFound if it expired or was revoked.

        This also checks the secret: one request authenticates a client and records its activity.
        """
        now = self._now()
        attributes = plan(LoginSession).model
        try:
            item = self._write(
                Update(
                    keyspace.LOGIN.key(login_id=hash_of("secret", secret)),
                    [attributes.last_activity.set(now)],
                    # Without `live`, the update would create an item for a revoked login.
                    live(now) & (attributes.last_activity <= now),
                ),
                returning=True,
            )
        except ConditionFailed as failed:
            there = failed.items.get(0)
            if there is None or not is_live(there, now):
                raise NotFound("login") from failed
            return plan(LoginSession).decode(there)  # another server wrote a later time
        return plan(LoginSession).decode(item)

    @access_pattern(
        "U6",
        "GetItem, TransactWriteItems",
        "1; 2 with a secret",
        budget=1,
        owner=NoOwner("it takes a login that was read before, or the secret of one"),
    )
    def revoke(self, login: LoginSession | str) -> None:
        """Revoke a login, given as it was read before or by its secret.

        Revoking a login again changes nothing. NotFound if a secret opens no login, which is also
        the case after it was revoked.
        """
        if isinstance(login, str):
            login = self.get(login)
        fields = _read_before("login", login).__dict__
        attributes = plan(LoginSession).model
        # A caller may have opened another login with the same secret: that one stays.
        is_it = Item.PK.does_not_exist() | (
            (attributes.user_id == login.user_id) & (attributes.created_at == login.created_at)
        )
        with suppress(ConditionFailed):
            self._write(
                Delete(keyspace.LOGIN.key(**fields), is_it),
                Delete(keyspace.LOGIN_LISTING.key(**fields)),
            )

    @access_pattern(
        "U6", "Query, TransactWriteItems", "⌈MB⌉ + ⌈logins/50⌉", budget=2, owner="argument"
    )
    def revoke_all(self, user_id: str, *, except_for: LoginSession | None = None) -> int:
        """Revoke all active logins of a user, also new ones. Returns how many were revoked.

        `except_for` keeps one login: "log out everywhere else". After a crash, call it again.
        CorruptItem if a listing cannot be read; all other logins are revoked first.
        """
        kept = None if except_for is None else _read_before("except_for", except_for).login_id
        count = 0
        unreadable: list[CorruptItem] = []
        active = keyspace.LOGIN_LISTING.collection(TABLE, user_id)(lower=self._now())
        for items in self._walk(active, only=(PK, SK)):
            listings = []
            for item in items:
                try:
                    if _login_id(item) != kept:
                        listings.append(item)
                except CorruptItem as error:
                    unreadable.append(error)
            for start in range(0, len(listings), _REVOKED_AT_ONCE):
                count += self._revoke(user_id, listings[start : start + _REVOKED_AT_ONCE])
        if unreadable:
            raise unreadable[0]
        return count

    @access_pattern("U7", "Query", "1", index="GSI1", owner="partition")
    def list_active(
        self,
        user_id: str,
        *,
        latest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[LoginSession]:
        """A user's active logins by expiry, the latest to expire first.

        Expired logins are outside the key range, so they cost nothing, however many there are.
        """
        now = self._now()
        listed = keyspace.LOGIN.collection(GSI1, user_id)
        asked, active = PageRequest((user_id,), latest_first, page_size, cursor), listed(lower=now)
        position = self._cursor_position(asked, listed())
        if position is not None and position < active.keys.lower:
            # The login at the cursor has expired since the previous page.
            if latest_first:
                return Page(())
            asked = replace(asked, cursor=None)
        return self._page(asked, [active], plan(LoginSession).decode)

    iterate_active = iterating(list_active)

    def _put(self, login: LoginSession, now: datetime) -> LoginSession:
        """Store a login of an existing user, and return it; or the same one, if it exists."""
        check_rewritten(
            ip_address=login.ip_address, user_agent=login.user_agent, metadata=login.metadata
        )
        try:
            self._write(
                Put(plan(LoginSession).encode(login), absent(now)),
                Put(listing_item(login)),
                Check(user_key(login.user_id), user_exists()),
            )
        except ConditionFailed as failed:
            if 2 in failed.items:
                raise NotFound("user", login.user_id) from failed
            there = plan(LoginSession).decode(failed.items[0] or {})
            if not _says_the_same(there, login):
                raise AlreadyExists("the login secret is in use") from failed
            return there
        return login

    def _revoke(self, user_id: str, listings: Sequence[AttributeValues]) -> int:
        """Delete each login together with its listing. Returns the number of logins."""
        deletes = [each for item in listings for each in login_deletes(item, user_id)]
        while deletes:
            try:
                self._write(*deletes)
            except ConditionFailed as failed:  # another user's login has that key now
                deletes = [each for at, each in enumerate(deletes) if at not in failed.items]
            else:
                break
        return len(deletes) - len(listings)


def _read_before(argument: str, login: LoginSession) -> LoginSession:
    """`login` itself. InvalidArgument if it is something else."""
    if not isinstance(login, LoginSession):
        raise InvalidArgument(argument, f"must be a LoginSession, not {type(login).__name__}")
    return login


def _login_id(listing: AttributeValues) -> str:
    login_id: str
    _, login_id = key_parts(keyspace.LOGIN_LISTING, listing, SK)
    return login_id


def _expiry(now: datetime, lifetime: timedelta) -> datetime:
    if not isinstance(lifetime, timedelta) or not timedelta() < lifetime <= MAX_LIFETIME:
        raise InvalidArgument("lifetime", "must be a timedelta above 0 and at most 3,650 days")
    return whole_second(now + lifetime)


def listing_item(login: LoginSession) -> AttributeValues:
    """The item of a login in its user's partition."""
    return helper_item(keyspace.LOGIN_LISTING, login.__dict__, expires_at=login.expires_at)


def _says_the_same(there: LoginSession, wanted: LoginSession) -> bool:
    compared = ("user_id", "account_id", "ip_address", "user_agent", "metadata")
    return all(getattr(there, name) == getattr(wanted, name) for name in compared)
