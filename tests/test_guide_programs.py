"""Every program of the documentation is run by a test, or this file says why not.

What the pages print is compared where they promise it. The engine stands in for AWS.
"""

import asyncio
import gzip
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dynamo_chat import ChatStore, NewEmail, NewMessage, NewState
from dynamo_chat.aio import AsyncChatStore
from tests.scene import own_engine
from tests.test_docs import PAGES, ROOT, programs

pytestmark = pytest.mark.once
Names = dict[str, Any]
OLD = "2025-12-30T14:00:00Z"

HERE = (
    *("archives", "async", "backups", "doctor", "messages", "migrating", "model-formats"),
    *("personal-data", "quickstart", "streaming", "tenancy"),
)
ELSEWHERE = {
    "README.md": "tests/test_docs.py",
    "docs/guide/busy-lists.md": "tests/test_shards.py",
    "docs/guide/calls.md": "tests/calls/test_guide.py",
    "docs/guide/errors.md": "tests/test_service_guide.py",
    "docs/guide/global-tables.md": "tests/test_docs.py",
    "docs/guide/integrations/adk.md": "tests/integrations/adk/test_guide.py",
    "docs/guide/integrations/chatkit.md": "tests/integrations/chatkit/test_stored.py",
    "docs/guide/integrations/langgraph.md": "tests/integrations/langgraph/test_shown.py",
    "docs/guide/integrations/openai-agents.md": "tests/integrations/openai_agents/test_runner.py",
    "docs/guide/integrations/pydantic-ai.md": "tests/integrations/pydantic_ai/test_agents.py",
    "docs/guide/integrations/recipes.md": "tests/integrations/test_recipes.py",
    "docs/guide/limits.md": "tests/test_docs.py",
    "docs/guide/mail-limits-telemetry.md": "tests/test_service_guide.py",
    "docs/guide/models.md": "tests/test_service_guide.py",
    "docs/guide/observing.md": "tests/tracing/test_guide.py",
    "docs/guide/own-entities.md": "tests/entities/test_guide.py",
    "docs/guide/streams.md": "tests/streams/test_guide.py",
    "docs/guide/testing.md": "tests/testing/test_plugin.py",
    "docs/guide/tutorial.md": "tests/tutorial.py",
    "docs/guide/users-and-organizations.md": "tests/test_service_guide.py",
}
"""Where the programs of the other pages run."""
NOT_RUN = {
    "docs/guide/development.md": "a method that the package does not have, and its case",
    "docs/versions.md": "one name, which tests/test_docs.py compares with the installed version",
}


def test_every_program_is_run_or_says_why_not() -> None:
    with_programs = {
        path for page in PAGES if programs(path := str(page.relative_to(ROOT).as_posix()))
    }
    here = {f"docs/guide/{page}.md" for page in HERE}
    assert with_programs == here | ELSEWHERE.keys() | NOT_RUN.keys()
    for page, test in ELSEWHERE.items():
        name = Path(page).stem
        assert name in (ROOT / test).read_text("utf-8"), f"{test} does not name {page}"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ChatStore]:
    """The table that the guide's programs find in AWS; files are in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with own_engine("eu-west-1") as engine:
        monkeypatch.setenv("DYNAMODB_TABLE_NAME", "chat-prod")
        yield engine.store("chat-prod")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs one program with these names. Returns what it printed."""

    def run(page: str, number: int, names: Names) -> str:
        program = programs(f"docs/guide/{page}.md")[number]
        exec(compile(program, f"{page}#{number}", "exec"), names)  # noqa: S102 - the page is ours
        return capsys.readouterr().out

    return run


def test_archives(aws: ChatStore, run: Callable[..., str]) -> None:
    aws.conversations.create("u-1")
    with ChatStore("chat-eu") as other:
        other.table.create()
        assert run("archives", 0, {}) == "True\n"
        assert len(other.conversations.list_by_user("u-1")) == 1


def test_async(aws: ChatStore, run: Callable[..., str]) -> None:
    names: Names = {"ChatStore": ChatStore, "AsyncChatStore": AsyncChatStore, "Path": Path}
    names |= {"Any": Any, "MyStore": type("MyStore", (ChatStore,), {})}
    run("async", 0, names)
    asyncio.run(names["main"]())
    assert aws.conversations.list_by_user("u-1").items[0].message_count == 1

    async def main() -> None:
        async with AsyncChatStore("chat-prod") as store:
            names["imported"] = lambda store, path: f"{store.connection.table_name} {path}"
            await names["main"](store)

    run("async", 1, names)
    asyncio.run(main())
    run("async", 2, names)
    assert issubclass(names["AsyncMyStore"], AsyncChatStore)


def test_backups(aws: ChatStore, run: Callable[..., str]) -> None:
    aws.conversations.create("u-1", conversation_id="c-1")
    assert "chat-restored" in run("backups", 0, {})
    with ChatStore("chat-restored") as restored:
        assert restored.conversations.get("c-1").user_id == "u-1"


def test_doctor(aws: ChatStore, run: Callable[..., str]) -> None:
    talk = aws.conversations.create("u-1")
    aws.connection.client.update_item(
        TableName="chat-prod",
        Key=head_key(aws),
        UpdateExpression="SET message_count = :wrong",
        ExpressionAttributeValues={":wrong": {"N": "7"}},
    )
    assert "repaired" in run("doctor", 0, {}).splitlines()[-1]
    assert aws.conversations.get(talk.conversation_id).message_count == 0


def head_key(store: ChatStore) -> Any:
    (head,) = store.connection.client.scan(TableName="chat-prod")["Items"]
    return {name: head[name] for name in ("PK", "SK")}


def test_messages(aws: ChatStore, run: Callable[..., str]) -> None:
    def names() -> Names:
        talk = aws.conversations.create("ann")
        return {
            "store": aws,
            "conversation_id": talk.conversation_id,
            "ids": [talk.conversation_id],
            "user_id": "ann",
            "prompt": "Hello",
            "text": "Hello, Ann.",
            "request_id": "request-1",
            "event": SimpleNamespace(id="event-1", time=datetime.now(UTC)),
            "turn": [NewMessage(role="user", content="Hello")],
            "NewState": NewState,
            "data": {"step": 1},
            "read": SimpleNamespace(revision=0),
            "NewMessage": NewMessage,
        }

    def after(number: int) -> Names:
        made = names()
        assert run("messages", number, made) == ""
        return made

    assert after(0)["answer"].content == "Hello, Ann."
    gone = after(1)["conversation_id"]
    assert gone not in {each.conversation_id for each in aws.conversations.list_by_user("ann")}
    assert after(2)["talk"].user_id == "bob"
    made = after(3)
    assert made["talk"].preferences == made["head"].preferences == {"genres": ["drama"]}
    changed = aws.conversations.get(after(4)["conversation_id"])
    assert (changed.title, changed.preferences) == ("4K renders", {"rating": 8})
    found = after(5)
    assert found["by_id"].keys() == {found["conversation_id"]}
    talked = names()
    aws.messages.append_turn(talked["conversation_id"], talked["turn"])
    assert run("messages", 6, talked) == "Hello\n"
    assert aws.messages.list(after(7)["conversation_id"]).items[0].message_id == "event-1"
    saved = after(8)["conversation_id"]
    state = aws.states.get(saved)
    assert state is not None
    assert state.data == {"step": 1}
    assert after(9)["page"].unreadable == ()


def test_migrating(aws: ChatStore, run: Callable[..., str], tmp_path: Path) -> None:
    with gzip.open(tmp_path / "conversations.jsonl.gz", "wt"):
        pass  # the page shows a file, and a table instead of it
    client = aws.connection.client
    client.create_table(
        TableName="old-conversations",
        KeySchema=[{"AttributeName": "conversation_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "conversation_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    texts = {"conversation_id": "c-1", "user_id": "u-1", "title": "Old", "created_at": OLD}
    item: Any = {name: {"S": text} for name, text in {**texts, "updated_at": OLD}.items()}
    client.put_item(TableName="old-conversations", Item={**item, "messages": {"L": []}})
    assert run("migrating", 0, {}) == "True\n"
    assert aws.conversations.get("c-1").title == "Old"


def test_model_formats(aws: ChatStore, run: Callable[..., str]) -> None:
    talk = aws.conversations.create("u-1").conversation_id
    aws.messages.append(talk, NewMessage(role="user", content="Hello"))
    names: Names = {"store": aws, "conversation_id": talk, "count_tokens": lambda _: 5_000}
    run("model-formats", 0, names)
    assert [each.content for each in names["latest"]] == ["Hello"]
    promised = re.findall(r"print\(.*\)\s+# (.+)", programs("docs/guide/model-formats.md")[1])
    assert run("model-formats", 1, {}).splitlines() == promised


def test_personal_data(aws: ChatStore, run: Callable[..., str], tmp_path: Path) -> None:
    for _ in range(2):
        talk = aws.conversations.create("u-1").conversation_id
        aws.messages.append(talk, NewMessage(role="user", content="u-1 said hello"))
    other = aws.conversations.create("u-2").conversation_id
    aws.messages.append(other, NewMessage(role="user", content="Ask u-1"))

    names: Names = {}
    printed = run("personal-data", 0, names).splitlines()
    (tmp_path / "u-1.jsonl").write_text("\n".join(printed[:-2]) + "\n", "utf-8")
    assert names["receipt"].erased["message"] == 2

    with ChatStore("chat-eu") as there:
        there.table.create()
        run("personal-data", 1, {})
        assert len(there.conversations.list_by_user("u-1")) == 2
    assert run("personal-data", 2, {"store": aws}).startswith("message ")


def test_the_stores_of_the_quickstart(aws: ChatStore, run: Callable[..., str]) -> None:
    """The first program of the page is run as it stands, in tests/test_docs.py."""
    names: Names = {"ChatStore": ChatStore}
    run("quickstart", 1, names)
    assert names["store"].connection.table_name == aws.connection.table_name


def test_streaming(aws: ChatStore, run: Callable[..., str]) -> None:
    talk = aws.conversations.create("u-1").conversation_id
    names: Names = {
        "store": aws,
        "conversation_id": talk,
        "run_id": "run-1",
        "user_id": "u-1",
        "prompt": "Hello",
        "model": SimpleNamespace(stream=lambda _: ["Hello, ", "Ann."]),
        "calls": [],
        "usage": {"tokens": 7},
        "timedelta": timedelta,
    }
    run("streaming", 0, names)
    (stored,) = aws.messages.list(talk)
    assert (stored.message_id, stored.content) == ("run-1", "Hello, Ann.")
    assert stored.metadata == {"usage": {"tokens": 7}}
    run("streaming", 1, names)


def test_tenancy(aws: ChatStore, run: Callable[..., str]) -> None:
    organization = aws.organizations.create("Acme", "me").organization_id
    issued = aws.invites.create(organization, "bob@example.org", invited_by="me")
    names: Names = {
        "store": aws,
        "me": "me",
        "my_organization": organization,
        "my_account": "account-1",
        "message": NewMessage(role="user", content="Hello"),
        "invite_id": issued.invite.invite_id,
        "conversation_id": "talk-1",
    }
    aws.conversations.create("me", conversation_id="talk-1")
    email = NewEmail(
        account_id="account-1",
        sender_email="ann@example.com",
        recipient_email="me@example.org",
        subject="Hello",
        body="Hello",
    )
    aws.emails.add("talk-1", email)
    run("tenancy", 0, names)
    assert names["invite"].status == "cancelled"
    team = aws.members.authorize(organization, "me")
    names["conversation_id"] = aws.conversations.create(team).conversation_id
    run("tenancy", 1, names)
    assert names["talk"].organization_id == organization
