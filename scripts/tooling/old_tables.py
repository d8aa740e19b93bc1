"""Old tables in the documents' own layouts, with all that is wrong in tables that have been in use.

The same seed makes the same records. What is made wrong on purpose is told beside them, so that a
test knows which records must be refused or left out, without asking what it tests.
"""

import json
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

Record = dict[str, Any]
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
STRANGE = (
    "ü-{}",
    "a/b?c={}",
    "тест {}",
    "#${}#",
    "{}:prompt",
    "~{}~",
    "x" * 150 + "{}",
    "UPPER-{}",
)


@dataclass
class OldTables:
    """The records of a document, by table, and what must become of some."""

    tables: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    refused: set[tuple[str, str]] = field(default_factory=set)
    left_out: set[tuple[str, str]] = field(default_factory=set)


def key_of(*parts: Any) -> str:
    """A record's key as the report names it."""
    return str(parts[0]) if len(parts) == 1 else json.dumps(parts, ensure_ascii=False)


class Maker:
    """Makes records of one document."""

    def __init__(self, seed: int, now: datetime) -> None:
        self.dice = random.Random(seed)
        self.now = now.replace(microsecond=0)
        self.made = OldTables()

    def add(self, table: str, record: Record, *key: Any, fate: str = "") -> None:
        """Add a record; `fate` says what must become of it."""
        self.made.tables[table].append(
            {name: value for name, value in record.items() if value is not ...}
        )
        if fate:
            getattr(self.made, fate).add((table, key_of(*key)))

    def name(self, kind: str, number: int) -> str:
        """An id, often a strange one."""
        form = self.dice.choice(STRANGE) if self.dice.random() < 0.3 else kind + "-{}"
        return form.format(f"{kind}{number}")

    def past(self, days: float = 300) -> datetime:
        """Some time ago, at least two days."""
        return self.now - 2 * DAY - timedelta(seconds=int(self.dice.random() * days * 86_400))

    def time(self, moment: datetime) -> Any:
        """A time in one of the forms that have been seen in such tables."""
        return self.dice.choice(_FORMS)(moment)

    def maybe(self, value: Any, chance: float = 0.8) -> Any:
        """The value, or a missing attribute."""
        return value if self.dice.random() < chance else ...

    def number(self, value: float) -> Any:
        """A number, which may have become a float or a text."""
        return self.dice.choice([value, float(value), str(value)])

    def words(self) -> str:
        """Some text."""
        pool = ["film", "4K", "größer", "日本", "render", "it's", '"x"', "🎬", "a\nb"]
        return " ".join(self.dice.choices(pool, k=self.dice.randrange(1, 12)))


_FORMS: list[Callable[[datetime], Any]] = [
    lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S.000+00:00"),
    lambda moment: moment.astimezone(timezone(timedelta(hours=2))).isoformat(),
    lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S"),
    lambda moment: int(moment.timestamp()),
    lambda moment: int(moment.timestamp() * 1_000),
    lambda moment: float(moment.timestamp()),
    format_datetime,
]


def old_tables(document: str, number: int, now: datetime, seed: int = 1) -> OldTables:
    """About `number` records of a document's tables."""
    maker = Maker(seed, now)
    _MAKERS[document](maker, number)
    return maker.made


# -- the chat documents -------------------------------------------------------------------------


def _support(maker: Maker, number: int) -> None:
    for n in range(number // 4):
        session, began = maker.name("s", n), maker.past()
        rows = maker.dice.randrange(4)
        bad = n % 9 == 4 and rows > 0
        fate = "refused" if bad else ""
        maker.add(
            "chat_sessions",
            {
                "pk_session_id": session,
                "user_id": maker.name("u", n % 7),
                "title": maker.maybe("t" * 230 if n % 11 == 3 else maker.words()),
                "created_at": maker.time(began),
                "updated_at": maker.maybe(maker.time(began + rows * MINUTE)),
                "message_count": maker.maybe(maker.number(rows + (n % 5 == 2))),
                "has_flag": maker.maybe(True, 0.1),
            },
            session,
            fate=fate,
        )
        for place in range(rows):
            rated = maker.dice.random() < 0.4
            message = maker.name("m", 10 * n + place)
            maker.add(
                "messages",
                {
                    "pk_message_id": message,
                    "sk_session_id": session,
                    "user_prompt": maker.words(),
                    "bot_response": maker.maybe(maker.words()),
                    "metadata": maker.maybe(
                        maker.dice.choice([[{"uri": "a"}], {"documents": [{"score": 0.25}]}, {}])
                    ),
                    "sent_at": ... if bad and place == 0 else maker.time(began + place * MINUTE),
                    "response_time": maker.maybe(maker.number(1.25)),
                    "errors": maker.maybe("timed out", 0.1),
                    "feedback_type": maker.dice.choice(["positive", "Negative "]) if rated else ...,
                    "feedback_rank": maker.number(4) if rated else ...,
                    "feedback_created_at": maker.maybe(maker.time(began + DAY)) if rated else ...,
                },
                message,
                session,
                fate=fate,
            )
        if maker.dice.random() < 0.3:
            review = maker.name("r", n)
            maker.add(
                "reviews",
                {
                    "pk_review_id": review,
                    "session_id": session,
                    "reviewed_by": f"admin-{n % 3}",
                    "comments": maker.maybe(maker.words()),
                    "reviewed_at": maker.time(began + DAY),
                    "has_archived": maker.maybe(maker.dice.choice([True, False, "true"])),
                },
                review,
                fate=fate,
            )
    orphan = {"pk_message_id": "lost", "sk_session_id": "nowhere", "user_prompt": "?"}
    orphan["sent_at"] = "2024-01-01T00:00:00Z"
    maker.add("messages", orphan, "lost", "nowhere", fate="refused")


def _trinity(maker: Maker, number: int) -> None:
    for n in range(number):
        session, began = maker.name("s", n), maker.past(25)
        expired, bad = n % 13 == 5, n % 13 == 8
        maker.add(
            "trinity-chat-sessions-dev",
            {
                "sessionId": session,
                "userId": maker.dice.choice([n % 7, f"user-{n % 7}"]),
                "createdAt": maker.time(began),
                "updatedAt": maker.maybe(maker.time(began + 20 * MINUTE)),
                "ttl": maker.number(
                    int((maker.now - DAY if expired else began + 30 * DAY).timestamp())
                ),
                "messages": [
                    {
                        "messageId": maker.maybe(f"{n}-{place}", 0.9),
                        "type": "note" if bad else ("user_query", "trini_response")[place % 2],
                        "content": maker.words(),
                        "timestamp": maker.maybe(maker.time(began + place * MINUTE)),
                        "confidence": maker.maybe(maker.number(0.85)),
                        "recommendations": maker.maybe(["603", "604"]),
                        "extractedFilters": maker.maybe(
                            {"genres": ["action"], "yearRange": {"min": 1990.0}, "rating": "7.5"}
                        ),
                    }
                    for place in range(14 if n % 10 == 7 else 1 + n % 5)
                ],
                "userPreferences": maker.maybe({"likes": ["x"], "weight": 0.125}),
                "messageCount": maker.maybe(maker.number(3)),
                "sessionStatus": maker.dice.choice(["active", "Archived"]),
            },
            session,
            fate="refused" if bad else "left_out" if expired else "",
        )
    for record in maker.made.tables["trinity-chat-sessions-dev"]:
        record["messages"] = [
            {name: value for name, value in message.items() if value is not ...}
            for message in record["messages"]
        ]


def _cgchat(maker: Maker, number: int) -> None:
    for n in range(number):
        identity, began, bad = maker.name("c", n), maker.past(), n % 12 == 6
        record = {
            "conversation_id": identity,
            "user_id": maker.name("u", n % 6),
            "title": maker.maybe(maker.words()),
            "created_at": maker.time(began),
            "updated_at": maker.maybe(maker.time(began + 9 * MINUTE)),
            "message_count": maker.maybe(maker.number(2)),
            "messages": [
                {
                    "role": ("user", "Assistant")[place % 2],
                    "content": maker.words(),
                    "timestamp": maker.time(began + place * MINUTE),
                    "tool_calls": [{"tool": "search", "args": {"limit": 10.5}, "result": [1, None]}]
                    if place % 2 or bad
                    else [],
                }
                for place in range(1 + n % 4)
            ],
        }
        maker.add(
            "cg-chatbot-conversations",
            record,
            identity,
            record["user_id"],
            fate="refused" if bad else "",
        )
        if n % 15 == 1:
            other = {**record, "user_id": "someone-else", "created_at": maker.time(maker.now - DAY)}
            maker.add("cg-chatbot-conversations", other, identity, "someone-else", fate="refused")


# -- oneonone -----------------------------------------------------------------------------------


def _oneonone(maker: Maker, number: int) -> None:
    for n in range(number // 2):
        user, called = maker.name("u", n), maker.past()
        maker.add(
            "Users",
            {
                "userId": user,
                "pointsLeft": maker.maybe(maker.number(17 if n % 8 == 3 else n % 16)),
                "lastSessionTimestamp": maker.maybe(maker.time(called)),
                "isWaitingInQueue": maker.maybe(n % 6 == 2),
                "lastQueueEntry": maker.maybe(maker.time(called - MINUTE)),
                "email": maker.maybe("same@example.com"),
            },
            user,
        )
        call, began = maker.name("k", n), maker.past(60)
        what = n % 10
        fate = {3: "refused", 5: "left_out", 7: "refused"}.get(what, "")
        maker.add(
            "Sessions",
            {
                "sessionId": call,
                "userA": user,
                "userB": user if what == 7 else f"other-{n % 5}",
                "startTime": maker.time(began),
                "endTime": ... if what in {2, 3} else maker.time(began + 12 * MINUTE),
                "duration": ... if what == 3 else maker.number(12.5),
                "roomName": maker.maybe(f"room-{n}"),
                "createdAt": maker.maybe(maker.time(began)),
                "expiresAt": maker.number(
                    int((maker.now + (-DAY if what == 5 else 20 * DAY)).timestamp())
                ),
            },
            call,
            fate=fate,
        )


# -- acs ----------------------------------------------------------------------------------------


def _acs(maker: Maker, number: int) -> None:
    size = max(4, number // 16)
    for n in range(size):
        _acs_user(maker, n)
        _acs_organization(maker, n, size)
        _acs_mail(maker, n)
        _acs_counts(maker, n)


def _acs_user(maker: Maker, n: int) -> None:
    began = maker.past(900)
    common = {
        "name": maker.maybe(maker.words()),
        "created_at": maker.time(began),
        "updated_at": maker.maybe(maker.time(began + DAY)),
        "status": maker.dice.choice(["active", "Suspended"]),
        "preferences": maker.maybe({"email_notifications": True, "weight": 0.5}),
        "organization_id": f"org-{n}",
        "role": maker.dice.choice(["admin", "user", "member"]),
    }
    address = {"email": f"User.{n}@Example.com", "responseEmail": maker.maybe(f"r{n}@reply.dev")}
    maker.add("Users", {"id": f"user-{n}", **address, **common}, f"user-{n}")
    if n % 4 == 1:
        later = {**common, "id": f"twin-{n}", "email": f"user.{n}@example.com"}
        later["created_at"] = maker.time(maker.now - DAY)
        maker.add("Users", {**later, "updated_at": ...}, f"twin-{n}", fate="refused")
    if n % 7 == 2:
        broken = {**common, "id": f"broken-{n}", "email": "no address"}
        maker.add("Users", broken, f"broken-{n}", fate="refused")
    for what, fate in (("good", ""), ("old", "left_out"), ("off", "left_out"), ("lost", "refused")):
        secret = f"{what}-secret-of-a-session-{n}"
        maker.add(
            "Sessions",
            {
                "session_id": secret,
                "user_id": "nobody" if what == "lost" else f"user-{n}",
                "account_id": f"account-{n % 3}",
                "created_at": maker.time(maker.now - 3 * DAY),
                "last_activity": maker.maybe(maker.time(maker.now - DAY)),
                "expires_at": maker.time(maker.now + (-DAY if what == "old" else 9 * DAY)),
                "ttl": 1_704_067_200,
                "is_active": what != "off",
                "metadata": {"device_type": "mobile"},
            },
            secret,
            fate=fate,
        )


def _acs_organization(maker: Maker, n: int, size: int) -> None:
    began, ownerless = maker.past(), n % 6 == 4
    fate = "refused" if ownerless else ""
    maker.add(
        "Organizations",
        {
            "organization_id": f"org-{n}",
            "name": f"Org {n}",
            "domain": maker.maybe("example.com"),
            "created_at": maker.time(began),
            "updated_at": maker.maybe(maker.time(began + DAY)),
            "status": "active",
            "settings": maker.maybe({"max_users": 100.0, "storage_limit_gb": 10.25}),
            "billing": {"plan": "Pro", "usage": {"storage_used_gb": 2.5}},
        },
        f"org-{n}",
        fate=fate,
    )
    for m in range(3):
        user = f"user-{(n + m) % size}" if m < 2 else "nobody"
        maker.add(
            "OrganizationMembers",
            {
                "organization_id": f"org-{n}",
                "user_id": user,
                "role": "owner" if m == 0 and not ownerless else "viewer",
                "joined_at": maker.time(began),
                "status": "active",
                "permissions": maker.maybe({"manage_users": True}),
                "last_active": maker.maybe(maker.time(began + DAY)),
            },
            f"org-{n}",
            user,
            fate=fate or ("refused" if user == "nobody" else ""),
        )
    status = ("pending", "accepted", "expired", "cancelled")[n % 4]
    invited = maker.time(maker.now - 2 * DAY)
    maker.add(
        "OrganizationInvites",
        {
            "invite_id": f"invite-{n}",
            "timestamp": str(invited),
            "organization_id": f"org-{n}",
            "email": f"guest-{n}@example.com",
            "invite_token": "short" if n % 5 == 0 else f"token-of-an-invite-{n}",
            "invited_by": f"user-{n}",
            "role": "member",
            "status": status,
            "expires_at": maker.time(maker.now + 5 * DAY),
            "accepted_at": maker.time(maker.now - DAY) if status == "accepted" else ...,
        },
        f"invite-{n}",
        str(invited),
        fate=fate,
    )


def _acs_mail(maker: Maker, n: int) -> None:
    talk, began, account = f"conv-{n}", maker.past(), f"account-{n % 3}"
    if n == 9:  # later than the other one with its Message-ID
        began = maker.now - DAY - 12 * 60 * MINUTE
    orphaned = n % 5 == 3
    fate = "refused" if orphaned else ""
    if not orphaned:
        maker.add(
            "Threads",
            {
                "conversation_id": talk,
                "associated_account": account,
                "thread_id": f"thread-{n}",
                "created_at": maker.time(began),
                "updated_at": maker.maybe(maker.time(began + DAY)),
                "status": maker.dice.choice(["active", "closed"]),
                "subject": "Hello",
                "participants": ["a@example.com"],
                "message_count": maker.number(n % 6),
                "last_message_at": maker.maybe(maker.time(began + 3 * MINUTE)),
                "attributes": maker.maybe({"urgency": "High", "priority": 3.0}),
                "ai_settings": maker.maybe({"response_delay_hours": "2"}),
            },
            talk,
        )
    for m in range(2):
        maker.add(
            "Conversations",
            {
                "conversation_id": talk,
                "response_id": f"response-{n}-{m}",
                "message_id": "<same@mail>" if m and n in {6, 9} else f"<{n}.{m}@mail>",
                "associated_account": account,
                "sender_email": f"Sender{n}@example.com",
                "recipient_email": "us@example.com",
                "subject": maker.maybe("Hello"),
                "body": maker.words(),
                "timestamp": maker.time(began + m * MINUTE),
                "is_first_email": maker.maybe(m == 0),
                "thread_id": maker.maybe(f"thread-{n}"),
                "status": "received",
                "ev_score": maker.maybe(0.85),
                "metadata": {"headers": {"X": "1"}, "attachments": [], "spam_score": "0.1"},
            },
            talk,
            f"response-{n}-{m}",
            fate="refused" if orphaned or (m and n == 9) else "",
        )
    maker.add(
        "EVDataCollection",
        {
            "conversation_id": talk,
            "ev_score": maker.number(0.85),
            "calculation_date": maker.time(began + MINUTE),
            "factors": {"urgency": 0.8, "priority": 1},
            "recommendations": ["Respond"],
        },
        talk,
        fate=fate,
    )
    maker.add(
        "LLMDataCollection",
        {
            "conversation_id": talk,
            "model_used": "llama",
            "prompt_tokens": maker.number(150),
            "response_tokens": 200.0,
            "response_time_ms": 2_500,
            "quality_score": 0.88,
            "generated_at": maker.time(began + MINUTE),
            "prompt": maker.maybe(maker.words()),
            "metadata": {"temperature": 0.7, "cost_usd": 0.0025},
        },
        talk,
        fate=fate,
    )


def _acs_counts(maker: Maker, n: int) -> None:
    began = maker.past()
    window = {
        "associated_account": f"account-{n}",
        "window_start": maker.time(began),
        "window_end": maker.time(began + 60 * MINUTE),
        "last_request": maker.maybe(maker.time(began + MINUTE)),
        "limit": 100.0,
    }
    calls = {"request_count": 150, "metadata": {"function_calls": {"generate_email": 50}}}
    maker.add("RL_AI", {**window, **calls, "blocked_until": None}, f"account-{n}")
    maker.add("RL_AWS", {**window, "aws_requests": 9, "throttled_requests": 5}, f"account-{n}")
    maker.add(
        "LLMReportData",
        {
            "report_id": f"report-{n}",
            "account_id": f"account-{n}",
            "report_period": "last month" if n % 6 == 1 else "2024-01",
            "generated_at": maker.time(began),
            "total_requests": 1_500,
            "total_tokens": maker.number(450_000),
            "total_cost_usd": 12.5,
            "average_quality_score": maker.maybe(0.85),
            "model_usage": {"llama": {"requests": 1_200, "tokens": 360_000.0, "cost": 10.01}},
            "function_breakdown": {"generate_email": 800},
        },
        f"report-{n}",
        fate="refused" if n % 6 == 1 else "",
    )
    maker.add(
        "Invocations",
        {
            "id": f"invocation-{n}",
            "associated_account": f"account-{n % 3}",
            "function_name": "LoginUser",
            "invoked_at": maker.time(began),
            "duration_ms": maker.number(150.25),
            "memory_used_mb": maker.maybe(128.0),
            "status": "melted" if n % 7 == 3 else "success",
            "cold_start": maker.maybe("false"),
            "metadata": maker.maybe({"http_method": "POST"}),
        },
        f"invocation-{n}",
        fate="refused" if n % 7 == 3 else "",
    )


_MAKERS: dict[str, Callable[[Maker, int], None]] = {
    "support": _support,
    "trinity": _trinity,
    "acs": _acs,
    "oneonone": _oneonone,
    "cgchat": _cgchat,
}
