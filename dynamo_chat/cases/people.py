"""Scenarios of a person's data: export and erasure (G1–G3)."""

from __future__ import annotations

from collections.abc import Iterator

from dynamo_chat.cases.stage import Case, Stage
from dynamo_chat.chat.message import NewMessage
from dynamo_chat.mail.email import NewEmail
from dynamo_chat.workflows.person_records import ErasurePlan, PersonRecord


def _a_person(stage: Stage) -> tuple[str, str]:
    """A user and an account, with a little of everything."""
    store, user_id, account_id = stage.store, stage.fresh("user"), stage.fresh("account")
    store.users.create(f"{user_id}@example.com", user_id=user_id)
    store.logins.create(user_id)
    talk = store.conversations.create(user_id, title="Renders").conversation_id
    store.messages.append(talk, NewMessage(role="user", content="Show me 4K renders"))
    store.organizations.create("Example Ltd", user_id)
    store.members.add(
        store.members.list_by_user(user_id).items[0].organization_id,
        store.users.create(f"{stage.fresh('user')}@example.com").user_id,
        role="owner",
    )
    store.emails.add(
        stage.fresh("mail"),
        NewEmail(
            account_id=account_id,
            sender_email="ann@example.com",
            recipient_email="desk@example.com",
            body="Hello",
        ),
    )
    store.rate_limits.count(account_id, "ai", "answer")
    return user_id, account_id


def _exported(records: list[PersonRecord]) -> str:
    return f"{len(records)} records: {', '.join(sorted({each.kind for each in records}))}"


def _erased(plan: ErasurePlan) -> str:
    return f"{sum(plan.erased.values())} things of {len(plan.erased)} kinds"


def people_export(stage: Stage) -> Iterator[Case]:
    people, (user_id, account_id) = stage.store.people, _a_person(stage)
    yield Case("", lambda: [*people.export(user_id, account_ids=[account_id])], _exported)


def people_plan_erasure(stage: Stage) -> Iterator[Case]:
    people, (user_id, account_id) = stage.store.people, _a_person(stage)
    yield Case("", lambda: people.plan_erasure(user_id, account_ids=[account_id]), _erased)


def people_erase(stage: Stage) -> Iterator[Case]:
    people, (user_id, account_id) = stage.store.people, _a_person(stage)
    yield Case("", lambda: people.erase(user_id, account_ids=[account_id]), _erased)
