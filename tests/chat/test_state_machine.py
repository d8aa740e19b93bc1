"""The store and a plain model do the same things at random, and never disagree."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dynamo_chat import ChatStore, Conversation, Feedback, NewMessage
from dynamo_chat.core.errors import (
    AlreadyExists,
    Conflict,
    InvalidArgument,
    MessageDeleted,
    NotFound,
    RevisionConflict,
)
from dynamo_chat.testing import DropAnswer, FaultInjector, TransactionConflict
from dynamo_chat.testing.engine import Engine
from tests.chat.model import Talk, rated, timeless
from tests.scene import DAY, MINUTE, Scene

HOUR = timedelta(hours=1)

conversations = st.sampled_from(["c-1", "c-2", "c-3"])
users = st.sampled_from(["u-1", "u-2"])
stores = st.integers(0, 2)
places = st.integers(0, 5)
contents = st.sampled_from(["hello", "how are you", "fine 😀"])
roles = st.sampled_from(["user", "assistant"])
brought_ids = st.sampled_from(["m-1", "m-2", "m-3", "m-4"])
news = st.builds(NewMessage, role=roles, content=contents)
brought = st.builds(NewMessage, role=roles, content=contents, message_id=brought_ids)
lost = st.sampled_from([None, None, None, DropAnswer(), TransactionConflict()])


class Chat(RuleBasedStateMachine):
    """Three servers, whose clocks disagree, on one table; and the model."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.scene = Scene(engine)
        self.scene.__enter__()
        skews = (timedelta(0), timedelta(milliseconds=700), timedelta(milliseconds=-400))
        self.stores: list[ChatStore] = [
            self.scene.new_store(self.scene.clock.skewed(skew)) for skew in skews
        ]
        self.faults = [FaultInjector(store.connection.client).attach() for store in self.stores]
        self.talks: dict[str, Talk] = {}
        self.cursors: list[tuple[str, bool, str, str]] = []
        self.touched: set[str] = set()
        self.reviews = 0

    def teardown(self) -> None:
        for injector in self.faults:
            injector.detach()
        self.scene.__exit__()

    # -- what is there ------------------------------------------------------------------------

    def now(self, server: int) -> datetime:
        return self.stores[server]._binding.clock()

    def live(self, identity: str, server: int) -> Talk | None:
        self.touched.add(identity)
        talk = self.talks.get(identity)
        return talk if talk is not None and talk.is_live(self.now(server)) else None

    def living(self, user_id: str | None = None) -> list[Talk]:
        now = self.now(0)
        return [
            talk
            for talk in self.talks.values()
            if talk.is_live(now) and user_id in {None, talk.user_id}
        ]

    # -- conversations ------------------------------------------------------------------------

    @rule(
        identity=conversations,
        user_id=users,
        server=stores,
        title=st.sampled_from([None, "New chat"]),
        retention=st.sampled_from([None, DAY]),
        sliding=st.booleans(),
        keep_last=st.sampled_from([None, None, 3]),
        fault=lost,
    )
    def create(
        self,
        identity: str,
        user_id: str,
        server: int,
        title: str | None,
        retention: timedelta | None,
        sliding: bool,
        keep_last: int | None,
        fault: Any,
    ) -> None:
        talk = self.live(identity, server)
        self.meet(server, fault)
        call = self.stores[server].conversations.create
        options: Any = {
            "conversation_id": identity,
            "title": title,
            "retention": retention,
            "sliding": sliding and retention is not None,
            "keep_last": keep_last,
        }
        if talk is not None and talk.user_id != user_id:
            with pytest.raises(AlreadyExists):
                call(user_id, **options)
            return
        made = call(user_id, **options)
        if talk is None:
            talk = self.talks[identity] = Talk(
                identity,
                user_id,
                title,
                self.now(server),
                retention,
                options["sliding"],
                keep_last,
            )
        assert talk.is_told_by(made)

    @rule(identity=conversations, server=stores, title=st.sampled_from(["One", "New chat"]))
    def rename(self, identity: str, server: int, title: str) -> None:
        talk = self.live(identity, server)
        call = self.stores[server].conversations.rename
        if talk is None:
            with pytest.raises(NotFound):
                call(identity, title)
        else:
            call(identity, title)
            talk.title = title

    @rule(
        identity=conversations,
        server=stores,
        status=st.sampled_from(["active", "archived"]),
        key=st.sampled_from("ab"),
        value=st.sampled_from([1, "x", None]),
    )
    def change(self, identity: str, server: int, status: Any, key: str, value: Any) -> None:
        talk = self.live(identity, server)
        talks = self.stores[server].conversations
        if talk is None:
            with pytest.raises(NotFound):
                talks.set_status(identity, status)
            with pytest.raises(NotFound):
                talks.merge_preferences(identity, {key: value})
        else:
            talk.status = status
            talk.preferences.pop(key, None)
            if value is not None:
                talk.preferences[key] = value
            talks.set_status(identity, status)
            assert talk.is_told_by(talks.merge_preferences(identity, {key: value}))

    @rule(identity=conversations, server=stores)
    def delete(self, identity: str, server: int) -> None:
        talk = self.live(identity, server)
        call = self.stores[server].conversations.delete
        if talk is None:
            with pytest.raises(NotFound):
                call(identity)
        else:
            call(identity)
            del self.talks[identity]

    # -- messages -----------------------------------------------------------------------------

    def meet(self, server: int, fault: Any) -> None:
        """Let the server's next write meet this fault."""
        self.faults[server].clear()
        if fault is not None:
            for operation in ("TransactWriteItems", "PutItem"):
                self.faults[server].plan(fault, operation=operation)

    @rule(
        identity=conversations,
        server=stores,
        turn=st.lists(news, min_size=1, max_size=3),
        fault=lost,
    )
    def append(self, identity: str, server: int, turn: list[NewMessage], fault: Any) -> None:
        talk = self.live(identity, server)
        self.meet(server, fault)
        call = self.stores[server].messages.append_turn
        if talk is None:
            with pytest.raises(NotFound):
                call(identity, turn)
        else:
            talk.add(call(identity, turn))

    @rule(
        identity=conversations,
        server=stores,
        turn=st.lists(brought, min_size=1, max_size=2, unique_by=lambda new: new.message_id),
        fault=lost,
    )
    def append_brought(
        self, identity: str, server: int, turn: list[NewMessage], fault: Any
    ) -> None:
        talk = self.live(identity, server)
        self.meet(server, fault)
        call = self.stores[server].messages.append_turn
        if talk is None:
            with pytest.raises(NotFound):
                call(identity, turn)
            return
        known = talk.knows(turn)
        if not any(known):
            talk.add(call(identity, turn))
        elif all(known) and talk.agrees(turn) and not talk.has_lost(turn):
            again = call(identity, turn)
            assert [each.message_id for each in again] == [new.message_id for new in turn]
        else:
            is_deleted = all(known) and talk.agrees(turn)
            with pytest.raises(MessageDeleted if is_deleted else Conflict):
                call(identity, turn)

    @rule(identity=conversations, server=stores, place=places, content=contents)
    def edit(self, identity: str, server: int, place: int, content: str) -> None:
        talk = self.live(identity, server)
        if talk is None or not talk.messages:
            return
        place %= len(talk.messages)
        changed = talk.change(place, content=content, edited_at=self.now(server))
        stored = self.stores[server].messages.edit(identity, changed.message_id, content=content)
        assert timeless([stored]) == timeless([changed])
        # The id remembers what was appended, not what it was edited to.

    @rule(identity=conversations, server=stores, place=places)
    def delete_message(self, identity: str, server: int, place: int) -> None:
        talk = self.live(identity, server)
        if talk is None or not talk.messages:
            return
        gone = talk.messages.pop(place % len(talk.messages))
        for _ in range(2):
            self.stores[server].messages.delete(identity, gone.message_id)
        with pytest.raises(NotFound):
            self.stores[server].messages.get(identity, gone.message_id, consistent=True)

    @rule(identity=conversations, server=stores, keep_last=st.integers(0, 4))
    def prune(self, identity: str, server: int, keep_last: int) -> None:
        talk = self.live(identity, server)
        call = self.stores[server].messages.prune
        if talk is None:
            with pytest.raises(NotFound):
                call(identity, keep_last)
        else:
            assert call(identity, keep_last) == talk.keep(keep_last)

    @rule(
        identity=conversations,
        server=stores,
        place=places,
        kind=st.sampled_from(["positive", "negative", None]),
        rank=st.sampled_from([None, 1, 5]),
        category=st.sampled_from([None, "a"]),
    )
    def feedback(
        self,
        identity: str,
        server: int,
        place: int,
        kind: Any,
        rank: int | None,
        category: str | None,
    ) -> None:
        talk = self.live(identity, server)
        if talk is None or not talk.messages:
            return
        place %= len(talk.messages)
        message = talk.messages[place]
        messages = self.stores[server].messages
        if kind is None:
            messages.withdraw_feedback(identity, message.message_id)
            talk.change(place, feedback=None)
        else:
            given = Feedback(type=kind, rank=rank, category=category)
            stored = messages.give_feedback(identity, message.message_id, given)
            assert stored == given.model_copy(update={"given_at": self.now(server)})
            talk.change(place, feedback=stored)

    # -- states and reviews -------------------------------------------------------------------

    @rule(identity=conversations, server=stores, behind=st.sampled_from([0, 0, 1]), n=places)
    def save(self, identity: str, server: int, behind: int, n: int) -> None:
        talk = self.live(identity, server)
        call = self.stores[server].states.save
        if talk is None:
            with pytest.raises(NotFound):
                call(identity, {"n": n})
            return
        revision = talk.state.revision if talk.state else 0
        if not behind:
            talk.state = call(identity, {"n": n}, revision=revision)
            assert talk.state.revision == revision + 1
        elif revision and talk.state is not None and talk.state.data == {"n": n}:
            assert call(identity, {"n": n}, revision=revision - 1).revision == revision
        else:
            with pytest.raises(RevisionConflict):
                call(identity, {"n": n}, revision=revision + 1)

    @rule(identity=conversations, server=stores, archive=st.booleans())
    def review(self, identity: str, server: int, archive: bool) -> None:
        talk = self.live(identity, server)
        reviews = self.stores[server].reviews
        self.reviews += 1
        review_id = f"r-{self.reviews}"
        if talk is None:
            with pytest.raises(NotFound):
                reviews.create(identity, "admin", review_id=review_id)
            return
        made = reviews.create(identity, "admin", review_id=review_id)
        assert reviews.create(identity, "admin", review_id=review_id) == made
        talk.reviews[review_id] = reviews.archive(review_id) if archive else made

    # -- time ---------------------------------------------------------------------------------

    @rule(step=st.sampled_from([timedelta(seconds=1), MINUTE, 7 * HOUR, 7 * HOUR, DAY]))
    def wait(self, step: timedelta) -> None:
        self.scene.clock.advance(step)
        self.touched.update(self.talks)

    # -- pages taken with old cursors ---------------------------------------------------------

    @rule(identity=conversations, newest_first=st.booleans(), size=st.integers(1, 3))
    def begin_a_list(self, identity: str, newest_first: bool, size: int) -> None:
        talk = self.live(identity, 0)
        if talk is None:
            return
        page = self.stores[0].messages.list(
            identity, newest_first=newest_first, page_size=size, consistent=True
        )
        if page.cursor is not None:
            self.cursors.append((identity, newest_first, page.cursor, page.items[-1].position))

    @precondition(lambda self: self.cursors)
    @rule(which=places, size=st.integers(1, 4))
    def go_on(self, which: int, size: int) -> None:
        identity, newest_first, cursor, position = self.cursors[which % len(self.cursors)]
        talk = self.live(identity, 1)
        ask = partial(
            self.stores[1].messages.list,
            identity,
            newest_first=newest_first,
            page_size=size,
            cursor=cursor,
            consistent=True,
        )
        if talk is None:
            with pytest.raises(NotFound):
                ask()
            return
        page = ask()
        if newest_first:
            expected = [m for m in reversed(talk.messages) if m.position < position]
        else:
            expected = [m for m in talk.messages if m.position > position]
        assert timeless(page) == timeless(expected[:size])
        if len(expected) > size:
            assert page.cursor is not None
            last = page.items[-1].position
            self.cursors.append((identity, newest_first, page.cursor, last))

    # -- what must hold -----------------------------------------------------------------------

    @invariant()
    def conversations_agree(self) -> None:
        """The conversations that the last step touched."""
        touched, self.touched = self.touched, set()
        store = self.stores[0]
        for identity in sorted(touched):
            talk = self.live(identity, 0)
            if talk is None:
                with pytest.raises(NotFound):
                    store.messages.latest_with_conversation(identity, consistent=True)
                continue
            head, latest = store.messages.latest_with_conversation(identity, 1_000, consistent=True)
            assert talk.is_told_by(head)
            assert timeless(latest) == timeless(talk.messages)
            self.agrees_about_the_rest(talk)
            for message in talk.messages[:2]:
                found = store.messages.get(identity, message.message_id, consistent=True)
                assert timeless([found]) == timeless([message])
        self.touched.clear()

    def agrees_about_the_rest(self, talk: Talk) -> None:
        store = self.stores[0]
        state = store.states.get(talk.conversation_id)
        assert (state and (state.revision, state.data)) == (
            talk.state and (talk.state.revision, talk.state.data)
        )
        found = store.reviews.list_by_conversation(talk.conversation_id, consistent=True)
        assert {each.review_id: each.archived_at for each in found} == {
            name: review.archived_at for name, review in talk.reviews.items()
        }

    @precondition(lambda self: self.talks)
    @rule(user_id=users)
    def lists_agree(self, user_id: str) -> None:
        """Everything that is read through an index."""
        store, living = self.stores[0], self.living(user_id)

        def ids(listed: Any) -> list[str]:
            assert not listed.unreadable
            return [each.conversation_id for each in listed]

        def in_order(talks: list[Talk], moment: str) -> list[str]:
            key = [(getattr(each, moment), each.conversation_id) for each in talks]
            return [identity for _, identity in sorted(key, reverse=True)]

        listed = store.conversations.list_by_user(user_id)
        assert ids(listed) == in_order(living, "created_at")
        told: list[Conversation] = list(listed)
        assert all(self.talks[each.conversation_id].is_listed_as(each) for each in told)
        for status in ("active", "archived"):
            expected = [each for each in living if each.status == status]
            found = store.conversations.list_by_activity(user_id, status=status)
            assert ids(found) == in_order(expected, "updated_at")
        for title in ("New chat", "One", "hello"):
            titled = [each for each in living if each.title == title]
            found = store.conversations.find_by_title(title, user_id=user_id)
            assert ids(found) == in_order(titled, "created_at")
        self.lists_of_all_agree()

    def lists_of_all_agree(self) -> None:
        """Every rated message and every review of a living conversation; of the dead, nothing."""
        store, living = self.stores[0], self.living()
        for kind in ("positive", "negative"):
            found = store.messages.list_by_feedback(kind, page_size=100)
            assert [m.message_id for m in found] == [m.message_id for m in rated(living, kind)]
        for archived in (False, True):
            expected = {
                name
                for talk in living
                for name, review in talk.reviews.items()
                if review.is_archived is archived
            }
            for reviewer in ("admin", None):
                listed = store.reviews.list_by_status(
                    archived=archived, reviewed_by=reviewer, page_size=3
                )
                assert {each.review_id for each in listed} <= expected
                assert len(listed) == min(3, len(expected))

    @rule(message_id=brought_ids, user_id=users)
    def by_id_alone(self, message_id: str, user_id: str) -> None:
        expected = [
            message
            for talk in self.living(user_id)
            for message in talk.messages
            if message.message_id == message_id
        ]
        ask = self.stores[0].messages.get_by_id
        if expected:
            found = ask(message_id, user_id=user_id)
            assert timeless([found])[0] in timeless(expected)
        else:
            with pytest.raises(NotFound):
                ask(message_id, user_id=user_id)

    @rule(identity=conversations)
    def bad_cursor(self, identity: str) -> None:
        with pytest.raises((InvalidArgument, NotFound)):
            self.stores[0].messages.list(identity, cursor="bm90IGEgY3Vyc29y")


@pytest.mark.once
@pytest.mark.engine
def test_the_store_agrees_with_the_model(dynamo_chat_engine: Engine) -> None:
    """Whatever is done in whichever order, on three servers, with answers lost on the way."""
    machine: Any = partial(Chat, dynamo_chat_engine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(10, settings().max_examples // 100),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
