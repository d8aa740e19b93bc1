"""The tables and charts of ``docs/guide/limits.md``: what one key bears, and five workloads.

What a call uses is measured on the embedded engine; what that allows, and when it is throttled, is
computed by the model of `dynamo_chat.operations.partitions`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

from dynamo_chat import ChatStore
from dynamo_chat.cases.playing import Played
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.operations.limits import KeyLimit, key_limits, legs, play_embedded
from dynamo_chat.operations.partitions import Course, Flow, Kind, Leg, simulate
from tooling.environment import ROOT

PAGE: Final = Path("docs", "guide", "limits.md")
FOLDER: Final = PAGE.parent / "limits"
KEYS: Final = "| pattern | method | key | units of a call | calls a second |"
WORKLOADS: Final = "| workload | table | what happens |"

SHARED: Final = {
    "CONV#<conversation_id>",
    "USER#<user_id>",
    "FEEDBACK#<feedback_type>#<rank>#<shard>",
    "TITLE#<title_hash>#<shard>",
    "STREAM#<shard>",
    "REVIEWS#<archived>#<shard>",
    "REVIEWER#<reviewed_by>",
    "MAIL#<conversation_id>",
    "ACCOUNT#<account_id>",
    "MAILBOX#<account_id>#<is_first_email>",
    "QUEUE#<queue>#<shard>",
    "LIVE#<shard>",
    "LLM#<account_id>#<shard>",
    "INVOCATION#<account_id>#<shard>",
    "LIMIT#<account_id>",
    "ORG#<organization_id>",
    "LOGIN#<login_id>",
}
"""Keys that many calls may share at the same time."""
METHODS: Final = {
    "messages.append": 1,
    "messages.append_turn": 1,
    "messages.latest_with_conversation": 1,
    "messages.stream": 1,
    "messages.give_feedback": 1,
    "reviews.create": 1,
    "conversations.create": 1,
    "conversations.list_by_activity": 1,
    "conversations.delete": 1,
    "emails.add": 2,
    "emails.list_by_account": 1,
    "queue.join": 1,
    "queue.match": 1,
    "calls.start": 1,
    "llm.record": 1,
    "invocations.record": 1,
    "rate_limits.count": 1,
    "callers.spend": 1,
    "logins.get": 1,
    "logins.touch": 1,
    "members.authorize": 1,
    "organizations.count_usage": 1,
    "activity.record": 1,
}
"""What the page shows: methods, and how many of their cases are measured."""
WARM: Final[Mapping[Kind, int]] = {"write": 12_000, "read": 30_000}
"""The capacity of a table that was warmed up."""


class Line(NamedTuple):
    """A line of a chart: what is done in each second."""

    label: str
    values: Sequence[int]


class Chart(NamedTuple):
    """A drawing of what is done over time."""

    name: str
    title: str
    unit: str
    lines: tuple[Line, ...]


class Finding(NamedTuple):
    """A row of the page's second table."""

    workload: str
    table: str
    what: str


def files() -> Mapping[Path, str]:
    """The page with its tables, and its charts."""
    played = measured()
    findings, charts = run(played)
    text = (ROOT / PAGE).read_text("utf-8")
    text = _with_rows(text, KEYS, key_rows(played))
    text = _with_rows(text, WORKLOADS, (" | ".join(each) for each in findings))
    drawn = {FOLDER / f"{chart.name}.svg": draw(chart) for chart in charts}
    return {PAGE: text, **drawn}


def measured() -> dict[str, Played]:
    """The calls, by method; of several cases, the last one."""
    found: dict[str, Played] = {}
    for cases in (1, 2):
        chosen = [method for method, number in METHODS.items() if number == cases]
        for played in play_embedded(chosen, ChatStore, cases=cases):
            found[played.entry.method] = played
    return {method: found[method] for method in METHODS}


def key_rows(played: Mapping[str, Played]) -> Iterator[str]:
    """A row for each method and key that calls share."""
    for each in played.values():
        limits = [limit for limit in key_limits(each, KEY_SPACE) if limit.key in SHARED]
        for limit in sorted(limits, key=lambda limit: limit.calls):
            yield " | ".join(
                (limit.pattern, f"`{limit.method}`", _key(limit), _units(limit), f"{limit.calls:,}")
            )


def run(played: Mapping[str, Played]) -> tuple[list[Finding], list[Chart]]:
    """The five workloads: what happens, and their charts."""
    made = [_viral(played), _mail(played), _sidebars(played), _queue(played), _erase(played)]
    findings = [finding for found, _ in made for finding in found]
    return findings, [chart for _, charts in made for chart in charts]


Workload = tuple[list[Finding], list[Chart]]


def _viral(played: Mapping[str, Played]) -> Workload:
    """600 appends and 8,000 reads a second of one conversation."""
    hot = {"CONV#<conversation_id>": 1, "USER#<user_id>": 1}
    appends = _legs(played["messages.append"], hot)
    reads = _legs(played["messages.latest_with_conversation"], hot)
    courses = simulate([Flow("append", appends, 600), Flow("read", reads, 8_000)], 900).courses
    found = [
        Finding(what, "new, on demand", f"{_phases(courses[name])}; {_where(courses[name])}")
        for name, what in (
            ("append", "one conversation: 600 appends a second"),
            ("read", "the same one: its latest 20 messages, 8,000 times a second"),
        )
    ]
    line = Line("600 appends a second are tried", courses["append"].done)
    return found, [Chart("viral", "One conversation: appends done", "calls a second", (line,))]


def _mail(played: Mapping[str, Played]) -> Workload:
    """10,000 e-mails an hour of one account, and the most that it could have."""
    hot = {"ACCOUNT#<account_id>": 1, "MAILBOX#<account_id>#<is_first_email>": 1}
    adding = _legs(played["emails.add"], hot)
    course = simulate([Flow("add", adding, 3)], 3_600).courses["add"]
    most = highest(adding)
    return [
        Finding("an account's 10,000 e-mails an hour", "new, on demand", _refusals(course)),
        Finding(
            "the most that one account takes",
            "new, on demand",
            f"{most:,} e-mails a second, {most * 3_600:,} an hour",
        ),
    ], []


def _sidebars(played: Mapping[str, Played]) -> Workload:
    """A million users open their list within a minute."""
    reading = _legs(played["conversations.list_by_activity"], {})
    found, lines = [], []
    for table, provisioned in (("new, on demand", None), ("warm", WARM)):
        flow = Flow("list", reading, 16_667, until=60, is_retried=True)
        course = simulate([flow], 180, provisioned).courses["list"]
        what = f"{_over(course)}; {_where(course)}"
        found.append(Finding("1,000,000 users' lists within a minute", table, what))
        lines.append(Line(table, course.done))
    chart = Chart("sidebars", "A million lists: calls done", "calls a second", tuple(lines))
    return found, [chart]


def _queue(played: Mapping[str, Played]) -> Workload:
    """100,000 callers join a queue within a minute."""
    found, lines = [], []
    for shards in (1, 2, 4):
        joining = _legs(played["queue.join"], {"QUEUE#<queue>#<shard>": shards})
        flow = Flow("join", joining, 1_667, until=60, is_retried=True)
        course = simulate([flow], 240, WARM).courses["join"]
        label = f"{shards} shard{'s' * (shards > 1)}"
        what = f"{_over(course)}; {_where(course)}"
        found.append(Finding(f"100,000 callers join within a minute, {label}", "warm", what))
        lines.append(Line(label, course.done))
    return found, [Chart("queue", "Joining a queue: calls done", "calls a second", tuple(lines))]


def _erase(played: Mapping[str, Played]) -> Workload:
    """200,000 conversations are deleted at night, while 300 messages a second are appended."""
    deleting = _legs(played["conversations.delete"], {"TITLE#<title_hash>#<shard>": 4})
    chat = Flow("append", _legs(played["messages.append"], {}), 300)
    found, lines = [], []
    for label, at_once in (("as fast as it goes", 1_000), ("100 a second", 100)):
        erase = Flow("erase", deleting, 200_000, until=1, is_retried=True, at_once=at_once)
        courses = simulate([chat, erase], 2_400).courses
        over, refused = courses["erase"].over_after, _refusals(courses["append"])
        what = f"done after {over:,} s; of the appends, {refused}"
        load = f"200,000 deletions, {label}, and 300 appends a second"
        found.append(Finding(load, "new, on demand", what))
        lines.append(Line(f"appends, deleting {label}", courses["append"].done))
    return found, [Chart("erase", "Appends during deletions", "calls a second", tuple(lines))]


def highest(used: tuple[Leg, ...]) -> int:
    """The most calls a second of which none is refused on a new table."""
    low, high = 0, 10_000
    while low < high:
        middle = (low + high + 1) // 2
        refused = simulate([Flow("calls", used, middle)], 1).courses["calls"].refused
        low, high = (low, middle - 1) if refused else (middle, high)
    return low


def _legs(played: Played, hot: Mapping[str, int]) -> tuple[Leg, ...]:
    return legs(played, hot, KEY_SPACE)


# -- words --------------------------------------------------------------------------------------


def _key(limit: KeyLimit) -> str:
    return f"`{limit.key}`" + ("" if limit.place == "table" else f" of {limit.place}")


def _units(limit: KeyLimit) -> str:
    return f"{limit.units:g} {'WCU' if limit.kind == 'write' else 'RCU'}"


def _phases(course: Course) -> str:
    """How many are done in a second, and from when on it is another number."""
    told = [f"{course.done[0]:,} a second"]
    changes = [second for second in range(1, len(course.done)) if _differs(course, second)]
    told += [f"from second {second:,} on {course.done[second]:,}" for second in changes]
    return ", ".join(told)


def _differs(course: Course, second: int) -> bool:
    return course.done[second] != course.done[second - 1]


def _over(course: Course) -> str:
    return f"all done after {course.over_after:,} s"


def _refusals(course: Course) -> str:
    if not course.refused:
        return "none refused"
    return f"{course.refused * 100 // sum(course.offered)} % refused"


def _where(course: Course) -> str:
    """What refused the most calls."""
    if not course.causes:
        return "nothing throttles"
    (place, kind, reason), _ = max(course.causes.items(), key=lambda each: (each[1], each[0]))
    what = "a partition of" if reason == "partition" else "the capacity of"
    return f"{what} {'the table' if place == 'table' else place} throttles {kind}s"


def _with_rows(text: str, header: str, rows: Iterator[str] | Sequence[str]) -> str:
    """The text with other rows in the table that has this header."""
    pattern = re.compile(re.escape(header) + r"\n(\|[-|]+\|)\n(?:\|.*\n)*")
    if not pattern.search(text):
        raise ValueError(f"{PAGE} has no table with the header {header}")
    body = "".join(f"| {row} |\n" for row in rows)
    return pattern.sub(lambda found: f"{header}\n{found[1]}\n{body}", text)


# -- charts -------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 280, 60, 54, 34
COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2")


def draw(chart: Chart) -> str:
    """The chart as an SVG document."""
    seconds = max(len(line.values) for line in chart.lines)
    most = max(max(line.values) for line in chart.lines)
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    font = 'font-family="system-ui, sans-serif" font-size="12"'
    told = "; ".join(f"{line.label}: {line.values[0]:,} at first" for line in chart.lines)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {HEIGHT}" {font}>',
        f"<title>{escape(chart.title)}</title>",
        f"<desc>{escape(told)}</desc>",
        f'<rect {size} fill="#ffffff"/>',
        _text(LEFT, 18, f"{chart.title}, {chart.unit}", weight="bold"),
    ]
    for part in range(5):
        value = most * part // 4
        y = _y(value, most)
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - 10}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{value:,}", anchor="end"))
        second = seconds * part // 4
        parts.append(_text(_x(second, seconds), HEIGHT - 12, f"{second:,} s", anchor="middle"))
    for number, line in enumerate(chart.lines):
        colour = COLOURS[number]
        points = "".join(_steps(line.values, seconds, most))
        parts.append(f'<path d="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        left = LEFT + (WIDTH - LEFT) * number // len(chart.lines)
        parts.append(_text(left, 40, f"– {line.label}", colour))
    return "\n".join([*parts, "</svg>", ""])


def _steps(values: Sequence[int], seconds: int, most: int) -> Iterator[str]:
    yield f"M{LEFT} {_y(values[0], most)}"
    for second in range(1, len(values)):
        if values[second] != values[second - 1]:
            yield f"H{_x(second, seconds)}V{_y(values[second], most)}"
    yield f"H{_x(len(values), seconds)}"


def _x(second: int, seconds: int) -> int:
    return LEFT + (WIDTH - LEFT - 24) * second // seconds


def _y(value: int, most: int) -> int:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM - 10) * value // (most or 1)


def _text(
    x: int, y: int, content: str, colour: str = "#333333", *, weight: str = "", anchor: str = ""
) -> str:
    more = f' font-weight="{weight}"' * bool(weight) + f' text-anchor="{anchor}"' * bool(anchor)
    return f'<text x="{x}" y="{y}" fill="{colour}"{more}>{escape(content)}</text>'
