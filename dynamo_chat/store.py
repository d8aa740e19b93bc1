"""`ChatStore`: connects all repositories to one table on one endpoint."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

from dynamo_chat.core.binding import Binding
from dynamo_chat.core.client import ConnectionOptions
from dynamo_chat.core.clock import Clock, IdSource, system_clock, ulid_ids
from dynamo_chat.core.connection import Connection
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.events import RequestHook
from dynamo_chat.core.forks import renew_after_fork
from dynamo_chat.core.layout import KeySpace
from dynamo_chat.core.own import made_like, own_repositories
from dynamo_chat.core.page import CursorCodec
from dynamo_chat.keyspace import KEY_SPACE, Shards

if TYPE_CHECKING:
    # For type checkers it is the plain one, which a subclass may override by another property.
    from functools import cached_property as repository_property

    from dynamo_chat.calls.callers import Callers
    from dynamo_chat.calls.calls import Calls
    from dynamo_chat.calls.queue import Queue
    from dynamo_chat.chat.conversations import Conversations
    from dynamo_chat.chat.messages import Messages
    from dynamo_chat.chat.reviews import Reviews
    from dynamo_chat.chat.snapshot import SnapshotCache
    from dynamo_chat.chat.states import ConversationStates
    from dynamo_chat.identity.activity import Activities
    from dynamo_chat.identity.logins import Logins
    from dynamo_chat.identity.users import Users
    from dynamo_chat.limits.rate_limits import RateLimits
    from dynamo_chat.mail.emails import EmailMessages
    from dynamo_chat.mail.scores import EVScores
    from dynamo_chat.mail.threads import EmailThreads
    from dynamo_chat.orgs.invites import Invites
    from dynamo_chat.orgs.members import Members
    from dynamo_chat.orgs.organizations import Organizations
    from dynamo_chat.provision.table import Table
    from dynamo_chat.telemetry.invocations import Invocations
    from dynamo_chat.telemetry.llm import LLMInteractions
    from dynamo_chat.telemetry.reports import LLMReports
    from dynamo_chat.workflows.people import People
else:
    from dynamo_chat.core.shown import repository_property


R = TypeVar("R")


class ChatStore:
    """One table on one endpoint, and the repositories that use it. Safe to share between threads.

    Nothing is sent until a method is called. botocore finds the credentials. A store may be created
    and used before a fork, and can be pickled. The pickle contains the arguments, including
    credentials and the cursor secret, so keep it secret.

    `clock` returns the current time, `ids` new ids; `on_request` is called with every request;
    `cursor_secret` makes cursors tamper-proof (use the same on all servers). InvalidArgument names
    an invalid argument, now or at its first use.

    An application adds its own kinds of items in a subclass: see `dynamo_chat.entities`.
    """

    key_space: ClassVar[KeySpace] = KEY_SPACE
    """Every kind of item in the table, with those that a subclass declares."""
    shards: ClassVar[Shards] = Shards()
    """Over how many partitions the busiest lists are spread. The number belongs to the table, so a
    subclass sets it, and every server and command uses that class."""
    cases: ClassVar[tuple[str, ...]] = ()
    """A subclass's modules with a scenario for each of its own methods: see `dynamo_chat.cases`."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Find the subclass's own kinds, and check them. LayoutError."""
        super().__init_subclass__(**options)
        if own_repositories(cls):
            from dynamo_chat.entities.checks import checked_key_space

            cls.key_space = checked_key_space(cls, ChatStore)

    def __init__(
        self,
        table_name: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        options: ConnectionOptions | None = None,
        clock: Clock = system_clock,
        ids: IdSource = ulid_ids,
        on_request: RequestHook | None = None,
        cursor_secret: bytes | None = None,
    ) -> None:
        self.connection = Connection(
            table_name,
            region=_region(region, endpoint_url),
            endpoint_url=endpoint_url,
            options=options,
            on_request=on_request,
        )
        self._binding = Binding(
            self.connection,
            clock,
            ids,
            CursorCodec(table_name, cursor_secret),
            self.key_space.own,
            self.shards.counts(),
        )
        self._cursor_secret = cursor_secret

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.connection.table_name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """How to make it again: a copy, here or in another process, has its own connection."""
        specification: dict[str, Any] = {
            "region": self.connection.region,
            "endpoint_url": self.connection.endpoint_url,
            "options": self.connection.options,
            "clock": self._binding.clock,
            "ids": self._binding.ids,
            "on_request": self.connection.on_request,
            "cursor_secret": self._cursor_secret,
        }
        return partial(type(self), self.connection.table_name, **specification), ()

    def close(self) -> None:
        """Close the network connections that no call uses now; ``with`` calls it at the end.

        Calls that run in other threads finish. A closed store can be used again: the next call
        opens a connection. Closing it twice is allowed.
        """
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        options: ConnectionOptions | None = None,
        on_request: RequestHook | None = None,
        cursor_secret: bytes | None = None,
    ) -> Self:
        """A store with the table, region and endpoint that environment variables name.

        ``DYNAMODB_TABLE_NAME`` is required; ``AWS_REGION`` and ``AWS_ENDPOINT_URL_DYNAMODB`` are
        used if they are set. InvalidArgument.
        """
        env = os.environ if environ is None else environ
        table_name = env.get("DYNAMODB_TABLE_NAME", "")
        if not table_name:
            raise InvalidArgument("DYNAMODB_TABLE_NAME", "must be set to the name of the table")
        return cls(
            table_name,
            region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or None,
            endpoint_url=env.get("AWS_ENDPOINT_URL_DYNAMODB") or None,
            options=options,
            on_request=on_request,
            cursor_secret=cursor_secret,
        )

    def attached(self, name: str, made: type[R]) -> R:
        """Make one of the application's own repositories.

        One that extends a repository of the package, and takes its name, is made like that one.
        """
        base = vars(ChatStore).get(name)
        new = (
            made_like(base.func(self), made)
            if isinstance(base, cached_property)
            else made(self._binding)  # type: ignore[call-arg]  # a repository takes a binding
        )
        vars(new)["_snapshots"] = self._snapshots  # of the conversations that its items are in
        return new

    @repository_property
    def table(self) -> Table:
        """Create, check and describe the table."""
        from dynamo_chat.provision.table import Table

        return Table(self.connection)

    @cached_property
    def _snapshots(self) -> SnapshotCache:
        """The cache of conversations that the chat repositories share."""
        from dynamo_chat.chat.snapshot import SnapshotCache

        return SnapshotCache()

    # -- chat ---------------------------------------------------------------------------------

    @repository_property
    def conversations(self) -> Conversations:
        """Conversations: create, find, list, rename, archive, delete."""
        from dynamo_chat.chat.conversations import Conversations

        return Conversations(self._binding, self._snapshots)

    @repository_property
    def messages(self) -> Messages:
        """Messages of conversations: append, list, rate, delete."""
        from dynamo_chat.chat.messages import Messages

        return Messages(self._binding, self._snapshots)

    @repository_property
    def states(self) -> ConversationStates:
        """The working state of conversations."""
        from dynamo_chat.chat.states import ConversationStates

        return ConversationStates(self._binding, self._snapshots)

    @repository_property
    def reviews(self) -> Reviews:
        """Reviews of conversations."""
        from dynamo_chat.chat.reviews import Reviews

        return Reviews(self._binding, self._snapshots)

    # -- identity -----------------------------------------------------------------------------

    @repository_property
    def users(self) -> Users:
        """Users: create, find by id or address, change, delete."""
        from dynamo_chat.identity.users import Users
        from dynamo_chat.workflows.delete_user import UserRemover

        return Users(self._binding, UserRemover(self._binding, self._snapshots).delete)

    @repository_property
    def activity(self) -> Activities:
        """Activities of users, in time order."""
        from dynamo_chat.identity.activity import Activities

        return Activities(self._binding)

    @repository_property
    def logins(self) -> Logins:
        """Login sessions: open, check, touch, list, revoke."""
        from dynamo_chat.identity.logins import Logins

        return Logins(self._binding)

    # -- orgs ---------------------------------------------------------------------------------

    @repository_property
    def organizations(self) -> Organizations:
        """Organizations: create, change, count usage, delete."""
        from dynamo_chat.orgs.organizations import Organizations
        from dynamo_chat.workflows.delete_organization import OrganizationRemover

        remover = OrganizationRemover(self._binding, self._snapshots)
        return Organizations(self._binding, remover.delete)

    @repository_property
    def members(self) -> Members:
        """The members of organizations."""
        from dynamo_chat.orgs.members import Members

        return Members(self._binding)

    @repository_property
    def invites(self) -> Invites:
        """Invites to organizations: issue, find, accept, cancel."""
        from dynamo_chat.orgs.invites import Invites
        from dynamo_chat.workflows.accept_invite import Acceptance

        return Invites(self._binding, Acceptance(self._binding).accept)

    # -- mail ---------------------------------------------------------------------------------

    @repository_property
    def threads(self) -> EmailThreads:
        """E-mail threads: find, list, change, delete."""
        from dynamo_chat.mail.threads import EmailThreads

        return EmailThreads(self._binding)

    @repository_property
    def emails(self) -> EmailMessages:
        """E-mails: add, find, list, change status."""
        from dynamo_chat.mail.emails import EmailMessages

        return EmailMessages(self._binding)

    @repository_property
    def scores(self) -> EVScores:
        """Expected-value scores of e-mail conversations."""
        from dynamo_chat.mail.scores import EVScores

        return EVScores(self._binding)

    # -- limits -------------------------------------------------------------------------------

    @repository_property
    def rate_limits(self) -> RateLimits:
        """Rate limits: count an account's calls, block an account."""
        from dynamo_chat.limits.rate_limits import RateLimits

        return RateLimits(self._binding)

    # -- telemetry ----------------------------------------------------------------------------

    @repository_property
    def llm(self) -> LLMInteractions:
        """LLM interactions of conversations and accounts."""
        from dynamo_chat.telemetry.llm import LLMInteractions
        from dynamo_chat.workflows.record_interaction import InteractionRecorder

        return LLMInteractions(self._binding, InteractionRecorder(self._binding, self._snapshots))

    @repository_property
    def reports(self) -> LLMReports:
        """Reports of what accounts used of LLMs."""
        from dynamo_chat.telemetry.reports import LLMReports

        return LLMReports(self._binding)

    @repository_property
    def invocations(self) -> Invocations:
        """Invocations of functions."""
        from dynamo_chat.telemetry.invocations import Invocations

        return Invocations(self._binding)

    # -- people -------------------------------------------------------------------------------

    @cached_property
    def people(self) -> People:
        """A person's data in every domain: export it, erase it."""
        from dynamo_chat.workflows.people import People

        return People(self._binding, self._snapshots)

    # -- calls --------------------------------------------------------------------------------

    @repository_property
    def callers(self) -> Callers:
        """Callers: their daily points, whether they wait or talk."""
        from dynamo_chat.calls.callers import Callers

        return Callers(self._binding)

    @repository_property
    def queue(self) -> Queue:
        """Queues: join, leave, position, match."""
        from dynamo_chat.calls.queue import Queue

        return Queue(self._binding)

    @repository_property
    def calls(self) -> Calls:
        """Calls: start, end, list live ones, list a user's."""
        from dynamo_chat.calls.calls import Calls

        return Calls(self._binding)


class StoreFactory(Protocol):
    """Creates stores on one engine."""

    def __call__(self, table_name: str | None = None, **options: Any) -> ChatStore:
        """A store on `table_name`, by default the factory's own table. `options` as ChatStore."""


class _Locks:
    """Replaces the locks that Python 3.11 keeps on each `cached_property`, after a fork."""

    def after_fork(self) -> None:
        stores: list[type] = [ChatStore]
        for store in stores:
            stores += store.__subclasses__()
            for owner in store.__mro__:
                for member in vars(owner).values():
                    if isinstance(member, cached_property) and hasattr(member, "lock"):
                        member.lock = threading.RLock()


_locks = _Locks()
renew_after_fork(_locks)


def _region(region: str | None, endpoint_url: str | None) -> str | None:
    """The region to sign requests for. A signature needs one, even for a local endpoint."""
    if region is not None:
        return region
    from_env = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if from_env:
        return from_env
    return "us-east-1" if endpoint_url is not None else None
