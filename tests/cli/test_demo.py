"""``dynamo-chat demo``: one conversation; and, with ``--full``, the records of every domain."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.catalogue import catalogue
from dynamo_chat.cli import walk
from dynamo_chat.cli.demo import DEFAULT_TABLE
from dynamo_chat.core.bearer import new_secret
from dynamo_chat.importing.sample_records import sample
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.operations.atlas import collecting
from dynamo_chat.testing import EmbeddedEngine

Run = Callable[..., Any]
DOMAINS = ["chat", "identity", "orgs", "mail", "limits", "telemetry", "calls"]
PATTERNS_OF = {each: f"Every pattern of the {each} domain, and what it costs" for each in DOMAINS}
SECTIONS = [
    "The table",
    "Loading",
    "What is in the table",
    "Read back in the original form",
    *PATTERNS_OF.values(),
]
WALKED = "demo-walked"
WIDTHS = (200, 80)

PARTS = ["load", "page", "retry", "race", "delete", "expiry"]


@pytest.mark.once
def test_one_conversation_from_its_first_message_to_its_end(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two screens of 80 columns; what is claimed is what happened."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("demo").stdout.splitlines()
    assert len(lines) <= 90
    assert max(map(len, lines)) <= 80
    headlines = [line.rstrip(" ─").partition(":")[0] for line in lines if line.endswith("──")]
    assert headlines == [*PARTS[:4], "The conversation in the table", *PARTS[4:]]
    text = " ".join(" ".join(lines).split())
    assert text.count("one is there") == 2
    assert "both are kept: 21 messages before, 23 after" in text
    assert "one saved, the other one got StateConflict" in text
    assert "NotFound: a late worker cannot bring it back" in text
    assert "NotFound, at the exact second" in text
    assert "Next: " in text


@pytest.mark.once
def test_the_steps_are_told_as_json_and_leave_nothing(run: Run, engine: EmbeddedEngine) -> None:
    client, where = engine.client(), ("--table", DEFAULT_TABLE, "--region", engine.region)
    steps = json.loads(run("demo", "--json", *where).stdout)
    assert list(dict.fromkeys(step["part"] for step in steps)) == PARTS
    assert all(step["requests"] >= 1 and step["wcu"] + step["rcu"] > 0 for step in steps)
    _, turn, more = steps[:3]
    assert (turn["requests"], turn["wcu"]) == (1, 9)
    assert (more["requests"], more["wcu"]) == (9, 81)
    assert DEFAULT_TABLE not in client.list_tables()["TableNames"]
    engine.store(DEFAULT_TABLE).conversations.create("ann")
    before = client.scan(TableName=DEFAULT_TABLE)["Items"]
    assert run("demo", *where).exit_code == 0
    assert client.scan(TableName=DEFAULT_TABLE)["Items"] == before


@pytest.mark.once
def test_the_atlas_has_the_loaded_records(
    run: Run, engine: EmbeddedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the patterns, which are measured elsewhere."""
    engine.store(DEFAULT_TABLE)

    def drawn(*, load: Any, progress: Any) -> Any:
        def factory(table_name: str | None = None, **options: Any) -> ChatStore:
            return ChatStore(table_name or DEFAULT_TABLE, region=engine.region, **options)

        return collecting.collect(factory, entries=[], items=load(factory))

    monkeypatch.setattr(collecting, "collect_embedded", drawn)
    file = tmp_path / "atlas.html"
    assert run("demo", "--html", str(file), "-d", "chat").exit_code == 0
    text = file.read_text("utf-8")
    assert "CONV#550e8400-e29b-41d4-a716-446655440000#" in text
    assert run("demo", "--html", str(file), "-d", "chat").exit_code == 2
    assert run("demo", "--html", str(file), "--full", "--force").exit_code == 2
    assert file.read_text("utf-8") == text


def test_the_short_demo_takes_no_option_of_the_long_one(run: Run) -> None:
    assert run("demo", "--full", "--json").exit_code == 2


def section(output: str, title: str) -> str:
    """What stands under a headline of the demo."""
    _, _, rest = output.partition(f"{title} ─")
    for following in SECTIONS:
        rest = rest.partition(f"{following} ─")[0]
    return rest


@dataclass(frozen=True)
class Walk:
    """What `demo --full` printed, and what its table then had."""

    text: str
    items: list[Any]


@pytest.fixture(scope="module")
def kept() -> Iterator[list[Walk]]:
    """Where `walks` keeps them. The engine keeps their table for as long."""
    with EmbeddedEngine() as engine:
        made: list[Walk] = []
        yield made
        if made:
            engine.client().delete_table(TableName=WALKED)


@pytest.fixture
def walks(
    run: Run, engine: EmbeddedEngine, kept: list[Walk], monkeypatch: pytest.MonkeyPatch
) -> list[Walk]:
    """The whole walk, and again on the same table and a narrow terminal: once for all tests."""
    for columns in WIDTHS[len(kept) :]:
        with monkeypatch.context() as patch:
            patch.setenv("COLUMNS", str(columns))
            result = run("demo", "--full", "--table", WALKED, "--region", engine.region)
        assert result.exit_code == 0
        kept.append(Walk(result.stdout, engine.client().scan(TableName=WALKED)["Items"]))
    return kept


@pytest.fixture
def shown(walks: list[Walk]) -> str:
    """What the whole walk prints."""
    return walks[0].text


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each domain, one method is called: the tests of the whole walk look at all of them."""
    entries = walk._entries
    monkeypatch.setattr(walk, "_entries", lambda domain: entries(domain)[:1])


@pytest.mark.once
def test_it_goes_from_an_empty_table_to_what_each_pattern_costs(shown: str) -> None:
    assert "created, with GSI1, GSI2 and TTL" in section(shown, "The table")
    loading = section(shown, "Loading")
    for title in ("4K Renders Search", "Test Conversation", "Resetting a forgotten password"):
        assert title in loading
    assert "support: made here: the document gives no record" in loading
    assert '"trini_response" of "user_query|trini_response"' in loading
    assert "moved by" in loading


@pytest.mark.once
def test_the_table_is_shown_by_item_collection(shown: str) -> None:
    table, _, indexes = section(shown, "What is in the table").partition("by GSI1PK")
    assert "CONV#550e8400-e29b-41d4-a716-446655440000#" in table
    assert "user: Show me 4K renders" in table
    assert "→ get_file_details()" in table
    for partition in ("USER#demo#", "FEEDBACK#negative#2#", "REVIEWS#1#", "CATEGORY#positive#"):
        assert partition in indexes


@pytest.mark.once
def test_every_record_is_read_out_as_it_was_loaded(shown: str) -> None:
    read_out = section(shown, "Read back in the original form")
    assert read_out.count("the same as what was loaded") == 4
    assert '"title": "Test Conversation"' in read_out


@pytest.mark.once
def test_every_method_of_a_domain_is_called(shown: str) -> None:
    called = {each: section(shown, PATTERNS_OF[each]) for each in DOMAINS}
    for entry in catalogue():
        if entry.domain == "workflows":
            assert any(f" {entry.method} " in each for each in called.values()), entry.method
        elif entry.domain != "provision":
            assert f" {entry.method} " in called[entry.domain], entry.method


@pytest.mark.once
def test_every_pattern_of_chat_is_shown(shown: str) -> None:
    """All that there are, also the one that has no method of its own."""
    patterns = section(shown, PATTERNS_OF["chat"])
    told = {line.split()[0] for line in patterns.splitlines() if line.startswith("C")}
    ids = {entry.id for entry in catalogue() if entry.domain == "chat"}
    assert told == ids | {f"C{number}" for number in range(1, 20)}


@pytest.mark.once
def test_each_document_is_loaded_and_said_how(shown: str) -> None:
    loading = section(shown, "Loading")
    lines = [line.split()[:3] for line in loading.splitlines()]
    for table in sample("acs").records:
        assert [line[2] for line in lines if line[:2] == ["acs", table]], table
    assert loading.count("oneonone  ") == 3
    assert "acs: Users.status: " in loading
    assert "acs: Threads.message_count, participants, subject: " in loading
    assert "acs: moved by" in loading
    assert "oneonone: made here" in loading


@pytest.mark.once
def test_the_documents_other_than_chats_are_in_the_table_view(shown: str) -> None:
    table, _, indexes = section(shown, "What is in the table").partition("by GSI1PK")
    for partition in (
        *("USER#user-uuid#", "ADDRESS#user@example.com#", "ORG#org-uuid#", "TOKEN#", "LOGIN#"),
        *("MAIL#conv-uuid#", "MESSAGEID#account-uuid#", "LIMIT#account-uuid#"),
        *("REPORT#report-uuid#", "INVOCATION#invocation-uuid#", "QUEUE#main#", "CALL#call-1#"),
    ):
        assert f"\n{partition}" in table, partition
    for partition in ("ACCOUNT#account-uuid#", "MAILBOX#account-uuid#1#", "USER#caller-1#"):
        assert f"\n{partition}" in indexes, partition


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize(
    "domain",
    [pytest.param(each, marks=() if each == "limits" else pytest.mark.once) for each in DOMAINS],
)
def test_it_can_be_narrowed_to_a_domain(run: Run, domain: str) -> None:
    result = run("demo", "--domain", domain)
    assert result.exit_code == 0
    assert [each for each in DOMAINS if PATTERNS_OF[each] in result.stdout] == [domain]
    legend = section(result.stdout, "What is in the table").partition("Read back")[0]
    named = [each for each in KEY_SPACE.domains if f"\n{each}: " in legend]
    assert named == [domain]


@pytest.mark.once
def test_several_domains_can_be_named(run: Run) -> None:
    result = run("demo", "-d", "limits", "-d", "chat", "--file", "/dev/null")
    assert result.exit_code == 1  # an empty file, but not a wrong use
    assert run("demo", "-d", "limits", "--file", "/dev/null").exit_code == 2


@pytest.mark.once
def test_no_secret_is_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither those of the documents nor those that are made."""
    made: list[str] = []

    def told() -> str:
        made.append(new_secret())
        return made[-1]

    monkeypatch.setattr("dynamo_chat.core.bearer.new_secret", told)
    output = "".join(run("demo", "-d", "identity", "-d", "orgs").stdout.split())
    assert len(made) > 5
    for secret in (*made, "secure-token", "session-uuid"):
        assert secret not in output


@pytest.mark.once
def test_the_table_keeps_only_what_was_loaded(
    run: Run, engine: EmbeddedEngine, walks: list[Walk]
) -> None:
    """Loading again changes nothing either: the second run ends with the same items."""
    first, second = walks
    told = " ".join(second.text.split())
    assert "exists already" in told
    assert told.count("the same as what was loaded") == 4
    assert second.items == first.items
    # Real records of every domain, and nothing wrong with any of them.
    examined = run("doctor", "--table", WALKED, "--region", engine.region, "--settle", "0")
    assert examined.exit_code == 0, examined.stdout
    assert f"{len(first.items)} items read" in examined.stdout


@pytest.mark.once
@pytest.mark.usefixtures("brief")
def test_what_was_changed_since_is_told(run: Run, engine: EmbeddedEngine) -> None:
    where = ("--domain", "chat", "--table", DEFAULT_TABLE, "--region", engine.region)
    run("demo", "--full", *where)
    store = engine.store(DEFAULT_TABLE)
    store.conversations.rename("550e8400-e29b-41d4-a716-446655440000", "Another title")
    result = run("demo", "--full", *where)
    assert result.stdout.count("the same as what was loaded") == 3
    assert result.stdout.count("it was changed since") == 1


CONVERSATION = {
    "id": "c-1",
    "user": "ann",
    "messages": [
        {"role": "user", "content": "Which files are 8K?"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "t-1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "t-1", "content": '{"files": []}'},
        {"role": "assistant", "content": "None of them."},
    ],
    "model": "m-1",
}


def written(folder: Path, *lines: Any) -> str:
    path = folder / "conversations.jsonl"
    texts = [each if isinstance(each, str) else json.dumps(each) for each in lines]
    path.write_text("\n".join(texts))
    return str(path)


@pytest.mark.once
@pytest.mark.usefixtures("brief")
def test_a_file_is_loaded_beside_the_samples(run: Run, tmp_path: Path) -> None:
    result = run("demo", "--domain", "chat", "--file", written(tmp_path, CONVERSATION))
    assert result.exit_code == 0
    loading = section(result.stdout, "Loading")
    assert "conversations.jsonl:1" in loading
    assert "4K Renders Search" in loading
    assert "user: Which files are 8K?" in section(result.stdout, "What is in the table")


@pytest.mark.once
@pytest.mark.usefixtures("brief")
def test_a_file_is_loaded_alone(run: Run, tmp_path: Path) -> None:
    result = run("demo", "--file", written(tmp_path, CONVERSATION), "--no-samples")
    assert result.exit_code == 0
    assert "4K Renders Search" not in result.stdout
    table = section(result.stdout, "What is in the table")
    assert "assistant: → find()" in table
    assert "revision 1: model" in table
    assert "tool:" not in table


@pytest.mark.once
@pytest.mark.usefixtures("brief")
def test_many_conversations_are_shown_in_part(run: Run, tmp_path: Path) -> None:
    lines = [{**CONVERSATION, "id": f"c-{n}"} for n in range(12)]
    result = run("demo", "--file", written(tmp_path, *lines), "--no-samples")
    assert "… and 4 more conversations" in result.stdout


@pytest.mark.once
@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([CONVERSATION, "{"], "error: conversations.jsonl, line 2: line: is not JSON"),
        (
            [CONVERSATION, {**CONVERSATION, "user": "bob"}],
            "error: conversations.jsonl, line 2: conversation id 'c-1' is taken",
        ),
        (
            [{**CONVERSATION, "title": "x" * 201}],
            "error: conversations.jsonl, line 1: title: ",
        ),
        ([], "error: conversations.jsonl: has no conversation"),
    ],
)
def test_a_bad_file_is_one_clear_line(
    run: Run, tmp_path: Path, lines: list[Any], complaint: str
) -> None:
    result = run("demo", "--file", written(tmp_path, *lines))
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(complaint)


def test_nothing_is_loaded_from_a_file_with_a_bad_line(
    run: Run, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    where = ("--table", DEFAULT_TABLE, "--region", engine.region)
    run("demo", *where, "--no-samples", "--file", written(tmp_path, CONVERSATION, "{"))
    assert engine.client().scan(TableName=DEFAULT_TABLE)["Items"] == []


def test_something_must_be_loaded(run: Run, tmp_path: Path) -> None:
    assert run("demo", "--no-samples").exit_code == 2
    assert run("demo", "--file", str(tmp_path / "missing.jsonl")).exit_code == 2


@pytest.mark.once
@pytest.mark.parametrize("columns", WIDTHS)
def test_nothing_is_lost_on_a_narrow_terminal(walks: list[Walk], columns: int) -> None:
    """Keys are folded, never cut; methods and numbers keep their columns."""
    lines = walks[WIDTHS.index(columns)].text.splitlines()
    assert max(map(len, lines)) <= columns
    headers = [line for line in lines if line.split()[:3] == ["id", "method", "result"]]
    assert len(headers) == len(DOMAINS)
    for header in headers:
        assert header.split()[3:6] == ["requests", "WCU", "RCU"]
    assert any("reviews.list_by_conversation " in line for line in lines)
    keys = "".join(line.strip() for line in lines)
    assert "…#" not in keys
    assert "CONV#550e8400-e29b-41d4-a716-446655440000#" in keys


# -- what others wrote ----------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.usefixtures("brief")
def test_titles_and_ids_are_data(run: Run, tmp_path: Path) -> None:
    """Everywhere in the demo: what is loaded, and the table."""
    evil = "[link=https://evil.example]x[/link][/b]\x1b]0;owned\x07\u202egpj :smile:"
    line = {
        "id": f"talk-{evil}",
        "user": f"ann-{evil}",
        "title": evil,
        "messages": [{"role": "user", "content": evil}, {"role": "assistant", "content": evil}],
    }
    result = run("demo", "-d", "chat", "--file", written(tmp_path, line), "--no-samples")
    assert result.exit_code == 0, result.stderr
    assert r"[link=https://evil.example]x[/link][/b]\x1b]0;owned\x07\u" in result.stdout
    assert r"\u202egpj" in result.stdout
    assert ":smile:" in result.stdout
    for sent in "\x1b\x07\u202e":
        assert sent not in result.stdout + result.stderr


@pytest.mark.once
@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("name", ["[link=x].jsonl", "a\x1b[2Jb\nc.jsonl", "\u202elnosj.jsonl"])
def test_names_of_files_are_data(run: Run, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(json.dumps(CONVERSATION), "utf-8")
    assert run("demo", "-d", "chat", "--file", str(file), "--no-samples").exit_code == 0
    file.write_text("{", "utf-8")
    result = run("demo", "-d", "chat", "--file", str(file), "--no-samples")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.isprintable()
    file.unlink()
    result = run("demo", "--file", str(file))
    assert result.exit_code == 2
    assert not any(sent in result.stderr for sent in "\x1b\u202e")
