"""C6: the title and preferences are changed together; C3, C4: lists with their preferences."""

import json
from typing import Any

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.core.page import Page
from tests.chat.scenes import say
from tests.scene import Scene, just_before, requests

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation with a title and preferences."""
    return store.conversations.create(
        "u-1", title="Old", preferences={"kept": {"a": None}, "gone": 1, "n": {"x": 1, "y": 2}}
    ).conversation_id


def test_title_and_preferences_change_in_two_requests(store: ChatStore, talk: str) -> None:
    """Values are replaced as wholes, also by ones with None inside; other names stay."""
    new: dict[str, Any] = {"gone": None, "n": {"x": None}, "more": []}
    with requests(store, 2):
        changed = store.conversations.change(talk, title="New", preferences=new, user_id="u-1")
    assert changed == store.conversations.get(talk, consistent=True)
    assert changed.title == "New"
    assert changed.preferences == {"kept": {"a": None}, "n": {"x": None}, "more": []}
    assert [each.title for each in store.conversations.find_by_title("New")] == ["New"]
    assert not list(store.conversations.find_by_title("Old"))


def test_what_is_left_out_stays(store: ChatStore, talk: str) -> None:
    """Only the title, only the preferences, or all that there are taken away."""
    before = store.conversations.get(talk)
    assert store.conversations.change(talk, title=None).preferences == before.preferences
    assert store.conversations.get(talk).auto_title is False
    assert store.conversations.change(talk, preferences={"n": 2}).title is None
    nothing = dict.fromkeys(("kept", "gone", "n"))
    assert store.conversations.change(talk, preferences=nothing).preferences == {}
    assert store.conversations.get(talk, consistent=True).has_preferences is False


def test_nothing_is_written_if_nothing_differs(store: ChatStore, talk: str) -> None:
    """One read; but 1 and True differ."""
    with requests(store, 1):
        store.conversations.change(talk, title="Old", preferences={"gone": 1, "never": None})
    with requests(store, 2):
        changed = store.conversations.change(talk, preferences={"gone": True})
    assert json.dumps((changed.preferences or {})["gone"]) == "true"


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        ("title", {"title": ""}),
        ("title", {"title": "x" * 201}),
        ("title", {"title": 1}),
        ("preferences", {"preferences": [1]}),
        ("preferences", {"preferences": {"a": float("nan")}}),
    ],
)
def test_wrong_arguments_write_nothing(
    store: ChatStore, talk: str, argument: str, wrong: dict[str, Any]
) -> None:
    """The error names the argument."""
    with requests(store, 0), pytest.raises(InvalidArgument, match=argument):
        store.conversations.change(talk, **wrong)


def test_another_users_is_not_found(store: ChatStore, talk: str) -> None:
    """As one that does not exist; nothing is changed."""
    for call in (("u-2", talk), ("u-1", "nowhere")):
        with pytest.raises(NotFound, match="conversation"):
            store.conversations.change(call[1], title="Mine", preferences={"a": 1}, user_id=call[0])
    assert store.conversations.get(talk).title == "Old"


def test_both_writers_take_effect(scene: Scene, talk: str) -> None:
    """An append and a change of other preferences between the read and the write are kept."""
    store, other = scene.store, scene.new_store()

    def meanwhile() -> None:
        say(other, talk, "hello")
        other.conversations.merge_preferences(talk, {"theirs": 1, "gone": 5})

    with just_before(store, "TransactWriteItems", meanwhile):
        changed = store.conversations.change(talk, title="New", preferences={"ours": 2})
    assert changed == store.conversations.get(talk, consistent=True)
    assert (changed.preferences or {}).keys() == {"kept", "gone", "n", "theirs", "ours"}
    assert (changed.preferences or {})["gone"] == 5
    assert changed.message_count == 1


# -- lists --------------------------------------------------------------------------------------


def by_id(page: Page[Any]) -> dict[str, Any]:
    return {each.conversation_id: each for each in page}


def test_lists_read_preferences_on_request(store: ChatStore, talk: str) -> None:
    """One request more if any conversation of the page has some; the iterating form, too."""
    plain = store.conversations.create("u-1").conversation_id
    with requests(store, 1):
        assert by_id(store.conversations.list_by_user("u-1"))[talk].preferences is None
    for ask in (store.conversations.list_by_user, store.conversations.list_by_activity):
        with requests(store, 2):
            found = by_id(ask("u-1", with_preferences=True))
        assert found[talk] == store.conversations.get(talk)
        assert found[plain].preferences == {}
    walked = list(store.conversations.iterate_by_user("u-1", with_preferences=True))
    assert all(each.preferences is not None for each in walked)
    store.conversations.set_preferences(talk, {})
    with requests(store, 1):
        store.conversations.list_by_user("u-1", with_preferences=True)


def test_preferences_of_a_conversation_that_was_given_away_stay_hidden(
    scene: Scene, talk: str
) -> None:
    """The index that lists it may lag behind; what the new owner stores is not shown."""

    def meanwhile() -> None:
        other = scene.new_store()
        other.conversations.give_to(talk, "u-2")
        other.conversations.set_preferences(talk, {"secret": 1})

    with just_before(scene.store, "BatchGetItem", meanwhile):
        page = scene.store.conversations.list_by_user("u-1", with_preferences=True)
    assert not page.items
    assert [each.user_id for each in scene.store.conversations.list_by_user("u-2")] == ["u-2"]


def test_a_page_with_preferences_is_bounded(store: ChatStore) -> None:
    """Each may be large."""
    with requests(store, 0), pytest.raises(InvalidArgument, match="page_size"):
        store.conversations.list_by_user("u-1", page_size=101, with_preferences=True)


def test_unreadable_preferences_hide_nothing_else(scene: Scene, talk: str) -> None:
    """The page names them, and its cursors still lead on."""
    store = scene.store
    other = store.conversations.create("u-1", preferences={"a": 1}).conversation_id
    damaged = next(
        each
        for each in scene.items()
        if each["kind"]["S"] == "conversation_preferences" and other in each["PK"]["S"]
    )
    scene.put({**damaged, "preferences": {"N": "1"}})
    page = store.conversations.list_by_user("u-1", newest_first=False, with_preferences=True)
    assert [each.conversation_id for each in page] == [talk]
    assert [each.kind for each in page.unreadable] == ["conversation_preferences"]
    after = page.cursor_after(page.items[0])
    rest = store.conversations.list_by_user("u-1", newest_first=False, cursor=after)
    assert [each.conversation_id for each in rest] == [other]
