"""``dynamo-chat export-user`` and ``erase-user``."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamo_chat import NewMessage
from dynamo_chat.chat.message import ToolCall
from dynamo_chat.core.errors import InvalidArgument, ServiceError
from dynamo_chat.operations.mentions import find_mentions
from dynamo_chat.testing import EmbeddedEngine
from dynamo_chat.workflows.person_records import read_record
from tests.cli.conftest import Run
from tests.scene import Scene
from tests.telemetry.samples import new_invocation


@pytest.fixture
def scene(engine: EmbeddedEngine) -> Iterator[Scene]:
    """A table with two persons, at the real time."""
    with Scene(engine) as made:
        store = made.new_store()
        for name in ("ann", "bob"):
            store.users.create(f"{name}@example.org", user_id=name)
            store.conversations.create(name, conversation_id=f"talk-{name}", title="Films")
            store.messages.append(f"talk-{name}", NewMessage(role="user", content="Hi"))
        store.organizations.create("Fans of Ann", "bob", organization_id="org")
        store.members.add("org", "ann")
        store.invocations.record(new_invocation(account_id="a-1"))
        yield made


@pytest.fixture
def where(scene: Scene) -> tuple[str, ...]:
    return "--table", scene.table, "--region", scene.engine.region


def test_an_export(run: Run, scene: Scene, where: tuple[str, ...], tmp_path: Path) -> None:
    """The same lines on the output and in a file, which only its owner can read."""
    before = scene.items()
    result = run("export-user", "ann", "--account", "a-1", *where)
    assert result.exit_code == 0
    records = [read_record(line) for line in result.stdout.splitlines()]
    kinds = sorted(each.kind for each in records)
    assert kinds == ["conversation", "invocation", "member", "message", "user"]
    file = tmp_path / "ann.jsonl"
    file.write_text("something older, and longer than the export\n" * 1_000)
    command = ("export-user", "ann", "--account", "a-1", "--file", str(file), *where)
    assert run(*command).exit_code == 2
    assert file.read_text("utf-8").startswith("something older")
    assert run(*command, "--force").exit_code == 0
    assert file.read_text("utf-8") == result.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert scene.items() == before


def test_what_is_damaged_is_named(run: Run, scene: Scene, where: tuple[str, ...]) -> None:
    """The export has the rest; the receipt says what stays."""
    heads = (item for item in scene.items() if item["kind"]["S"] == "conversation")
    head = next(item for item in heads if item["PK"]["S"] == "CONV#talk-ann#")
    scene.put(head | {"user_id": {"BOOL": True}})
    result = run("export-user", "ann", *where)
    assert result.exit_code == 1
    assert "Left out: a stored conversation cannot be read" in result.stderr
    assert [read_record(line).kind for line in result.stdout.splitlines()] == ["user", "member"]
    told = run("erase-user", "ann", "--dry-run", *where)
    assert "PK CONV#talk-ann#, SK CONV# (user_id: missing or not text)" in told.stdout


def test_the_schema_of_a_line(run: Run, where: tuple[str, ...]) -> None:
    schema = json.loads(run("export-user", "--schema", *where).stdout)
    assert "message" in schema["$defs"]
    assert run("export-user", *where).exit_code == 2


def test_a_dry_run_and_no_answer_change_nothing(
    run: Run, scene: Scene, where: tuple[str, ...], tmp_path: Path
) -> None:
    before = scene.items()
    receipt = tmp_path / "receipt.json"
    result = run("erase-user", "ann", "--dry-run", "--receipt", str(receipt), *where)
    assert result.exit_code == 0
    assert "would be erased" in result.stdout
    assert "organization organization_id org" in result.stdout
    told = json.loads(run("erase-user", "ann", "--dry-run", "--json", *where).stdout)
    assert told["erased"] == {"conversation": 1, "member": 1, "message": 1, "user": 1}
    asked = run("erase-user", "ann", *where)
    assert asked.exit_code == 1
    assert "nothing was changed: add --yes to erase" in asked.stderr
    assert scene.items() == before
    assert not receipt.exists()


def test_an_erasure(run: Run, scene: Scene, where: tuple[str, ...], tmp_path: Path) -> None:
    """Its receipt is shown and written; nothing of the other person goes."""
    receipt = tmp_path / "ann.json"
    options = ("--yes", "--settle", "0", "--account", "a-1", "--receipt", str(receipt))
    result = run("erase-user", "ann", *options, "--json", *where)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(receipt.read_text("utf-8"))
    assert json.loads(result.stdout)["erased"]["invocation"] == 1
    assert stat.S_IMODE(receipt.stat().st_mode) == 0o600
    assert not any("ann" in item["PK"]["S"] for item in scene.items())
    assert scene.kinds()["message"] == scene.kinds()["user"] == 1
    again = run("erase-user", "ann", "--yes", "--settle", "0", *where)
    assert again.exit_code == 0
    assert "There is nothing of this person." in again.stdout


def test_the_last_owner(run: Run, scene: Scene, where: tuple[str, ...]) -> None:
    refused = run("erase-user", "bob", "--yes", "--settle", "0", *where)
    assert refused.exit_code == 1
    assert "last active owner" in refused.stderr
    result = run("erase-user", "bob", "--yes", "--settle", "0", "--heir", "ann", *where)
    assert result.exit_code == 0
    assert scene.new_store().members.get("org", "ann").role == "owner"


def test_texts_of_others_are_searched(
    run: Run, scene: Scene, where: tuple[str, ...], tmp_path: Path
) -> None:
    """Tool results, reviews and long bodies; not what only begins like the person's id."""
    store = scene.new_store()
    store.users.update("ann", name="Ann Lee")
    said = [
        NewMessage(role="user", content="Who is annette?"),
        NewMessage(role="tool", content="ANN LEE lives here. " + "And so on. " * 500),
    ]
    store.messages.append_turn("talk-bob", said)
    store.messages.append("talk-bob", NewMessage(role="tool", content="Ask ann@example.org"))
    store.messages.append("talk-bob", NewMessage(role="user", content="Call Nan, too"))
    store.reviews.create("talk-bob", "bob", comments="Like (Ann)", review_id="r-1")
    before = scene.items()
    search = ("--search-name", "nan", "--rate", "0", "--json")
    result = run("erase-user", "ann", "--yes", "--settle", "0", *search, *where)
    assert result.exit_code == 0
    found = json.loads(result.stdout)["mentions"]
    messages = [each for each in found if each["kind"] == "message"]
    assert [each["fields"] for each in messages] == [["content"]] * 3
    assert {each["identity"]["conversation_id"] for each in messages} == {"talk-bob"}
    (review,) = [each for each in found if each["kind"] == "review"]
    assert "comments" in review["fields"]
    # The organization has the name in it; without --search nothing else is known.
    assert {each["kind"] for each in found} == {"message", "review", "organization"}
    scene.restore(before)
    plain = json.loads(run("erase-user", "ann", "--yes", "--settle", "0", "--json", *where).stdout)
    assert {each["kind"] for each in plain["mentions"]} == {"organization"}


def test_a_file_has_every_mention(
    run: Run,
    scene: Scene,
    where: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The receipt has the first of them and counts all: by key, of the second look, by search."""
    monkeypatch.setattr("dynamo_chat.workflows.person_records.MAX_MENTIONS", 2)
    store = scene.new_store()
    for number in range(4):
        store.messages.append("talk-bob", NewMessage(role="tool", content=f"{number} is ann"))

    def late(_: float) -> None:
        store.reviews.create("talk-bob", "ann", comments="Rude", review_id="r-1")

    monkeypatch.setattr("dynamo_chat.cli.person.time.sleep", late)
    file = tmp_path / "mentions.jsonl"
    file.write_text("something older")
    options = ("--yes", "--search", "--rate", "0", "--mentions", str(file))
    assert run("erase-user", "ann", *options, *where).exit_code == 2
    one = run("erase-user", "ann", *options, "--force", "--receipt", str(file), *where)
    assert one.exit_code == 2
    assert "--mentions: must be another file" in one.stderr
    before = scene.items()
    assert run("erase-user", "ann", *options, "--force", "--dry-run", *where).exit_code == 0
    assert [json.loads(line)["kind"] for line in file.read_text("utf-8").splitlines()] == [
        "organization"
    ]
    shown = run("erase-user", "ann", *options, "--force", *where)
    assert "and 5 more: --mentions writes all" in shown.stdout
    scene.restore(before)
    result = run("erase-user", "ann", *options, "--force", "--json", *where)
    assert result.exit_code == 0
    receipt = json.loads(result.stdout)
    mentions = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert receipt["mentions"] == mentions[:2]
    assert [each["kind"] for each in mentions[:2]] == ["organization", "review"]
    # The organization is found by its member, and by its name.
    assert receipt["mention_counts"] == {"message": 4, "organization": 2, "review": 1}
    assert len(mentions) == 7
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "said", ["Dear\nJürgen O'Neil", 'the "Jürgen O\'Neil"', "\tJürgen O'Neil\\"]
)
def test_texts_inside_of_values_are_searched(scene: Scene, said: str) -> None:
    """As they are, not as JSON would write them: at any depth, and as a name."""
    store = scene.new_store()
    call = ToolCall(tool="find", args={"found": [{"who": said}]}, result=said)
    for new in (
        NewMessage(role="assistant", content="", tool_calls=[call]),
        NewMessage(role="user", content="", metadata={said: 1}),
        NewMessage(role="user", content="", documents=[{"text": said}]),
    ):
        store.messages.append("talk-bob", new)
    words = ["jürgen o'neil"]
    found = find_mentions(store.connection, words, read_units_per_second=None)
    assert [each.fields for each in found] == [("tool_calls",), ("metadata",), ("documents",)]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("李雷", "昨天我和李雷去了电影院"),  # written without spaces
        ("田中", "田中さんに聞いた"),
        ("민수", "민수가 말했다"),  # what belongs to a name follows it without a space
        ("สมชาย", "ถามสมชายดู"),
        ("李雷 Lee", "我和李雷 Lee。"),
        ("Strauß", "Frau STRAUSS rief an"),
        ("Jose\u0301", "Jos\u00e9 was here"),
        ("Ann Lee", "\uff21\uff4e\uff4e Lee"),  # full-width letters
        ("İpek", "dear i̇pek"),
    ],
)
def test_names_are_found_in_every_script(scene: Scene, word: str, said: str) -> None:
    """However its letters are written, and whether or not there are spaces around it."""
    scene.new_store().messages.append("talk-bob", NewMessage(role="user", content=said))
    found = find_mentions(scene.new_store().connection, [word], read_units_per_second=None)
    assert [(each.kind, each.fields) for each in found] == [("message", ("content",))]


def test_a_letter_with_endless_marks_takes_no_longer(scene: Scene) -> None:
    """A name behind it is found; sorting all marks would take minutes."""
    said = "a" + "\u0315\u0300" * 60_000 + " jos\u00e9"
    scene.new_store().messages.append("talk-bob", NewMessage(role="user", content=said))
    words = ["a" + "\u0300" * 60_000, "Jose\u0301"]
    found = find_mentions(scene.new_store().connection, words, read_units_per_second=None)
    assert {each.kind for each in found} >= {"message"}


def test_what_only_begins_like_a_name_is_none(scene: Scene) -> None:
    for said in ("Anna and Hannah", "ann2", "2ann", "ann_b"):
        scene.new_store().messages.append("talk-bob", NewMessage(role="user", content=said))
    found = find_mentions(scene.new_store().connection, ["ann", "nna"], read_units_per_second=None)
    assert not [each for each in found if each.identity.get("conversation_id") == "talk-bob"]


def test_what_cannot_be_searched_for_is_refused_before_anything_is_erased(
    run: Run, scene: Scene, where: tuple[str, ...]
) -> None:
    before = scene.items()
    refused = run("erase-user", "ann", "--yes", "--settle", "0", "--search-name", "A", *where)
    assert refused.exit_code == 2
    assert "--search-name: must be" in refused.stderr
    assert scene.items() == before


def test_the_receipt_is_kept_if_the_search_fails(
    run: Run,
    scene: Scene,
    where: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ServiceError("the search was throttled")

    monkeypatch.setattr("dynamo_chat.cli.person.find_mentions", fails)
    kept = tmp_path / "receipt.json"
    options = ("--yes", "--settle", "0", "--search", "--receipt", str(kept))
    assert run("erase-user", "ann", *options, *where).exit_code == 1
    assert json.loads(kept.read_text())["erased"]["conversation"] >= 1


def test_what_is_searched_for_has_two_characters(scene: Scene) -> None:
    for words in ([], ["a"], [" "], [str(number) for number in range(10, 61)]):
        with pytest.raises(InvalidArgument, match="words"):
            find_mentions(scene.new_store().connection, words)


def test_who_gets_the_id_before_the_second_look_is_left_alone(
    run: Run, scene: Scene, where: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a late server wrote goes; a new user of the id, with all that is theirs, stays."""
    store = scene.new_store()

    def late(_: float) -> None:
        store.conversations.create("ann", conversation_id="late")

    def anew(_: float) -> None:
        store.users.create("ann@example.net", user_id="ann")
        store.conversations.create("ann", conversation_id="new")

    for happens, left in ((late, []), (anew, ["new"])):
        monkeypatch.setattr("dynamo_chat.cli.person.time.sleep", happens)
        result = run("erase-user", "ann", "--yes", *where)
        assert result.exit_code == 0
        found = [each.conversation_id for each in store.conversations.list_by_user("ann")]
        assert found == left
