"""Every event comes back as it was, and its message is one that a person can read."""

import hashlib
import json
from typing import Any

import pytest
from google.adk.auth.auth_credential import AuthCredential, AuthCredentialTypes
from google.adk.auth.auth_tool import AuthConfig
from google.adk.events.event import Event, NodeInfo
from google.adk.events.event_actions import EventActions, EventCompaction
from google.adk.tools.tool_confirmation import ToolConfirmation
from google.genai import types
from hypothesis import HealthCheck, given, settings, strategies as st

from dynamo_chat import InvalidArgument, ItemTooLarge
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.chat.message import Message, stored_message
from dynamo_chat.chat.snapshot import Snapshot
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import plan
from dynamo_chat.integrations.adk import DynamoSessionService, conversation_id_of
from dynamo_chat.integrations.adk.events import Scopes, event_of, message_of
from tests.integrations.adk.kit import APP, USER, awaited, said, texts

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=3)
TIMES = st.floats(1.0, 1.7e9)


def of_type(kind: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with these fields alone."""
    return st.fixed_dictionaries(fields).map(lambda given: kind(**given))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


BLOBS = of_type(types.Blob, data=st.binary(max_size=9), mime_type=st.just("image/png"))
PARTS = st.one_of(
    of_type(
        types.Part,
        text=WORDS,
        thought=maybe(st.booleans()),
        thought_signature=maybe(st.binary(max_size=5)),
    ),
    of_type(
        types.Part,
        function_call=of_type(types.FunctionCall, name=NAMES, args=maybe(OBJECTS), id=maybe(NAMES)),
    ),
    of_type(
        types.Part,
        function_response=of_type(
            types.FunctionResponse, name=NAMES, response=maybe(OBJECTS), id=maybe(NAMES)
        ),
    ),
    of_type(types.Part, inline_data=BLOBS),
    of_type(
        types.Part,
        executable_code=of_type(
            types.ExecutableCode, code=WORDS, language=st.just(types.Language.PYTHON)
        ),
    ),
)
CONTENTS = of_type(
    types.Content,
    role=maybe(st.sampled_from(["user", "model"])),
    parts=maybe(st.lists(PARTS, max_size=3)),
)
ACTIONS = of_type(
    EventActions,
    skip_summarization=maybe(st.booleans()),
    state_delta=OBJECTS,
    artifact_delta=st.dictionaries(NAMES, st.integers(0, 9), max_size=2),
    transfer_to_agent=maybe(NAMES),
    escalate=maybe(st.booleans()),
    requested_auth_configs=st.dictionaries(
        NAMES,
        st.just(
            AuthConfig(
                auth_scheme={"type": "apiKey", "in": "header", "name": "key"},
                raw_auth_credential=AuthCredential(
                    auth_type=AuthCredentialTypes.API_KEY, api_key="k"
                ),
                credential_key="c",
            )
        ),
        max_size=1,
    ),
    requested_tool_confirmations=st.dictionaries(
        NAMES, of_type(ToolConfirmation, hint=WORDS, confirmed=st.booleans()), max_size=1
    ),
    compaction=maybe(
        of_type(
            EventCompaction, start_timestamp=TIMES, end_timestamp=TIMES, compacted_content=CONTENTS
        )
    ),
    end_of_agent=maybe(st.booleans()),
    agent_state=maybe(OBJECTS),
    rewind_before_invocation_id=maybe(NAMES),
    route=maybe(st.booleans() | st.integers(0, 9) | NAMES),
)
USAGE = of_type(
    types.GenerateContentResponseUsageMetadata,
    prompt_token_count=maybe(st.integers(0, 10**6)),
    total_token_count=maybe(st.integers(0, 10**6)),
)
EVENTS = of_type(
    Event,
    invocation_id=NAMES,
    author=st.sampled_from(["user", "agent"]) | NAMES,
    content=maybe(CONTENTS),
    actions=ACTIONS,
    output=JSON,
    node_info=of_type(NodeInfo, path=NAMES, message_as_output=maybe(st.booleans())),
    long_running_tool_ids=maybe(st.sets(NAMES, max_size=2)),
    branch=maybe(NAMES),
    isolation_scope=maybe(NAMES),
    timestamp=TIMES,
    turn_complete=maybe(st.booleans()),
    finish_reason=maybe(st.sampled_from(types.FinishReason)),
    error_code=maybe(NAMES),
    error_message=maybe(WORDS),
    interrupted=maybe(st.booleans()),
    custom_metadata=maybe(OBJECTS),
    usage_metadata=maybe(USAGE),
    avg_logprobs=maybe(st.floats(-9, 0)),
    model_version=maybe(NAMES),
    interaction_id=maybe(NAMES),
)


def stored(event: Event) -> Message:
    """The message of an event, as it is read back from its item."""
    talk = Snapshot.__new__(Snapshot)
    object.__setattr__(talk, "conversation_id", "talk")
    object.__setattr__(talk, "kept_until", None)
    position = "01J0000000000000000000000A"
    return plan(Message).decode(
        plan(Message).encode(stored_message(message_of(event), talk, position, 0))
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(EVENTS)
def test_every_field_comes_back(event: Event) -> None:
    before = event.model_copy(deep=True)
    assert event_of(stored(event)) == event == before


def test_a_text_is_stored_once() -> None:
    """So an edited message is an edited event, if that has one text."""
    thought = types.Part(text="Hm", thought=True)
    event = of("agent", thought, types.Part(text="It is 4."), call(id="c-1"))
    message = stored(event)
    assert json.dumps(message.model_dump(mode="json")).count("It is 4.") == 1
    assert json.dumps(message.model_dump(mode="json")).count(event.id) == 1
    edited = event_of(message.model_copy(update={"content": "It is four."}))
    assert edited is not None
    assert edited.content is not None
    said = [part.text for part in edited.content.parts or ()]
    assert said == ["Hm", "It is four.", None]
    two = stored(of("user", types.Part(text="One"), types.Part(text="two")))
    kept = event_of(two.model_copy(update={"content": "Three"}))
    assert kept is not None
    assert kept.content is not None
    assert [part.text for part in kept.content.parts or ()] == ["One", "two"]


@pytest.mark.parametrize("damage", [7, [], {"content": {"parts": [7]}}, {"author": 7}])
def test_what_is_no_event_is_corrupt(damage: Any) -> None:
    message = stored(of("user", types.Part(text="One")))
    with pytest.raises(CorruptItem):
        event_of(message.model_copy(update={"metadata": {"adk": damage}}))


def call(**more: Any) -> types.Part:
    return types.Part(function_call=types.FunctionCall(name="look", args={"x": None}, **more))


def answer(value: int, **more: Any) -> types.Part:
    return types.Part(
        function_response=types.FunctionResponse(name="look", response={"found": value}, **more)
    )


def of(author: str, *parts: types.Part, **more: Any) -> Event:
    return Event(author=author, content=types.Content(role="user", parts=[*parts]), **more)


def test_what_a_person_reads() -> None:
    said_by_user = message_of(of("user", types.Part(text="One"), types.Part(text="two")))
    assert (said_by_user.role, said_by_user.content) == ("user", "One\ntwo")
    called = message_of(of("agent", types.Part(text="hm", thought=True), call(id="c-1")))
    assert (called.role, called.content) == ("assistant", "")
    assert [(each.tool, each.args, each.call_id) for each in called.tool_calls] == [
        ("look", {"x": None}, "c-1")
    ]
    answered = message_of(of("agent", answer(1, id="c-1")))
    assert (answered.role, answered.content) == ("tool", '{"found":1}')
    assert answered.metadata["tool_call_id"] == "c-1"
    both = message_of(of("agent", answer(1, id="c-1"), answer(2, id="c-2")))
    assert (both.role, both.content) == ("tool", '[{"found":1},{"found":2}]')
    assert "tool_call_id" not in both.metadata
    failed = message_of(Event(author="agent", error_code="500", error_message="No answer"))
    assert (failed.role, failed.content, failed.errors) == ("assistant", "", "No answer")


def test_scopes_of_a_change() -> None:
    scopes = Scopes("state", {"a": 1, "user:b": (2,), "app:c": {"d": None}, "temp:e": object()})
    assert (scopes.session, scopes.user, scopes.app) == ({"a": 1}, {"b": [2]}, {"c": {"d": None}})
    assert not Scopes("state", {"temp:e": 1})
    with pytest.raises(InvalidArgument, match=r"^state: must be JSON"):
        Scopes("state", {"a": object()})


NOISE = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(20_000))
"""More than an item holds, also when it is compressed."""

BAD: dict[str, tuple[Event, str]] = {
    "an id of a form of the store": (said("x", id="talk~01J0000000000000000000000A"), "event.id"),
    "a long id": (said("x", id="i" * 201), "event.id"),
    "a lone surrogate": (said("\ud800"), "event"),
    "a time before 1970": (said("x", timestamp=-5.0), "event.timestamp"),
    "a time beyond all years": (said("x", timestamp=1e30), "event.timestamp"),
    "a time far ahead": (said("x", timestamp=9e9), "event.timestamp"),
    "an output that is not JSON": (said("x", output=object()), "event"),
    "a state that is not JSON": (said("x", state={"a": object()}), "event.state_delta"),
    "a number that is none": (said("x", state={"a": float("nan")}), "event.state_delta"),
    "more than an item holds": (said(NOISE), "message"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.filterwarnings("ignore::UserWarning")
@awaited
async def test_what_cannot_be_stored(service: DynamoSessionService, case: str) -> None:
    """The error names it, nothing is written, and the session is as it was."""
    event, argument = BAD[case]
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s-1")
    before = session.model_copy(deep=True)
    with pytest.raises(InvalidArgument) as refused:
        await service.append_event(session, event.model_copy(deep=True))
    assert refused.value.argument.startswith(argument) or isinstance(refused.value, ItemTooLarge)
    assert session.model_dump() == before.model_dump()
    found = await service.get_session(app_name=APP, user_id=USER, session_id="s-1")
    assert texts(found) == []


@pytest.mark.once
@awaited
async def test_a_state_beyond_an_item(
    service: DynamoSessionService, async_chat_store: AsyncChatStore
) -> None:
    """Whatever its scope; and no conversation is made for one."""
    for key in ("big", "user:big", "app:big"):
        with pytest.raises(ItemTooLarge):
            await service.create_session(app_name=APP, user_id=USER, state={key: NOISE})
    assert not (await async_chat_store.conversations.list_by_user(USER)).items
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s-1")
    for key in ("big", "user:big", "app:big"):
        part = NOISE[: len(NOISE) // 3]  # an event with it fits, and the state with one of them
        await service.append_event(session, said("x", state={f"{key}0": part}))
        event = said("x", state={f"{key}1": part})
        with pytest.raises(ItemTooLarge):
            await service.append_event(session, event)


@pytest.mark.parametrize("given", [{1: 2}, [1], "state", {"a": {"n": object()}}, {"\ud800": 1}])
@awaited
async def test_a_state_that_is_none(service: DynamoSessionService, given: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^state: must be"):
        await service.create_session(app_name=APP, user_id=USER, session_id="s-1", state=given)
    assert await service.get_session(app_name=APP, user_id=USER, session_id="s-1") is None


@pytest.mark.parametrize("name", ["app_name", "user_id", "session_id"])
@pytest.mark.parametrize("given", ["", "x" * 257, "\ud800", 7])
@awaited
async def test_names_that_are_refused(service: DynamoSessionService, name: str, given: Any) -> None:
    names: dict[str, Any] = {"app_name": APP, "user_id": USER, "session_id": "s-1", name: given}
    for ask in (service.create_session, service.get_session, service.delete_session):
        with pytest.raises(InvalidArgument) as refused:
            await ask(**names)
        assert refused.value.argument == name


@awaited
async def test_users_are_named(service: DynamoSessionService) -> None:
    with pytest.raises(InvalidArgument, match=r"^user_id: must be given"):
        await service.list_sessions(app_name=APP)


def test_the_store_has_the_kinds(dynamo_chat_engine: Any) -> None:
    with pytest.raises(InvalidArgument, match="adk_sessions = repository"):
        DynamoSessionService(AsyncChatStore("plain", region="eu-west-1"))


@awaited
async def test_messages_of_others_in_the_conversation(
    service: DynamoSessionService, async_chat_store: AsyncChatStore
) -> None:
    """A message without an event is no event; one whose event is damaged is left out, and named."""
    from dynamo_chat import NewMessage

    session = await service.create_session(app_name=APP, user_id=USER, session_id="s-1")
    await service.append_event(session, said("first"))
    talk = conversation_id_of(APP, USER, "s-1")
    await async_chat_store.messages.append(talk, NewMessage(role="assistant", content="aside"))
    damaged = NewMessage(role="assistant", content="x", metadata={"adk": {"timestamp": "soon"}})
    message = await async_chat_store.messages.append(talk, damaged)
    with pytest.raises(CorruptItem):
        event_of(message)
    await service.append_event(session, said("second"))
    found = await service.get_session(app_name=APP, user_id=USER, session_id="s-1")
    assert texts(found) == ["first", "second"]
