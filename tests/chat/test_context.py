"""C23: the latest messages that fit into a model's context."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamo_chat import ChatStore, Message, NewMessage, ToolCall
from dynamo_chat.chat.fitting import estimated_tokens, fitting
from dynamo_chat.core.errors import InvalidArgument, NotFound
from tests.chat.scenes import assistant, say, user
from tests.scene import Scene, requests

engine = pytest.mark.engine


def _said(kind: str, number: int) -> Message:
    role = {"c": "assistant", "a": "assistant", "u": "user", "t": "tool"}[kind]
    return Message.model_validate(
        {
            "conversation_id": "c-1",
            "position": f"{number:026}",
            "message_id": str(number),
            "role": role,
            "sent_at": "2026-01-01T00:00:00Z",
            "tool_calls": (ToolCall(tool="t"),) if kind == "c" else (),
        },
        strict=False,
    )


def one(_: Message) -> int:
    """Every message is a token."""
    return 1


@given(st.text("cautt", max_size=12), st.integers(0, 14), st.data())
def test_no_call_is_cut_from_its_results(kinds: str, most: int, data: st.DataObject) -> None:
    """What fits is the end of the conversation, without results whose call is not there."""
    said = [_said(kind, number) for number, kind in enumerate(kinds)]
    sizes = data.draw(st.lists(st.integers(0, 4), min_size=len(said), max_size=len(said)))
    size = {message.position: each for message, each in zip(said, sizes, strict=True)}
    fit, is_cut = fitting(reversed(said), most, lambda message: size[message.position])
    assert sum(size[each.position] for each in fit) <= most
    # By the plain definition: drop results without a call, then whole groups from the front.
    groups: list[list[Message]] = []
    for message in said:
        if message.role == "tool":
            if groups and groups[-1][0].tool_calls:
                groups[-1].append(message)
            elif groups:
                groups.append([message])
        else:
            groups.append([message])
    kept: list[list[Message]] = []
    left = most
    whole = [group for group in groups if group[0].role != "tool"]
    for group in reversed(whole):
        left -= sum(size[each.position] for each in group)
        if left < 0:
            break
        kept.insert(0, group)
    assert fit == [message for group in kept for message in group]
    assert is_cut is (len(kept) < len(whole))


def _call(number: int, *call_ids: str | None) -> Message:
    calls = tuple(ToolCall(tool="t", call_id=each) for each in call_ids)
    return _said("a", number).model_copy(update={"tool_calls": calls})


def _result(number: int, call_id: str | None) -> Message:
    metadata = {} if call_id is None else {"tool_call_id": call_id}
    return _said("t", number).model_copy(update={"metadata": metadata})


def _fit(said: list[Message], most: int = 1_000) -> list[int]:
    """The numbers of the messages that fit, each of one token."""
    return [int(each.position) for each in fitting(reversed(said), most, one)[0]]


def test_results_that_come_late() -> None:
    """Somebody wrote in between: they are shown directly behind their call, or not at all."""
    said = [_said("u", 0), _call(1, "x", "y"), _said("u", 2), _result(3, "y"), _said("u", 4)]
    said += [_result(5, "x"), _said("a", 6)]
    assert _fit(said) == [0, 1, 5, 3, 2, 4, 6]
    assert [_fit(said, most) for most in range(8)] == [
        [],
        [6],
        [4, 6],
        [2, 4, 6],
        [2, 4, 6],
        [2, 4, 6],
        [1, 5, 3, 2, 4, 6],
        [0, 1, 5, 3, 2, 4, 6],
    ]


def test_a_result_belongs_to_the_call_that_it_names() -> None:
    """Not to another one that it happens to be behind; without a name, to that one."""
    assert _fit([_call(0, "x"), _call(1, "y"), _result(2, "x"), _result(3, "y")]) == [0, 2, 1, 3]
    assert _fit([_call(0, "x"), _call(1, "y"), _result(2, None)]) == [0, 1, 2]
    assert _fit([_call(0, "x"), _call(1, None), _result(2, "x")]) == [0, 1, 2]
    # An id that is used again: the nearest call before it.
    again = [_call(0, "x"), _result(1, "x"), _call(2, "x"), _said("u", 3), _result(4, "x")]
    assert _fit(again) == [0, 1, 2, 4, 3]


@given(st.lists(st.tuples(st.sampled_from("uctt"), st.sampled_from("xyz")), max_size=14))
def test_every_result_is_behind_its_call(kinds: list[tuple[str, str]]) -> None:
    """Whatever fits has each call with all results that name it, and no result without its call."""
    said = [
        {"u": _said("u", n), "c": _call(n, call), "t": _result(n, call)}[kind]
        for n, (kind, call) in enumerate(kinds)
    ]
    calls: dict[str, int] = {}
    wanted: dict[int, int] = {}
    for n, (kind, call) in enumerate(kinds):
        if kind == "c":
            calls[call] = n
        elif kind == "t" and call in calls:
            wanted[n] = calls[call]
    for most in range(len(said) + 1):
        fit = _fit(said, most)
        shown, last = {}, -1
        for number in fit:
            if kinds[number][0] == "t":
                shown[number] = last
            else:
                last = number
        assert shown == {result: call for result, call in wanted.items() if call in fit}


def test_the_estimate() -> None:
    """Grows with the text and with the calls."""
    plain = _said("a", 1)
    assert estimated_tokens(plain) == 4
    assert estimated_tokens(plain.model_copy(update={"content": "x" * 401})) == 4 + 101
    calls = (ToolCall(tool="t", args={"a": "x" * 400}),)
    assert estimated_tokens(plain.model_copy(update={"tool_calls": calls})) > 100


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation with 130 messages."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    for start in range(0, 130, 26):
        store.messages.append_turn("c-1", [user(str(start + n)) for n in range(26)])
    return "c-1"


@engine
@pytest.mark.parametrize(
    ("most", "sent"), [(0, 1), (1, 1), (19, 1), (20, 2), (119, 2), (129, 3), (130, 3), (500, 3)]
)
def test_what_fits_is_read(store: ChatStore, talk: str, most: int, sent: int) -> None:
    """No page more than is needed to know, and each page after the first with the head."""
    with requests(store, sent + max(0, sent - 1)):
        found = store.messages.context(talk, max_tokens=most, count=one, user_id="u-1")
    assert [each.content for each in found] == [str(n) for n in range(130)][max(0, 130 - most) :]
    assert found.is_cut is (most < 130)


@engine
def test_a_call_and_its_results(store: ChatStore) -> None:
    """Stay together across the end of what fits."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    call = assistant("", tool_calls=[ToolCall(tool="t", call_id="c")])
    result = NewMessage(role="tool", content="r", metadata={"tool_call_id": "c"})
    store.messages.append_turn("c-1", [user("q"), call, result, result, assistant("a")])
    lengths = [len(store.messages.context("c-1", max_tokens=most, count=one)) for most in range(6)]
    assert lengths == [0, 1, 1, 1, 4, 5]


@engine
def test_at_most_a_thousand(store: ChatStore) -> None:
    """However much would fit."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    for _ in range(27):
        store.messages.append_turn("c-1", [user("x")] * 40)
    found = store.messages.context("c-1", max_tokens=10**9)
    assert len(found) == 1_000
    assert found.is_cut


@engine
def test_what_cannot_be_read(scene: Scene, store: ChatStore) -> None:
    """Is told beside the others."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    say(store, "c-1", "a")
    scene.put({**scene.only("message"), "sent_at": {"S": "once"}})
    say(store, "c-1", "b")
    found = store.messages.context("c-1", max_tokens=100)
    assert [each.content for each in found] == ["b"]
    assert len(found.unreadable) == 1


@engine
def test_of_nobody_else(store: ChatStore, talk: str) -> None:
    """Not found, as a conversation that is not there."""
    for name, owner in ((talk, "u-2"), ("c-9", None)):
        with pytest.raises(NotFound):
            store.messages.context(name, max_tokens=10, user_id=owner)


@engine
@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("max_tokens", {"max_tokens": -1}),
        ("max_tokens", {"max_tokens": True}),
        ("max_tokens", {"max_tokens": 1.5}),
        ("count", {"max_tokens": 1, "count": None}),
    ],
)
def test_bad_limits(store: ChatStore, argument: str, options: dict[str, Any]) -> None:
    """Named, and nothing is sent."""
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.messages.context("c-1", **options)
    assert refused.value.argument == argument


@engine
@pytest.mark.parametrize("answer", [-1, 1.5, None])
def test_a_bad_count(store: ChatStore, talk: str, answer: Any) -> None:
    """A count that is none would let everything in."""
    with pytest.raises(InvalidArgument, match="count"):
        store.messages.context(talk, max_tokens=10, count=lambda _: answer)
