"""The records of `acs` and `oneonone` as the demo loads them: what the documents say is there."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from dynamo_chat.core.errors import NotFound
from dynamo_chat.importing.acs import Acs, load_acs
from dynamo_chat.importing.oneonone import load_oneonone
from dynamo_chat.importing.sample_records import sample
from dynamo_chat.store import StoreFactory
from dynamo_chat.testing import FakeClock
from tests.scene import Scene


def load(factory: StoreFactory, clock: FakeClock) -> Acs:
    return load_acs(factory, sample("acs"), clock())


def test_every_record_is_there_through_the_repositories(
    factory: StoreFactory, clock: FakeClock
) -> None:
    acs, store = load(factory, clock), factory()
    assert store.users.get_by_email("USER@example.com") == acs.user
    assert store.organizations.get("org-uuid") == acs.organization
    assert store.members.get("org-uuid", "user-uuid") == acs.member
    assert store.invites.get("invite-uuid") == acs.invite
    assert store.logins.list_active("user-uuid").items == (acs.login,)
    assert store.emails.get_by_response_id("response-uuid") == acs.email
    assert store.threads.get("conv-uuid") == acs.thread
    assert store.scores.latest("conv-uuid") == acs.score
    assert store.rate_limits.get("account-uuid", "ai") == acs.ai_limit
    assert store.rate_limits.get("account-uuid", "aws") == acs.aws_limit
    assert store.llm.list_by_conversation("conv-uuid").items == (acs.interaction,)
    assert store.reports.get("report-uuid") == acs.report
    assert store.invocations.get("invocation-uuid") == acs.invocation
    assert sorted(table for table, _ in acs.rows()) == sorted(sample("acs").records)


def test_times_are_those_of_the_records_moved_alike(
    factory: StoreFactory, clock: FakeClock
) -> None:
    acs, beginning = load(factory, clock), datetime(2024, 1, 1, tzinfo=UTC)
    then = beginning + acs.moved_by
    assert timedelta(0) <= clock() - (then + timedelta(days=4)) < timedelta(days=1)
    login = acs.login
    assert login is not None
    for moment in (
        *(acs.user.created_at, acs.user.updated_at, acs.organization.created_at),
        *(acs.member.joined_at, acs.member.last_active, acs.invite.created_at),
        *(login.created_at, login.last_activity, acs.email.timestamp, acs.thread.created_at),
        *(acs.thread.updated_at, acs.thread.last_message_at, acs.interaction.generated_at),
        acs.invocation.invoked_at,
    ):
        assert moment == then
    assert login.expires_at == acs.invite.expires_at == then + timedelta(days=7)
    assert acs.invite.accepted_at == then + timedelta(days=4)
    assert acs.organization.next_billing_date == then + timedelta(days=31)


def test_numbers_that_contradict_one_another_are_kept(
    factory: StoreFactory, clock: FakeClock
) -> None:
    acs = load(factory, clock)
    assert (acs.ai_limit.request_count, acs.ai_limit.limit) == (150, 100)
    assert acs.ai_limit.blocked_until is None
    assert acs.ai_limit.breakdown == {"generate_email": 50, "llm_response": 100}
    assert (acs.aws_limit.request_count, acs.aws_limit.throttled_requests) == (950, 5)
    assert acs.aws_limit.window_end - acs.aws_limit.window_start == timedelta(hours=1)
    assert acs.aws_limit.window_start < clock() < acs.aws_limit.window_end
    assert acs.report.total_requests == 1_500
    assert acs.report.model_usage["meta-llama/Llama-3.3-70B-Instruct-Turbo"].requests == 1_200
    assert acs.report.report_period == "2024-01"
    assert acs.report.total_cost_usd == Decimal("12.5")
    assert acs.interaction.cost_usd == Decimal("0.0025")


def test_loading_again_finds_what_is_there(
    scene: Scene, factory: StoreFactory, clock: FakeClock
) -> None:
    first, before = load(factory, clock), scene.items()
    clock.advance(timedelta(minutes=2))
    assert load(factory, clock) == first
    clock.advance(timedelta(days=1))
    again = load(factory, clock)
    assert (again.user, again.email, again.moved_by) == (first.user, first.email, first.moved_by)
    assert scene.items() == before


def test_a_login_that_has_expired_since_is_not_opened_again(
    factory: StoreFactory, clock: FakeClock
) -> None:
    load(factory, clock)
    clock.advance(timedelta(days=4))
    assert load(factory, clock).login is None


def test_an_invite_that_was_left_pending_is_accepted_by_the_next_call(
    factory: StoreFactory, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("dynamo_chat.orgs.invites.Invites.accept", lost)
        with pytest.raises(KeyboardInterrupt):
            load(factory, clock)
    assert factory().invites.get("invite-uuid").status == "pending"
    assert load(factory, clock).invite.status == "accepted"


def test_two_callers_their_call_and_who_waits(factory: StoreFactory, clock: FakeClock) -> None:
    loaded = load_oneonone(factory, sample("oneonone"), clock())
    store, by = factory(), loaded.moved_by
    call = store.calls.get("call-1")
    assert call == loaded.call
    assert (call.user_a, call.user_b, call.room_name) == ("caller-1", "caller-2", "room-1")
    assert call.duration_minutes == 10
    assert call.expires_at == datetime.fromtimestamp(1_756_663_800, UTC) + by
    one, other = loaded.callers
    assert (one.email, one.is_waiting, other.is_waiting) == ("caller-1@example.com", False, True)
    assert one.last_call_at == datetime(2025, 6, 2, 18, tzinfo=UTC) + by
    assert one.last_queue_entry == datetime(2025, 6, 2, 17, 58, 30, tzinfo=UTC) + by
    position = store.queue.position("caller-2")
    assert position is not None
    assert position.position == 1
    with pytest.raises(NotFound):
        store.calls.get_by_room("room-1")


def test_the_points_are_those_of_the_day_of_the_call(
    factory: StoreFactory, clock: FakeClock
) -> None:
    loaded = load_oneonone(factory, sample("oneonone"), clock())
    same_day = loaded.call.started_at.date() == clock().date()
    assert [each.points_left for each in loaded.callers] == [12 if same_day else 15, 15]
    then = factory(clock=lambda: loaded.call.started_at)
    assert then.callers.get("caller-1").points_left == 12


def test_loading_the_calls_again_finds_them(
    scene: Scene, factory: StoreFactory, clock: FakeClock
) -> None:
    first, before = load_oneonone(factory, sample("oneonone"), clock()), scene.items()
    clock.advance(timedelta(days=2))
    again = load_oneonone(factory, sample("oneonone"), clock())
    assert (again.call, again.moved_by) == (first.call, first.moved_by)
    assert scene.items() == before
