"""Items as the released schema versions write them: ``tests/compatibility/v*/<kind>.json``.

``scripts/generate`` adds what is not there yet: a new kind, a new schema version, a new example. It
never changes an example that is there: what was released was written so, and must be read for ever.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from dynamo_chat import ChatStore, keyspace
from dynamo_chat.calls.call import Call, room_item
from dynamo_chat.calls.caller import Caller
from dynamo_chat.calls.ticket import QueueTicket
from dynamo_chat.chat.conversation import Conversation, with_life
from dynamo_chat.chat.living import with_alive_until
from dynamo_chat.chat.message import (
    ExtractedFilters,
    Feedback,
    Message,
    ToolCall,
    YearRange,
    minted_id,
)
from dynamo_chat.chat.message_ids import message_id_item
from dynamo_chat.chat.reviews import Review, review_id_item
from dynamo_chat.chat.snapshot import snapshot_of
from dynamo_chat.chat.states import ConversationState
from dynamo_chat.chat.titles import title_item
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.item import helper_item, plan
from dynamo_chat.core.layout import GSI1, GSI2
from dynamo_chat.core.ulids import ulid_time
from dynamo_chat.identity.activity import Activity
from dynamo_chat.identity.logins import LoginSession, listing_item
from dynamo_chat.identity.user import User, address_item
from dynamo_chat.limits.rate_limits import RateLimit
from dynamo_chat.mail.adding import id_items
from dynamo_chat.mail.email import EmailContent, EmailSummary
from dynamo_chat.mail.scores import EVScore
from dynamo_chat.mail.thread import EmailThread
from dynamo_chat.orgs.invite import Invite, invite_items
from dynamo_chat.orgs.organization import Organization
from dynamo_chat.orgs.seats import Member, membership_item
from dynamo_chat.telemetry.invocations import Invocation
from dynamo_chat.telemetry.llm import LLMContent, LLMUsage
from dynamo_chat.telemetry.reports import LLMReport, ModelUsage
from dynamo_chat.testing import EmbeddedEngine, FakeClock, FaultInjector, Kill
from dynamo_chat.testing.faults import Killed
from tooling.environment import ROOT

FOLDER = Path("tests", "compatibility")

NOW = datetime(2025, 12, 30, 14, 0, 0, 123456, tzinfo=UTC)
LATER = datetime(2026, 1, 30, 14, 0, 1, tzinfo=UTC)
ULID = "01KDQW2C5V0000000000000001"
LIFE = "H8X4T2QK9M"
LONG = "It was a dark and stormy night; the rain fell in torrents. " * 30
JSON = {"deep": [1, 2.5, None, True, {"ключ": "значение"}], "": ""}
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

Item = dict[str, Any]


class Example(NamedTuple):
    """An item as it is written now, under a name that says what is special about it."""

    name: str
    item: Item


def item_of(entity: Entity) -> Item:
    """The item of an entity."""
    return plan(type(entity)).encode(entity)


def examples() -> Iterator[Example]:
    """Every kind of item: with everything that it may hold, and with as little as it can."""
    for name, made in (*_chat(), *_people(), *_mail(), *_others(), *_calls()):
        yield Example(name, made if isinstance(made, dict) else item_of(made))
    yield from _tombstones()


def _chat() -> Iterator[tuple[str, Entity | Item]]:
    full = Conversation(
        conversation_id="talk/1#é",
        user_id="ann",
        title="Films",
        status="archived",
        created_at=NOW,
        updated_at=LATER,
        message_count=2,
        appended_count=3,
        last_position=ULID,
        preferences=JSON,
        retention=timedelta(days=30),
        is_sliding=True,
        keep_last=10,
        idle_until=LATER,
        kept_until=LATER,
        renewing_from=NOW,
    )
    plain = Conversation(conversation_id="talk-2", user_id="ann", created_at=NOW, updated_at=NOW)
    yield "full", full
    yield "sparse", plain
    yield "marked", plain.model_copy(update={"life": LIFE})
    yield "plain", title_item(snapshot_of(full), "Films")
    state = ConversationState(
        conversation_id="talk-2", revision=3, data=JSON, saved_at=NOW, expires_at=LATER
    )
    yield "full", state
    yield "marked", with_life(item_of(state), LIFE)
    named = Message(
        conversation_id="talk-2",
        position=ULID,
        message_id="m-1",
        role="assistant",
        sent_at=NOW,
        turn_index=1,
        is_streaming=True,
        edited_at=LATER,
        feedback=Feedback(type="negative", rank=2, category="taste", text="No", given_at=LATER),
        expires_at=LATER,
        content=LONG,
        response_time=1.25,
        errors="timeout",
        documents=[JSON, {}],
        filters=ExtractedFilters(
            genres=["noir"],
            year_range=YearRange(min=1940, max=1959),
            rating=7.5,
            keywords=["rain"],
        ),
        recommendations=["Laura"],
        confidence=0.75,
        tool_calls=[ToolCall(tool="search", args=JSON, result=[1], call_id="t-1")],
        metadata=JSON,
    )
    yield "full", named
    yield "sliding", with_alive_until(item_of(named), LATER)
    yield "marked", with_life(item_of(named), LIFE)
    yield (
        "sparse",
        Message(
            conversation_id="talk-2",
            position=ULID,
            message_id=minted_id("talk-2", ULID),
            role="user",
            sent_at=ulid_time(ULID),
        ),
    )
    yield "plain", message_id_item(named, HASH[:32], "ann")
    review = Review(
        conversation_id="talk-2",
        review_id="review-1",
        reviewed_by="boss",
        comments="Good",
        reviewed_at=NOW,
        archived_at=LATER,
        expires_at=LATER,
    )
    yield "full", review
    yield "open", review.model_copy(update={"archived_at": None, "expires_at": None})
    yield "sliding", with_alive_until(item_of(review), LATER)
    yield "marked", with_life(item_of(review), LIFE)
    yield "plain", review_id_item(review)


def _people() -> Iterator[tuple[str, Entity | Item]]:
    yield (
        "full",
        User(
            user_id="ann",
            email="Ann@Example.org",
            response_email="ann@answers.example",
            name="Ann",
            status="suspended",
            role="admin",
            preferences=JSON,
            organization_id="org",
            created_at=NOW,
            updated_at=LATER,
        ),
    )
    yield "plain", address_item(keyspace.USER_EMAIL, "ann@example.org", "ann")
    yield "plain", address_item(keyspace.USER_RESPONSE_EMAIL, "ann@answers.example", "ann")
    yield (
        "full",
        Activity(
            user_id="ann",
            created_at=NOW,
            activity_id="a-1",
            action="logged_in",
            details=JSON,
            expires_at=LATER,
        ),
    )
    login = LoginSession(
        login_id=HASH,
        user_id="ann",
        account_id="account-1",
        created_at=NOW,
        last_activity=LATER,
        expires_at=LATER,
        ip_address="::1",
        user_agent="A browser",
        metadata=JSON,
    )
    yield "full", login
    yield "plain", listing_item(login)
    yield (
        "full",
        Organization(
            organization_id="org",
            name="Example",
            domain="example.org",
            status="inactive",
            created_at=NOW,
            updated_at=LATER,
            member_count=2,
            owner_count=1,
            email_domain_verification=True,
            ai_response_enabled=False,
            max_users=5,
            storage_limit_gb=Decimal("2.5"),
            plan="pro",
            next_billing_date=LATER,
            emails_processed=7,
            storage_used_gb=Decimal("0.125"),
        ),
    )
    member = Member(
        organization_id="org",
        user_id="ann",
        role="owner",
        status="active",
        permissions=JSON,
        invited_by="bob",
        joined_at=NOW,
        last_active=LATER,
    )
    yield "full", member
    yield "plain", membership_item(member)
    invite = Invite(
        organization_id="org",
        created_at=NOW,
        invite_id="invite-1",
        email="Dan@Example.org",
        invited_by="ann",
        role="admin",
        status="accepted",
        expires_at=LATER,
        accepted_at=LATER,
        accepted_by="dan",
    )
    item, *pointers = invite_items(invite, HASH)
    yield "full", item
    for pointer in pointers:
        yield "plain", pointer


def _mail() -> Iterator[tuple[str, Entity | Item]]:
    yield (
        "full",
        EmailThread(
            conversation_id="mail",
            account_id="account-1",
            thread_id="thread-1",
            created_at=NOW,
            updated_at=LATER,
            status="closed",
            subject="Hello",
            participants=frozenset({"ann@example.org", "us@example.org"}),
            message_count=2,
            last_message_at=LATER,
            urgency="high",
            category="sales",
            priority=3,
            sentiment="neutral",
            auto_response_enabled=True,
            response_delay_hours=1.5,
            max_response_length=200,
        ),
    )
    email = EmailSummary(
        conversation_id="mail",
        timestamp=NOW,
        entry_id=ULID,
        response_id="r-1",
        account_id="account-1",
        thread_id="thread-1",
        message_id="<1@example.org>",
        sender_email="Ann <ann@example.org>",
        recipient_email="us@example.org",
        subject="Hello",
        preview="It was",
        body_length=len(LONG),
        is_first_email=True,
        status="responded",
        ai_response="Yes",
        ev_score=0.5,
        spam_score=0.01,
    )
    yield "full", email
    for pointer in id_items(email, HASH[:32], has_response_id=True):
        yield "plain", pointer
    yield (
        "full",
        EmailContent(
            conversation_id="mail",
            timestamp=NOW,
            entry_id=ULID,
            body=LONG,
            headers=JSON,
            attachments=[JSON],
            metadata=JSON,
        ),
    )
    score = EVScore(
        conversation_id="mail",
        calculation_date=NOW,
        ev_score=-0.25,
        factors={"urgency": 0.5},
        algorithm_version="2",
        confidence_score=0.9,
        recommendations=["answer"],
        metadata=JSON,
    )
    yield "full", score
    yield "owned", score.model_copy(update={"account_id": "account-1"})


def _others() -> Iterator[tuple[str, Entity | Item]]:
    yield (
        "full",
        RateLimit(
            account_id="account-1",
            resource="ai",
            limit=100,
            window_start=NOW,
            window_end=LATER,
            request_count=2,
            throttled_requests=1,
            breakdown={"generate_email": 2},
            last_request=NOW,
            blocked_until=LATER,
        ),
    )
    usage = LLMUsage(
        conversation_id="mail",
        generated_at=NOW,
        interaction_id="i-1",
        account_id="account-1",
        function_name="generate_email",
        model_used="small",
        prompt_tokens=10,
        response_tokens=20,
        total_tokens=31,
        response_time_ms=300,
        cost_usd=Decimal("0.000125"),
        quality_score=Decimal("4.5"),
        temperature=0.7,
        top_p=0.9,
        max_tokens=100,
        has_content=True,
    )
    yield "full", usage
    yield "sum", usage.model_copy(update={"total_tokens": 30})
    yield (
        "full",
        LLMContent(
            conversation_id="mail",
            generated_at=NOW,
            interaction_id="i-1",
            prompt=LONG,
            response="Yes",
            metadata=JSON,
        ),
    )
    yield (
        "full",
        LLMReport(
            report_id=HASH[:32],
            account_id="account-1",
            report_period="2025-12",
            period_start=datetime(2025, 12, 1, tzinfo=UTC),
            period_end=datetime(2026, 1, 1, tzinfo=UTC),
            generated_at=LATER,
            total_requests=1,
            total_tokens=31,
            total_cost_usd=Decimal("0.000125"),
            average_response_time_ms=Decimal(300),
            average_quality_score=Decimal("4.5"),
            model_usage={"small": ModelUsage(requests=1, tokens=31, cost=Decimal("0.000125"))},
            function_breakdown={"generate_email": 1},
        ),
    )
    yield (
        "full",
        Invocation(
            invocation_id="x-1",
            account_id="account-1",
            function_name="send",
            status="error",
            duration_ms=Decimal("12.5"),
            memory_used_mb=128,
            invoked_at=NOW,
            error_message="boom",
            request_id="request-1",
            cold_start=True,
            metadata=JSON,
        ),
    )
    named = {"probe_id": "probe-1"}
    yield "plain", helper_item(keyspace.PROBE, named, GSI1, GSI2, expires_at=LATER)


def _calls() -> Iterator[tuple[str, Entity | Item]]:
    yield (
        "full",
        Caller(
            user_id="ann",
            email="ann@example.org",
            time_zone="Europe/Paris",
            points_left=12,
            points_day="2025-12-30",
            points_until=LATER,
            spends={"s-1": 3},
            spent_before={"s-0": 15},
            reset_id="reset-1",
            last_call_at=NOW,
            last_queue_entry=NOW,
            queue="main",
            queue_shard=1,
            ticket_id=ULID,
            waiting_until=LATER,
            live_call_id="call-1",
            live_until=LATER,
            created_at=NOW,
        ),
    )
    yield (
        "full",
        QueueTicket(
            queue="main",
            shard=1,
            ticket_id=ULID,
            user_id="ann",
            joined_at=NOW,
            expires_at=LATER,
        ),
    )
    call = Call(
        call_id="call-1",
        user_a="ann",
        user_b="bob",
        room_name="room-1",
        queue="main",
        started_at=NOW,
        ended_at=LATER,
        duration_minutes=44_640.01,
        created_at=NOW,
        expires_at=LATER,
    )
    yield "full", call
    live = call.model_copy(update={"ended_at": None, "duration_minutes": None})
    yield "live", live
    yield "full", room_item(live)


def _tombstones() -> Iterator[Example]:
    """What deletions put in the place of heads, when they are cut short there."""
    deletions: Mapping[str, Callable[[ChatStore], object]] = {
        keyspace.CONVERSATION.kind: lambda store: store.conversations.delete("talk-2"),
        keyspace.USER.kind: lambda store: store.users.delete("ann"),
        keyspace.ORGANIZATION.kind: lambda store: store.organizations.delete("org"),
        keyspace.EMAIL_THREAD.kind: lambda store: store.threads.delete("mail"),
    }
    entities = (made for _, made in (*_chat(), *_people(), *_mail()) if isinstance(made, Entity))
    heads = {made.layout.kind: item_of(made) for made in entities if _is_head(made)}
    with EmbeddedEngine() as engine:
        store = engine.store("tombstones", clock=FakeClock(NOW), ids=lambda _: ULID)
        client, table = store.connection.client, store.connection.table_name
        for kind, delete in deletions.items():
            client.put_item(TableName=table, Item=heads[kind])
            yield Example("plain", _buried(store, heads[kind], delete))
        client.delete_table(TableName=table)


def _is_head(made: Entity) -> bool:
    return isinstance(made, (Conversation, User, Organization, EmailThread))


def _buried(store: ChatStore, head: Item, delete: Callable[[ChatStore], object]) -> Item:
    """The head of something whose deletion dies as soon as the head is another."""
    client, table = store.connection.client, store.connection.table_name
    key = {name: head[name] for name in ("PK", "SK")}
    for requests in range(1, 10):
        with FaultInjector(client) as faults, suppress(Killed):
            faults.plan(Kill(), at=requests + 1)
            delete(store)
        item: Item = client.get_item(TableName=table, Key=key)["Item"]
        if item["kind"] != head["kind"]:
            return item
    raise AssertionError(f"{head['kind']} was not buried")


def recorded(example: Example) -> dict[str, Any]:
    """What is kept of an example: the item, and what it is read as."""
    item = example.item
    entity = keyspace.KEY_SPACE.entities.get(item["kind"]["S"])
    read = None if entity is None else plan(entity).decode(item).model_dump(mode="json")
    return {"item": _plain(item), "entity": read}


def _plain(value: Any) -> Any:
    """As JSON: bytes become base64 text, as DynamoDB itself sends them."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def files() -> Mapping[Path, str]:
    """The text of each file of examples, with those added that it does not have."""
    kept: dict[Path, dict[str, Any]] = {}
    for example in examples():
        item = example.item
        path = FOLDER / f"v{item['v']['N']}" / f"{item['kind']['S']}.json"
        if path not in kept:
            there = ROOT / path
            kept[path] = json.loads(there.read_text("utf-8")) if there.exists() else {}
        if example.name not in kept[path]:
            kept[path][example.name] = recorded(example)
    return {
        path: json.dumps(held, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        for path, held in kept.items()
    }
