"""What an application must not declare is refused when its store class is made, with a sentence."""

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeAlias

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.chat.messages import Messages
from dynamo_chat.core.layout import PLACES
from dynamo_chat.entities import (
    CONVERSATION,
    CONVERSATION_PARTITION,
    USER,
    USER_PARTITION,
    Entity,
    ExpiresAt,
    HotSpotWarning,
    Id,
    Layout,
    LayoutError,
    Repository,
    Slot,
    Text,
    Time,
    Whose,
    access_pattern,
    flag,
    integer,
    partition,
    repository,
    sort,
    text,
    time,
)
from dynamo_chat.entities.checks import OWN_TAG
from dynamo_chat.keyspace import KEY_SPACE

KEY = Slot(partition("NOTE", text("user_id")), sort("NOTE", text("note_id")))
Kinds: TypeAlias = tuple[type[Entity] | Layout, ...]


def entity(layout: Layout, **more: Any) -> type[Entity]:
    """A class with this layout, whose fields are text unless `more` says otherwise."""
    slots = [slot for slot in (layout.table, layout.gsi1, layout.gsi2) if isinstance(slot, Slot)]
    shapes = [shape for slot in slots for shape in slot if shape is not None]
    hints: dict[str, Any] = {name: Id for shape in shapes for name in shape.names}
    values = {name: value for name, value in more.items() if not name.startswith("_")}
    hints |= {name: hint for name, (hint, *_) in values.items()}
    defaults = {name: default[0] for name, (_, *default) in values.items() if default}
    body = {
        "__annotations__": {"layout": ClassVar[Layout], **hints},
        "layout": layout,
        "__module__": __name__,
        **defaults,
    }
    made: type[Entity] = type("Made", (Entity,), body)
    return made


def store_of(*kinds: Any, name: str = "notes") -> type[ChatStore]:
    """A store class with one repository of these kinds."""
    made = type("Notes", (Repository,), {"kinds": kinds, "__module__": __name__})
    found: type[ChatStore] = type("MyStore", (ChatStore,), {name: repository(made)})
    return found


def with_table(pk: Any, sk: Any, **more: Any) -> Kinds:
    return (entity(Layout("note", table=Slot(pk, sk)), **more),)


def with_index(pk: Any, sk: Any, **more: Any) -> Kinds:
    return (entity(Layout("note", table=KEY, gsi1=Slot(pk, sk)), **more),)


def in_conversation(tag: str, *, of: Layout | None = CONVERSATION, **more: Any) -> Kinds:
    slot = Slot(CONVERSATION_PARTITION, sort(tag, text("file_id")))
    expiry = more or {"expires_at": (ExpiresAt, None)}
    return (entity(Layout("file", table=slot, of=of), **expiry),)


def older(**fields: Any) -> Kinds:
    made = entity(Layout("note", table=KEY))
    for name, value in fields.items():
        setattr(made, name, value)
    return (made,)


def of_another() -> Kinds:
    other = entity(Layout("other", table=Slot(partition("OTHER", text("a")), sort("OTHER"))))
    made = entity(Layout("note", table=KEY, of=other.layout))
    return (made,)


def without_the_parent_key() -> Kinds:
    table = Slot(partition("OTHER", text("a")), sort("OTHER"))
    other = entity(Layout("other", table=table, whose=Whose("nobody")))
    return (other, entity(Layout("note", table=KEY, of=other.layout)))


def two(one: Slot, other: Slot, *names: str) -> Kinds:
    first, second = names or ("one", "two")
    return (entity(Layout(first, table=one)), entity(Layout(second, table=other)))


def classless() -> Kinds:
    return (Layout("note", table=KEY),)


def shared_layout() -> Kinds:
    layout = Layout("note", table=KEY)
    entity(layout)
    return (entity(layout),)


def owned(table: Slot, *, gsi1: Slot | None = None, whose: Any = None, **more: Any) -> Kinds:
    return (entity(Layout("note", table=table, gsi1=gsi1, whose=whose), **more),)


def inside_a_shelf() -> Kinds:
    """Parts that lie beside their note, which is not alone at the head of a partition."""
    shelf = Layout("shelf", table=SHELF, gsi1=Slot(MINE, sort("X", text("shelf_id"), text("no"))))
    part = Layout("part", table=Slot(SHELF.pk, sort("PART", text("no"))), of=shelf)
    return (entity(shelf), entity(part))


APART = Slot(partition("NOTE", text("note_id")), sort("NOTE"))
MINE = partition("MINE", text("user_id"))
BY_NOTE = sort("NOTE", text("note_id"))
SHELF = Slot(partition("SHELF", text("shelf_id")), sort("SHELF", text("no")))
USERS = partition("USER", text("user_id"))
BY_ID = sort("NOTE", text("user_id"), text("note_id"))

BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "a conversation's own key": (
        lambda: with_table(CONVERSATION_PARTITION, sort("CONV")),
        "must have a tag that begins with APP, such as APPCONV",
    ),
    "between messages and head": (
        lambda: in_conversation("CHATFILE"),
        "others may sort between items that the package reads together",
    ),
    "behind the reviews": (lambda: in_conversation("ZFILE"), "such as APPZFILE"),
    "another form of the package's partition": (
        lambda: with_table(partition("CONV", text("id")), sort("APPNOTE")),
        "partitions CONV of the table are the package's, and have the form CONV#<conversation_id>",
    ),
    "another type in the package's partition": (
        lambda: with_table(
            partition("USER", integer("user_id", 9)), sort("APPNOTE"), user_id=(int,)
        ),
        "partitions USER of the table are the package's",
    ),
    "a partition that nothing clears": (
        lambda: with_table(partition("CALL", text("call_id")), sort("APPNOTE")),
        "nothing would delete it from the package's partition CALL#<call_id>",
    ),
    "the package's index partition": (
        lambda: with_index(USERS, sort("NOTE", text("note_id"))),
        "such as APPNOTE: others may sort between",
    ),
    "an index partition that is read whole": (
        lambda: (
            entity(
                Layout(
                    "note",
                    table=KEY,
                    gsi2=Slot(
                        partition("MESSAGE", text("message_id")),
                        sort("APPNOTE", text("user_id"), text("note_id")),
                    ),
                )
            ),
        ),
        "partitions MESSAGE#<message_id> of GSI2 are the package's, which may read them whole",
    ),
    "no parent in a conversation": (
        lambda: in_conversation("APPFILE", of=None),
        "is in the partition of a conversation and is deleted with it; say so with of=CONVERSATION",
    ),
    "no expiry in a conversation": (
        lambda: in_conversation("APPFILE", size=(int,)),
        "needs a field `expires_at: ExpiresAt = None`",
    ),
    "a parent that wouldn't find it": (
        lambda: (
            entity(
                Layout(
                    "note",
                    table=Slot(partition("NOTE", text("conversation_id")), sort("NOTE")),
                    of=CONVERSATION,
                )
            ),
        ),
        "conversation wouldn't find it; put it into the partition CONV#<conversation_id>.",
    ),
    "a user that wouldn't find it": (
        lambda: (
            entity(
                Layout(
                    "note",
                    table=Slot(partition("NOTE", text("note_id")), sort("NOTE")),
                    gsi1=Slot(USERS, sort("APPNOTE", text("note_id"))),
                    of=USER,
                )
            ),
        ),
        "or into one of its own with only user_id in it",
    ),
    "a parent outside of the store": (
        of_another,
        "its parent other must be one of this store's own kinds, or one of conversation, user",
    ),
    "a parent whose key is unknown": (
        without_the_parent_key,
        "the key of its parent other can't be made of its fields; add a.",
    ),
    "a parent and a root": (
        lambda: (entity(Layout("note", table=KEY, of=USER, root=True)),),
        "it has a parent (`of`), so it is no `root`",
    ),
    "no sort key": (
        lambda: with_table(partition("NOTE", text("user_id")), None),
        "its key in the table is half; give a Slot of a partition(…) and a sort(…)",
    ),
    "half a key in an index": (
        lambda: with_index(partition("TOPIC", text("topic")), None),
        "its key in GSI1 is half",
    ),
    "not a slot": (
        lambda: (entity(Layout("note", table=KEY, gsi2=partition("X", text("a")))),),  # type: ignore[arg-type]
        "its key in GSI2 is half",
    ),
    "an index key that leads nowhere": (
        lambda: with_index(partition("TOPIC", text("topic")), sort("NOTE", text("note_id"))),
        "its key in GSI1 doesn't lead to the item, and two items could share it; add user_id",
    ),
    "one partition for all": (
        lambda: with_table(partition("NOTES"), sort("NOTE", text("note_id"))),
        "all its items would share the partition NOTES in the table, which takes 1,000 writes",
    ),
    "one index partition for all": (
        lambda: with_index(partition("RECENT"), BY_ID),
        "all its items would share the partition RECENT in GSI1",
    ),
    "a component twice": (
        lambda: with_table(partition("NOTE", text("a")), sort("NOTE", text("a"))),
        "a is twice in its key in the table",
    ),
    "a kind of the package": (
        lambda: (entity(Layout("message", table=KEY)),),
        "message: the package has a kind of this name",
    ),
    "a name that is no kind": (
        lambda: (entity(Layout("User Note", table=KEY)),),
        "'User Note': a kind is named in lower-case letters, digits and _",
    ),
    "two of one name": (
        lambda: two(KEY, Slot(partition("X", text("user_id")), sort("X")), "note", "note"),
        "two of this store's kinds have this name",
    ),
    "two with one key": (
        lambda: two(KEY, Slot(KEY.pk, sort("NOTE", text("note_id"), text("part")))),
        "one and two: their keys NOTE in the table overlap",
    ),
    "two forms of one partition": (
        lambda: two(KEY, Slot(partition("NOTE", text("account_id")), sort("OTHER"))),
        "their partitions NOTE in the table have different components",
    ),
    "no class": (classless, "note: no entity has this layout"),
    "two classes": (shared_layout, "note: two classes have this layout, Made and Made; each class"),
    "no kind at all": (lambda: (Text,), "notes: Annotated is no kind; list entities"),
    "a reserved name": (
        lambda: with_table(KEY.pk, KEY.sk, kind=(str,)),
        "the field kind has a name that the package uses; rename it",
    ),
    "a key attribute's name": (
        lambda: with_table(KEY.pk, KEY.sk, GSI1PK=(str,)),
        "the field GSI1PK has a name that the package uses",
    ),
    "the TTL's name": (
        lambda: with_table(KEY.pk, KEY.sk, ttl=(int,)),
        "the field ttl has a name that the package uses",
    ),
    "a name that PynamoDB uses": (
        lambda: with_table(KEY.pk, KEY.sk, save=(str,)),
        "save: this name is reserved by PynamoDB models",
    ),
    "a component without a field": (
        lambda: (
            type(
                "Bare",
                (Entity,),
                {
                    "layout": Layout("note", table=Slot(KEY.pk, sort("NOTE"))),
                    "__module__": __name__,
                },
            ),
        ),
        "user_id is part of its key in the table, but Bare has no such field",
    ),
    "another type": (
        lambda: with_table(KEY.pk, sort("NOTE", time("note_id"))),
        "note_id is time in its key in the table, but another type in Made; make it datetime",
    ),
    "a number as text": (
        lambda: with_table(KEY.pk, KEY.sk, note_id=(int,)),
        "note_id is text in its key in the table, but another type in Made; make it str",
    ),
    "text of any length": (
        lambda: with_table(KEY.pk, KEY.sk, note_id=(Text,)),
        "note_id is text of any length, which a key can't hold",
    ),
    "a key that may be missing": (
        lambda: with_table(KEY.pk, KEY.sk, note_id=(Id | None, None)),
        "note_id is part of its key in the table, so it must always have a value",
    ),
    "nobody knows whose": (
        lambda: owned(APART),
        "nothing says whose its items are, so exporting and erasing a person's data would leave",
    ),
    "named by two owners": (
        lambda: owned(
            Slot(partition("NOTE", text("account_id")), BY_NOTE),
            gsi1=Slot(MINE, sort("NOTE", text("account_id"), text("note_id"))),
        ),
        "nothing says whose its items are",
    ),
    "an owner beside what nobody can list": (
        lambda: owned(Slot(partition("NOTE", text("user_id"), text("month")), BY_NOTE)),
        "nothing says whose its items are",
    ),
    "a helper of nothing": (
        lambda: (Layout("note", table=KEY, helper=True),),
        "it is a helper item; say of which kind with of=",
    ),
    "beside what does not find it": (inside_a_shelf, "part: nothing says whose its items are"),
    "an owner that is not one": (
        lambda: owned(KEY, whose="user"),
        "its owner must be a Whose of user, account, address, nobody.",
    ),
    "an owner of another sort": (
        lambda: owned(KEY, whose=Whose("team", ("user_id",))),  # type: ignore[arg-type]
        "its owner must be a Whose of user, account, address, nobody.",
    ),
    "an owner in no field": (lambda: owned(KEY, whose=Whose("user")), "its owner is in no field"),
    "an owner in a field of another": (
        lambda: owned(KEY, whose=Whose("user", ("writer_id",))),
        "its owner is in writer_id; name fields of its own.",
    ),
    "an owner who is in no partition": (
        lambda: owned(APART, whose=Whose("user", ("user_id",)), user_id=(Id,)),
        "its items can't be found by their user; a partition for each of user_id must begin with",
    ),
    "two owners in one partition": (
        lambda: owned(KEY, whose=Whose("user", ("user_id", "note_id"))),
        "its items can't be found by their user",
    ),
    "an owner's shards without their number": (
        lambda: owned(
            Slot(partition("NOTE", text("user_id"), integer("shard", 2)), BY_NOTE),
            whose=Whose("user", ("user_id",)),
            shard=(int,),
        ),
        "shards whose number is said by Whose(…, shards=…).",
    ),
    "an owner's list that leaves some out": (
        lambda: owned(
            APART,
            gsi1=Slot(MINE, sort("NOTE", time("done_at"), text("note_id"))),
            done_at=(Time | None, None),
        ),
        "found by their user in GSI1, but not those without done_at; these fields must always",
    ),
    "a lost version": (
        lambda: older(schema_version=2),
        "schema version 1 can't be read; add it to `upgrades`",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_layout_is_refused_with_a_sentence(name: str) -> None:
    make, sentence = BAD[name]
    with pytest.raises(LayoutError) as refused:
        store_of(*make())
    assert sentence in str(refused.value)
    assert len(refused.value.problems) == 1, refused.value.problems
    assert all(each.endswith(".") and "\n" not in each for each in refused.value.problems)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(LayoutError) as refused:
        store_of(*with_table(partition("CONV", text("id")), sort("X"), kind=(str,)))
    assert len(refused.value.problems) == 2
    assert str(refused.value).startswith("MyStore: note: ")
    for again in (copy.copy(refused.value), pickle.loads(pickle.dumps(refused.value))):
        assert (again.store, again.problems) == ("MyStore", refused.value.problems)


def test_good_layouts_are_known_to_the_store() -> None:
    """Beside the package's kinds, in the partitions that take them, and in their own."""
    note = entity(Layout("note", table=KEY, of=USER))
    part = Layout(
        "note_part", table=Slot(KEY.pk, sort("PART", text("note_id"))), of=note.layout, helper=True
    )
    inside = entity(
        Layout("mark", table=Slot(USER_PARTITION, sort("APPMARK", text("mark_id"))), of=USER)
    )
    (file,) = in_conversation("APPFILE")
    assert isinstance(file, type)
    made = store_of(note, part, inside, file)
    assert made.key_space.own == (note.layout, part, inside.layout, file.layout)
    assert set(KEY_SPACE.layouts) < set(made.key_space.layouts)
    assert made.key_space.entities["note"] is note
    assert made.key_space.domains["application"] == list(made.key_space.own)
    assert ChatStore.key_space is KEY_SPACE
    assert not KEY_SPACE.own


def test_a_subclass_of_a_store_keeps_its_kinds() -> None:
    """Also from a class that is no store, and with one kind in two repositories."""
    note = entity(Layout("note", table=KEY))
    first = store_of(note)
    more = type("More", (Repository,), {"kinds": (note,), "__module__": __name__})
    mixin = type("Mixin", (), {"others": repository(more)})
    second: Any = type("Second", (mixin, first), {})
    assert second.key_space.own == (note.layout,)
    assert isinstance(second("table").others, more)
    assert second("table").notes is not second("table").notes


@pytest.mark.parametrize("tag", [each.table.pk.tag for each in KEY_SPACE])
def test_no_partition_of_the_package_can_be_taken(tag: str) -> None:
    with pytest.raises(LayoutError):
        store_of(*with_table(partition(tag, text("mine"), text("own")), sort("NOTE")))


def test_no_tag_of_the_package_is_an_applications() -> None:
    """Tags that begin with APP belong to applications, in every release."""
    for layout in KEY_SPACE:
        for place in PLACES:
            slot = layout.slot(place)
            if slot is not None:
                assert not slot.sk.tag.startswith(OWN_TAG)
                assert not slot.pk.tag.startswith(OWN_TAG)


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        (
            lambda: with_index(partition("STATUS", text("status")), BY_ID, status=(Literal["a"],)),
            "there are only a few partitions STATUS#<status> in GSI1",
        ),
        (
            lambda: with_index(partition("DONE", flag("done")), BY_ID, done=(bool,)),
            "there are only a few partitions DONE#<done> in GSI1",
        ),
        (
            lambda: with_index(partition("DAY", time("day")), BY_ID, day=(Time,)),
            "everything that is written at one time goes to one partition DAY#<day> in GSI1",
        ),
    ],
)
def test_a_hot_spot_is_warned_of(kinds: Callable[[], Kinds], told: str) -> None:
    with pytest.warns(HotSpotWarning, match=r"MyStore: note: ") as warned:
        store_of(*kinds())
    assert told in str(warned[0].message)
    assert warned[0].filename == __file__


def test_shards_are_no_hot_spot() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store_of(
            *with_index(
                partition("STATUS", text("status"), integer("shard", 2)),
                BY_ID,
                status=(Literal["a", "b"],),
                shard=(int,),
            )
        )


class Loose:
    """No repository."""


class Bound(Messages):
    """Its own way of being made: nobody would call it."""

    def __init__(self) -> None:
        """Nothing."""


class Lettered(Repository):
    """A pattern with an id that the package may use one day."""

    @access_pattern("N1", "GetItem", "1", owner="key")
    def get(self, user_id: str) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("name", "made", "told"),
    [
        ("notes", Loose, "notes: Loose must extend dynamo_chat.entities.Repository."),
        ("notes", Messages, "notes: Messages must extend dynamo_chat.entities.Repository."),
        ("messages", Repository, "messages: the package's store has this name; choose another"),
        ("table", Repository, "table: the package's store has this name"),
        ("connection", Repository, "connection: the package's store has this name"),
        ("from_env", Repository, "from_env: the package's store has this name"),
        ("_notes", Repository, "_notes: a repository's name must not begin with an underscore."),
        ("messages", Bound, "messages: Bound is made like Messages, so it has no __init__."),
        ("notes", Lettered, "notes.get: the pattern 'N1' must be two or more capital letters"),
    ],
)
def test_a_bad_repository_is_refused_with_a_sentence(name: str, made: type, told: str) -> None:
    with pytest.raises(LayoutError) as refused:
        type("MyStore", (ChatStore,), {name: repository(made)})
    assert told in str(refused.value)
