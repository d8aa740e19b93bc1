"""The documentation tells the truth: its programs run, its generated pictures are current."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tooling import key_chart

ROOT = Path(__file__).parents[1]


def programs(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(("page", "number"), [("quickstart", 0), ("testing", 1)])
def test_programs_run_as_they_stand(
    page: str, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """They print what their comments promise."""
    program = programs(f"docs/guide/{page}.md")[number]
    promised = re.findall(r"print\(.*\)\s+# (.+)", program)
    assert promised
    exec(compile(program, page, "exec"), {})  # noqa: S102 - the page is ours
    assert capsys.readouterr().out.splitlines() == promised


def test_every_program_of_the_guide_compiles() -> None:
    pages = [*sorted((ROOT / "docs" / "guide").glob("*.md")), ROOT / "README.md"]
    for page in pages:
        for number, program in enumerate(programs(str(page.relative_to(ROOT)))):
            compile(program, f"{page.name}#{number}", "exec")


def test_the_request_hook_of_the_guide_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The logging hook that the guide shows writes one line for each request."""
    from dynamo_chat.testing import EmbeddedEngine

    program = programs("docs/guide/observing.md")[0].split("store = ")[0]
    names: dict[str, object] = {}
    exec(compile(program, "observing", "exec"), names)  # noqa: S102 - the page is ours
    with EmbeddedEngine() as engine, caplog.at_level("INFO", "chat.dynamodb"):
        store = engine.store("observed", on_request=names["told"])
        caplog.clear()
        store.conversations.create("user-1")
    assert [record.getMessage().split()[:2] for record in caplog.records] == [["C1", "PutItem"]]


def test_the_key_chart_is_current() -> None:
    """The picture in the README is what the key space draws today."""
    assert key_chart.CHART.read_text(encoding="utf-8") == key_chart.draw()


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_what_the_readme_says_it_costs_is_what_it_costs() -> None:
    """Its table, row by row, measured on messages of 1,000 characters."""
    from dynamo_chat import Feedback, NewMessage
    from dynamo_chat.testing import EmbeddedEngine, RequestMeter

    said = NewMessage(role="user", content="x y" * 333 + "z")
    with EmbeddedEngine() as engine:
        store = engine.store("costs")
        talks = [
            store.conversations.create("user-1", title=f"{number:040d}").conversation_id
            for number in range(20)
        ]
        for _ in range(25):
            rated = store.messages.append(talks[0], said)
        calls: dict[str, Callable[[], object]] = {
            "append a message": lambda: store.messages.append(talks[0], said),
            "append a turn of two": lambda: store.messages.append_turn(talks[0], [said, said]),
            "latest 20 messages and their conversation": lambda: store.messages.open(talks[0], 20),
            "a page of 20 conversations, by creation or by activity": lambda: (
                store.conversations.list_by_activity("user-1", page_size=20)
            ),
            "give feedback": lambda: store.messages.give_feedback(
                talks[0], rated.message_id, Feedback(type="positive")
            ),
        }
        measured = {}
        for what, call in calls.items():
            with RequestMeter(store.connection.client) as meter:
                call()
            units = f"{meter.wcu:g} WCU" if meter.wcu else f"{meter.rcu:g} RCU"
            measured[what] = (str(meter.count), units)
    table = re.findall(
        r"^\| (.+?) \| (\d+) \| ([\d.]+ [RW]CU) \|$",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert {what: (requests, units) for what, requests, units in table} == measured
