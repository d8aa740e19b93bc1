"""The worked calls of the reference are the text of what was run."""

from documenting.worked_calls import WorkedCall, call_text
from dynamo_chat import ChatStore, NewMessage
from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.stage import Stage
from dynamo_chat.testing import FakeClock


def texts(store: ChatStore, method: str) -> list[str]:
    """The calls of a method's scenario, each run before the next is prepared."""
    stage = Stage(lambda _: store, FakeClock())
    found = []
    for case in scenarios()[method](stage):
        found.append(call_text(case.call))
        case.call()
    return found


def test_a_call_has_the_store_s_names(chat_store: ChatStore) -> None:
    """Whatever a scenario calls its repository."""
    assert texts(chat_store, "conversations.rename") == [
        'store.conversations.rename(identity, "4K renders")',
        'store.conversations.rename(identity, "8K renders")',
        "store.conversations.rename(identity, None)",
    ]


def test_what_is_given_comes_before_the_call(chat_store: ChatStore) -> None:
    (text,) = texts(chat_store, "conversations.merge_preferences")
    assert text.splitlines() == [
        'changes = {"rating": None, "decade": 1990}',
        "store.conversations.merge_preferences(talk.conversation_id, changes)",
    ]


def test_a_method_itself_is_a_call(chat_store: ChatStore) -> None:
    assert texts(chat_store, "reviews.list_by_status")[0] == "store.reviews.list_by_status()"


def test_a_helper_is_shown_with_its_statements(chat_store: ChatStore) -> None:
    stage = Stage(lambda _: chat_store, FakeClock())
    case = next(iter(scenarios()["messages.stream"](stage)))
    text = call_text(case.call)
    assert "with store.messages.stream(" in text
    assert "stage" not in text


def test_lines_say_cost_and_result() -> None:
    call = WorkedCall("store.x()", "again", "1 request, 2 write units", "done")
    assert list(call.lines()) == ["# again: 1 request, 2 write units", "store.x()", "# → done"]


def test_every_lambda_of_a_line_is_found(chat_store: ChatStore) -> None:
    """Two lambdas may begin in one line."""
    first, second = lambda: NewMessage(role="user"), lambda: NewMessage(role="tool")
    assert call_text(first) == 'NewMessage(role="user")'
    assert call_text(second) == 'NewMessage(role="tool")'
