"""Old tables are brought in whole, once, and as they were; what can't be is told."""

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat.chat.reviews import MAX_COMMENTS
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.importing.migration.migration import Migration, MigrationOptions, Report
from dynamo_chat.importing.migration.sources import LinesSource, Source
from dynamo_chat.importing.migration.times import TimeRules
from dynamo_chat.testing import FaultInjector, Kill, Killed
from tests.doctor.scene import doctor_of
from tests.scene import DAY, Scene
from tooling.old_tables import OldTables, Record, old_tables

pytestmark = pytest.mark.engine

DOCUMENTS = ("support", "trinity", "acs", "oneonone", "cgchat")
FEW = {"support": 40, "trinity": 14, "acs": 64, "oneonone": 40, "cgchat": 16}
"""Records in each document's tables: enough for one of everything that may be wrong."""


def lines(folder: Path, tables: dict[str, list[Record]]) -> dict[str, Source]:
    """Each table as a JSON Lines file."""
    found: dict[str, Source] = {}
    for name, records in tables.items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(each) + "\n" for each in records), "utf-8")
        found[name] = LinesSource(path)
    return found


def migration(
    scene: Scene, document: str, sources: dict[str, Source], work: Path, **options: Any
) -> Migration:
    """A migration into the scene's table, at its time."""
    return Migration(
        document,
        lambda table_name=None, **more: scene.new_store(**more),
        sources,
        work,
        options=MigrationOptions(**options),
        clock=scene.clock,
    )


def run(scene: Scene, document: str, sources: dict[str, Source], work: Path) -> Report:
    with migration(scene, document, sources, work) as moved:
        return moved.run()


def fates(moved: Migration) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """The records that were refused, and those that were left out."""
    refused, left_out = (
        {(table, key) for table, key, _, _ in moved._work.fates(fate)}
        for fate in ("refused", "left out")
    )
    return refused, left_out


@pytest.fixture(params=DOCUMENTS)
def document(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def old(document: str, scene: Scene) -> OldTables:
    return old_tables(document, FEW[document], scene.clock())


def test_everything_is_brought_in_and_verified(
    scene: Scene, document: str, old: OldTables, tmp_path: Path
) -> None:
    """Exactly what is wrong is refused. Again, it changes nothing, also without the work file."""
    sources = lines(tmp_path, old.tables)
    with migration(scene, document, sources, tmp_path / "work") as moved:
        report = moved.run()
        assert fates(moved) == (old.refused, old.left_out)
    assert not report.differences
    for each in report.tables:
        assert each.records == len(old.tables[each.table]) > 0
        assert each.verified == each.records - each.refused - each.left_out
    with doctor_of(scene) as doctor:
        assert doctor.examine().is_clean
    items = scene.items()
    again = run(scene, document, sources, tmp_path / "work")
    assert (again.tables, scene.items()) == (report.tables, items)
    anew = run(scene, document, sources, tmp_path / "elsewhere")
    assert (anew.tables, scene.items()) == (report.tables, items)


@pytest.mark.once
def test_killed_anywhere_it_goes_on(
    scene: Scene, document: str, old: OldTables, tmp_path: Path
) -> None:
    """The process dies at random requests, before or after they are done; nothing is lost."""
    sources, dice, killed = lines(tmp_path, old.tables), random.Random(document), 0
    for _ in range(4):
        with migration(scene, document, sources, tmp_path / "work", workers=2) as moved:
            client = moved._target.store.connection.client
            with FaultInjector(client) as injector, suppress(Killed):
                injector.plan(Kill(after_sending=dice.random() < 0.5), at=dice.randrange(1, 30))
                moved.run()
            killed += len(injector.injected)
    assert killed
    with migration(scene, document, sources, tmp_path / "work") as moved:
        report = moved.run()
        assert fates(moved) == (old.refused, old.left_out)
    assert not report.differences
    assert all(t.verified == t.records - t.refused - t.left_out for t in report.tables)
    with doctor_of(scene) as doctor:
        assert doctor.examine().is_clean


def test_a_dry_run_writes_nothing_and_says_the_same(scene: Scene, tmp_path: Path) -> None:
    document, old = "oneonone", old_tables("oneonone", FEW["oneonone"], scene.clock())
    sources = lines(tmp_path, old.tables)
    with migration(scene, document, sources, tmp_path / "work") as moved:
        report = moved.run(dry_run=True)
        assert fates(moved) == (old.refused, old.left_out)
    assert scene.items() == []
    assert report.changes
    assert sum(each.planned for each in report.tables) > 0
    assert report.changes == run(scene, document, sources, tmp_path / "work").changes


def test_what_only_the_other_records_tell_is_known_before_anything_is_written(
    scene: Scene, tmp_path: Path
) -> None:
    """Duplicates (the oldest is loaded), orphans, and organizations without an owner."""
    times = {"created_at": "2024-01-01T00:00:00Z"}
    joined = {"organization_id": "org", "joined_at": "2024-01-01T00:00:00Z", "user_id": "u-1"}
    email = {
        "conversation_id": "c",
        "associated_account": "a",
        "message_id": "<same>",
        "sender_email": "x@example.com",
        "recipient_email": "y@example.com",
    }
    tables: dict[str, list[Record]] = {
        "Users": [user(9, created_at="2024-02-01", email="U1@example.com"), user(1)],
        "Organizations": [{"organization_id": "org", "name": "Org", **times}],
        "OrganizationMembers": [{**joined, "role": "owner", "status": "pending"}],
        "Threads": [
            {"conversation_id": c, "associated_account": a, **times}
            for c, a in (("c", "a"), ("d", "a"), ("e", "b"))
        ],
        "Conversations": [
            {**email, "response_id": "2", "timestamp": "2024-01-01T00:00:01Z"},
            {**email, "response_id": "1", "timestamp": "2024-01-01T00:00:02Z"},
            {**email, "response_id": "3", "timestamp": "2024-01-01", "conversation_id": "e"},
        ],
    }
    with migration(scene, "acs", lines(tmp_path, tables), tmp_path / "work") as moved:
        report = moved.run(dry_run=True)
    assert [(table, reason) for table, reason, _ in report.reasons] == [
        ("Conversations", "associated_account: is not that of its thread"),
        ("Conversations", 'duplicate: its message_id is that of e-mail ["c", "2"]'),
        ("OrganizationMembers", "the organization has no active owner among its members"),
        ("Organizations", "the organization has no active owner among its members"),
        ("Threads", "the thread has no e-mail that can be loaded"),
        ("Users", "duplicate: its email is that of user 'u-1', who is older"),
    ]
    assert scene.items() == []


def test_comments_that_are_too_long_are_known_before_anything_is_written(
    scene: Scene, tmp_path: Path
) -> None:
    """Their conversation is not loaded in part."""
    time = "2024-01-01T00:00:00Z"
    review = {"session_id": "s-1", "reviewed_by": "admin", "reviewed_at": time}
    tables: dict[str, list[Record]] = {
        "chat_sessions": [
            {"pk_session_id": "s-1", "user_id": "u-1", "created_at": time, "updated_at": time}
        ],
        "reviews": [
            {**review, "pk_review_id": "r-1", "comments": "x" * MAX_COMMENTS},
            {**review, "pk_review_id": "r-2", "comments": "x" * (MAX_COMMENTS + 1)},
        ],
    }
    with migration(scene, "support", lines(tmp_path, tables), tmp_path / "work") as moved:
        report = moved.run()
    reasons = {reason for _, reason, _ in report.reasons}
    assert reasons == {"the comments of a review have more than 16,384 characters"}
    assert scene.items() == []


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def user(number: int, **fields: Any) -> Record:
    times = {"created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-02T00:00:00Z"}
    return {"id": f"u-{number}", "email": f"u{number}@example.com", **times, **fields}


def test_what_was_refused_is_mended_and_fed_in(scene: Scene, small: Path, tmp_path: Path) -> None:
    """Also what depended on it: the login of a user whose address was wrong."""
    login = {
        "session_id": "a-session-id-of-the-old-system",
        "user_id": "u-1",
        "created_at": "2024-01-01T00:00:00Z",
        "expires_at": (scene.clock() + DAY).isoformat(),
    }
    sources = lines(small, {"Users": [user(1, email="wrong"), user(2)], "Sessions": [login]})
    with (small / "Users.jsonl").open("a", encoding="utf-8") as file:
        file.write("{not json\n")
    with migration(scene, "acs", sources, tmp_path / "work") as moved:
        moved.run()
        with (tmp_path / "refused.jsonl").open("w", encoding="utf-8") as file:
            assert moved.write_refused(file) == 3
    told = [json.loads(line) for line in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert [each["table"] for each in told] == ["Sessions", "Users", "Users"]
    assert "orphan" in told[0]["reason"]
    assert "email" in told[1]["reason"]
    assert told[2]["line"] == "{not json"
    told[1]["record"]["email"] = "right@example.com"
    (tmp_path / "mended.jsonl").write_text(json.dumps(told[1]) + "\n")
    with migration(scene, "acs", sources, tmp_path / "work") as moved:
        assert moved.mend(tmp_path / "mended.jsonl") == 1
        report = moved.run()
        assert fates(moved) == (set(), set())
    assert not report.differences
    assert scene.store.users.get_by_email("right@example.com").user_id == "u-1"
    assert scene.store.logins.get("a-session-id-of-the-old-system").user_id == "u-1"


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"table": "Nope", "record": {}}', '{"table": "Users"}']
)
def test_a_mended_file_with_a_wrong_line_is_refused(
    scene: Scene, line: str, tmp_path: Path
) -> None:
    (tmp_path / "mended.jsonl").write_text(f"\n{line}\n")
    with (
        migration(scene, "acs", {}, tmp_path / "work") as moved,
        pytest.raises(InvalidArgument, match="line 2"),
    ):
        moved.mend(tmp_path / "mended.jsonl")


def test_a_second_run_brings_what_changed_since(scene: Scene, small: Path, tmp_path: Path) -> None:
    """The newer state wins: the record's if it changed there, the store's if it changed here."""
    run(scene, "acs", lines(small, {"Users": [user(1), user(2), user(3)]}), tmp_path / "work")
    scene.store.users.update("u-2", name="changed here")
    later = {"updated_at": "2024-06-01T00:00:00Z", "email": "new@example.com", "name": "New"}
    changed = [user(1, **later), user(2, name="old", updated_at="2024-06-01T00:00:00Z")]
    sources = lines(small, {"Users": [*changed, user(3, name="not read")]})
    with migration(
        scene,
        "acs",
        sources,
        tmp_path / "work",
        changed_since=scene.clock().replace(year=2024, month=5),
    ) as moved:
        assert moved.run(again=True).is_clean
    users = scene.store.users
    there = users.get("u-1")
    assert (there.name, there.email) == ("New", "new@example.com")
    assert there.updated_at.isoformat() == "2024-06-01T00:00:00+00:00"
    assert users.get("u-2").name == "changed here"
    assert (users.get("u-3").name, users.get("u-3").email) == (None, "u3@example.com")


def test_newer_states_replace_those_that_were_loaded(
    scene: Scene, small: Path, tmp_path: Path
) -> None:
    """Of organizations, members, invites and threads; no time of the store's clock is left."""
    now = scene.clock()
    times = {"created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-02T00:00:00Z"}
    later = {"updated_at": "2024-06-01T00:00:00Z"}
    organization = {"organization_id": "org", "name": "Org", **times}
    joined = {"organization_id": "org", "joined_at": "2024-01-01T00:00:00Z"}
    owner = {**joined, "user_id": "u-1", "role": "owner"}
    member = {**joined, "user_id": "u-2", "role": "viewer"}
    invites = [
        {
            "invite_id": f"invite-{n}",
            "timestamp": "2024-01-01T00:00:00Z",
            "organization_id": "org",
            "email": "guest@example.com",
            "invite_token": f"token-of-an-old-invite-{n}",
            "invited_by": "u-1",
            "status": "pending",
            "expires_at": (now + DAY).isoformat(),
        }
        for n in range(2)
    ]
    thread = {"conversation_id": "c", "associated_account": "a", "status": "active", **times}
    email = {
        "conversation_id": "c",
        "response_id": "r",
        "associated_account": "a",
        "sender_email": "x@example.com",
        "recipient_email": "y@example.com",
        "timestamp": "2024-01-01T00:00:00Z",
    }
    first: dict[str, list[Record]] = {
        "Users": [user(1), user(2)],
        "Organizations": [organization],
        "OrganizationMembers": [owner, member],
        "OrganizationInvites": invites,
        "Threads": [thread],
        "Conversations": [email],
    }
    accepted = {"status": "accepted", "accepted_at": "2024-01-05T00:00:00Z"}
    second: dict[str, list[Record]] = {
        **first,
        "Organizations": [{**organization, "name": "New", "settings": {"max_users": 7}, **later}],
        "OrganizationMembers": [owner, {**member, "role": "admin", "last_active": now.isoformat()}],
        "OrganizationInvites": [{**invites[0], **accepted}, {**invites[1], "status": "cancelled"}],
        "Threads": [{**thread, "status": "closed", "attributes": {"priority": 3}, **later}],
    }
    for tables in (first, second):
        with migration(scene, "acs", lines(small, tables), tmp_path / "work") as moved:
            report = moved.run(again=True)
            assert report.is_clean, (report.reasons, report.differences)
    store = scene.store
    there = store.organizations.get("org")
    assert (there.name, there.max_users, there.member_count) == ("New", 7, 2)
    assert there.updated_at.isoformat() == "2024-06-01T00:00:00+00:00"
    assert store.members.get("org", "u-2").role == "admin"
    assert [store.invites.get(f"invite-{n}").status for n in (0, 1)] == ["accepted", "cancelled"]
    closed = store.threads.get("c")
    assert (closed.status, closed.priority, closed.message_count) == ("closed", 3, 1)
    assert closed.created_at.isoformat() == "2024-01-01T00:00:00+00:00"
    assert closed.updated_at.isoformat() == "2024-06-01T00:00:00+00:00"


@pytest.mark.once
def test_what_has_no_time_of_change_is_compared(scene: Scene, small: Path, tmp_path: Path) -> None:
    """The last delta ends logins, cancels invites, and moves e-mails, whenever they were made."""
    now, made = scene.clock(), "2024-01-01T00:00:00Z"
    times = {"created_at": made, "updated_at": made}
    place = {"conversation_id": "c", "associated_account": "a"}
    email = {
        **place,
        "response_id": "r",
        "sender_email": "x@example.com",
        "recipient_email": "y@example.com",
        "timestamp": made,
    }
    invite = {
        "invite_id": "invite",
        "timestamp": made,
        "organization_id": "org",
        "email": "guest@example.com",
        "invite_token": "token-of-an-old-invite",
        "invited_by": "u-1",
        "status": "pending",
        "expires_at": (now + DAY).isoformat(),
    }
    login = {
        "session_id": "a-session-id-of-the-old-system",
        "user_id": "u-1",
        "created_at": made,
        "expires_at": (now + DAY).isoformat(),
    }
    owner = {"organization_id": "org", "user_id": "u-1", "role": "owner", "joined_at": made}
    first: dict[str, list[Record]] = {
        "Users": [user(1)],
        "Organizations": [{"organization_id": "org", "name": "Org", **times}],
        "OrganizationMembers": [owner],
        "OrganizationInvites": [invite],
        "Sessions": [{**login, "is_active": True}],
        "Threads": [{**place, "status": "active", **times}],
        "Conversations": [email],
    }
    answered = {"status": "responded", "ai_response": "Hello", "ev_score": 0.5}
    second: dict[str, list[Record]] = {
        **first,
        "OrganizationInvites": [{**invite, "status": "cancelled"}],
        "Sessions": [{**login, "is_active": False}],
        "Conversations": [{**email, **answered}],
    }
    assert run(scene, "acs", lines(small, first), tmp_path / "work").is_clean
    store = scene.store
    assert store.logins.get("a-session-id-of-the-old-system").user_id == "u-1"
    sources = lines(small, second)
    for work in ("work", "work", "elsewhere"):
        with migration(scene, "acs", sources, tmp_path / work, changed_since=now - DAY) as moved:
            moved.run(again=True)
            refused, left_out = fates(moved)
        assert {table for table, _ in left_out} == {"Sessions"}
        assert bool(refused) == (work == "elsewhere")  # the users were not read
        there = store.emails.get("c", "r")
        assert (there.status, there.ai_response, there.ev_score) == ("responded", "Hello", 0.5)
        assert store.invites.get("invite").status == "cancelled"
        with pytest.raises(NotFound):
            store.logins.get("a-session-id-of-the-old-system")
    # -- an older status does not undo a newer one
    with migration(scene, "acs", lines(small, first), tmp_path / "work") as moved:
        assert not moved.run(again=True).differences
    assert store.emails.get("c", "r").status == "responded"


@pytest.mark.once
def test_a_time_of_change_is_read_in_its_zone(scene: Scene, small: Path, tmp_path: Path) -> None:
    """What changed a moment before midnight in New York did so hours after midnight in UTC."""
    rules = TimeRules(attributes={"Users.updated_at": "America/New_York"})
    since = scene.clock().replace(year=2024, month=6, day=1, hour=0, minute=0)
    run(scene, "acs", lines(small, {"Users": [user(1), user(2), user(3)]}), tmp_path / "work")
    changed = [
        user(1, updated_at="2024-05-31T23:59:59", name="New"),
        user(2, updated_at=None, name="New"),  # nobody knows when
        user(3, updated_at="2024-05-31T19:00:00", name="not read"),
    ]
    with migration(
        scene,
        "acs",
        lines(small, {"Users": changed}),
        tmp_path / "work",
        changed_since=since,
        times=rules,
    ) as moved:
        moved.run(again=True)
        kept = {
            each.key: each.record.get("name")
            for n in (1, 2, 3)
            for each in moved._work.records("users", f"u-{n}")
        }
    assert kept == {"u-1": "New", "u-2": "New", "u-3": None}
    assert scene.store.users.get("u-1").name == "New"


@pytest.mark.once
def test_what_was_mended_is_read_however_old_it_is(
    scene: Scene, small: Path, tmp_path: Path
) -> None:
    run(scene, "acs", lines(small, {"Users": [user(1, email="wrong")]}), tmp_path / "work")
    mended = tmp_path / "mended.jsonl"
    mended.write_text(json.dumps({"table": "Users", "record": user(1)}), "utf-8")
    since = scene.clock() - DAY
    with migration(scene, "acs", {}, tmp_path / "work", changed_since=since) as moved:
        assert moved.mend(mended) == 1
        assert moved.run().is_clean
    assert scene.store.users.get("u-1").email == "u1@example.com"


def test_newer_callers_replace_old_ones_and_calls_never_change(
    scene: Scene, small: Path, tmp_path: Path
) -> None:
    """A caller who was here since is kept."""
    now = scene.clock()
    call = {
        "sessionId": "call",
        "userA": "ann",
        "userB": "bob",
        "startTime": (now - DAY).isoformat(),
        "duration": 12.5,
        "roomName": "blue",
    }
    called = {"pointsLeft": 5, "lastSessionTimestamp": (now - DAY).isoformat()}
    first: dict[str, list[Record]] = {
        "Users": [{"userId": "ann"}, {"userId": "bob", **called}],
        "Sessions": [call],
    }
    assert run(scene, "oneonone", lines(small, first), tmp_path / "work").is_clean
    scene.store.callers.update("bob", time_zone="Europe/Rome")
    second = {
        "Users": [{"userId": "ann", **called}, {"userId": "bob", **called, "pointsLeft": 1}],
        "Sessions": [{**call, "roomName": "red"}],
    }
    with migration(scene, "oneonone", lines(small, second), tmp_path / "work") as moved:
        report = moved.run(again=True)
        assert fates(moved) == ({("Sessions", "call")}, set())
    ((table, reason, number),) = report.reasons
    assert (table, number) == ("Sessions", 1)
    assert reason == "is stored here already, otherwise: room_name differs"
    assert not report.differences
    assert scene.store.callers.get("ann").last_call_at == now - DAY
    assert scene.store.callers.get("bob").time_zone == "Europe/Rome"
    assert scene.store.calls.get("call").room_name == "blue"


def test_what_did_not_change_since_is_not_read(scene: Scene, small: Path, tmp_path: Path) -> None:
    sources = lines(small, {"Users": [user(1), user(2, updated_at="2024-06-01T00:00:00Z")]})
    since = scene.clock().replace(year=2024, month=3)
    with migration(scene, "acs", sources, tmp_path / "work", changed_since=since) as moved:
        (report, *_) = moved.run().tables
    assert (report.records, report.verified) == (1, 1)


def test_what_is_gone_from_the_source_is_reported(
    scene: Scene, small: Path, tmp_path: Path
) -> None:
    """It stays in the store. A record that was not read, because it is old, is not gone."""
    run(scene, "acs", lines(small, {"Users": [user(1), user(2), user(3)]}), tmp_path / "work")
    since = scene.clock().replace(year=2024, month=3)
    for options in ({}, {"changed_since": since}):
        sources = lines(small, {"Users": [user(1), user(3)]})
        with migration(scene, "acs", sources, tmp_path / "work", **options) as moved:
            (report, *_) = moved.run(again=True).tables
        assert (report.records, report.verified, report.gone) == (3, 3, 1)
    with migration(scene, "acs", {}, tmp_path / "work") as moved:
        assert moved.run(again=True).tables[0].gone == 0
    assert scene.store.users.get("u-2").email == "u2@example.com"


def test_a_conversation_that_grew_gets_its_new_messages(
    scene: Scene, small: Path, tmp_path: Path
) -> None:
    """In their order, and once; a message that was appended here in between stays."""
    old = old_tables("cgchat", 4, scene.clock())
    record = old.tables["cg-chatbot-conversations"][0]
    grown = [*record["messages"], {**record["messages"][0], "content": "one more"}]
    for messages in (record["messages"], grown):
        sources = lines(small, {"cg-chatbot-conversations": [{**record, "messages": messages}]})
        with migration(scene, "cgchat", sources, tmp_path / "work") as moved:
            assert moved.run(again=True).is_clean
    said = scene.store.messages.list(str(record["conversation_id"]), page_size=50).items
    assert [each.content for each in said] == [each["content"] for each in grown]


def test_a_difference_is_found(scene: Scene, small: Path, tmp_path: Path) -> None:
    """What is stored otherwise than planned is listed, without the values."""
    run(scene, "acs", lines(small, {"Users": [user(1), user(2)]}), tmp_path / "work")
    item = next(i for i in scene.items() if i["SK"]["S"].startswith("USER"))
    scene.put({**item, "name": {"S": "tampered"}})
    report = run(scene, "acs", {}, tmp_path / "work")
    assert report.differences == (("users", "u-1", ("user 'u-1': name differs",)),)
    assert not report.is_clean


def test_a_work_folder_is_of_one_document(scene: Scene, tmp_path: Path) -> None:
    run(scene, "acs", {}, tmp_path)
    with pytest.raises(InvalidArgument, match="belongs to 'acs'"):
        migration(scene, "cgchat", {}, tmp_path)
    assert (tmp_path / "work.sqlite").stat().st_mode & 0o077 == 0


def test_unknown_names_are_refused(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="must be one of acs"):
        migration(scene, "nothing", {}, tmp_path)
    with pytest.raises(InvalidArgument, match="'Nope' is none of its tables: Users"):
        migration(scene, "acs", lines(tmp_path, {"Nope": []}), tmp_path)
    with pytest.raises(InvalidArgument, match="workers"):
        MigrationOptions(workers=0)
    with pytest.raises(InvalidArgument, match="changed_since"):
        MigrationOptions(changed_since=scene.clock().replace(tzinfo=None))
