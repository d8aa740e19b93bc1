"""Cheap input makes no dear work: lengths come first, JSON is counted, errors stay short."""

import inspect
import json
import logging
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from dynamo_chat import ChatStore, ConnectionOptions, NewMessage
from dynamo_chat.catalogue import repositories
from dynamo_chat.core import attributes, errors, patterns, repository
from dynamo_chat.core.addresses import address_key
from dynamo_chat.core.attributes import unpacked
from dynamo_chat.core.bearer import hash_of
from dynamo_chat.core.changes import checked
from dynamo_chat.core.entity import MAX_JSON_VALUES, Many, Model, adapter_of, json_copy
from dynamo_chat.core.errors import (
    MAX_SHOWN,
    AlreadyExists,
    Conflict,
    CorruptItem,
    DynamoChatError,
    InvalidArgument,
    InvalidCursor,
    InvalidKey,
    ItemTooLarge,
    NotFound,
)
from dynamo_chat.core.item import plan
from dynamo_chat.core.keys import integer, partition, sort, text
from dynamo_chat.core.page import check_page_size
from dynamo_chat.core.patterns import MAX_ARGUMENT_CHARACTERS, declared_pattern
from dynamo_chat.core.size import DEFAULT_BODY_BYTES, MAX_BODY_BYTES
from dynamo_chat.keyspace import KEY_SPACE
from tests.core.things import Thing
from tests.scene import Scene

MB = 1_000_000
HUGE = 10**5_000
"""An integer that Python refuses to write out."""

CJK = "".join(chr(0x4E00 + number) for number in range(20_000))


def seconds(work: Callable[[], Any]) -> float:
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


# -- lengths --------------------------------------------------------------------------------------


CHECKS: dict[str, Callable[[str], Any]] = {
    "domain": lambda word: address_key(f"a@{word}.com"),
    "local part": lambda word: address_key(f"{word}@example.com"),
    "secret": lambda word: hash_of("email", word),
    "partition key": lambda word: partition("T", text("email")).encode(word),
    "sort key": lambda word: sort("T", text("email")).encode(word),
}


def test_a_long_cursor_is_no_cursor(scene: Scene) -> None:
    for length in (2_049, 5_000, 10 * MB):
        with pytest.raises(InvalidCursor, match="too long"):
            scene.new_store().conversations.list_by_user("u-1", cursor="A" * length)


@pytest.mark.parametrize("length", [3_000, 15_000, 10 * MB])
@pytest.mark.parametrize("letters", [CJK, "a", "$", "\u0130"])
@pytest.mark.parametrize("check", CHECKS)
def test_a_long_text_is_refused_for_its_length(check: str, letters: str, length: int) -> None:
    word = (letters * (length // len(letters) + 1))[:length]
    with pytest.raises(InvalidArgument) as refused:
        CHECKS[check](word)
    assert len(str(refused.value)) < 200
    # Distinct ideographs took 3 s at 15 kB, and the square of it beyond; this is linear.
    assert seconds(lambda: _suppressed(CHECKS[check], word)) < 0.05 + length / (20 * MB)


@pytest.mark.parametrize("check", ["domain", "local part"])
def test_the_longest_address_is_cheap(check: str) -> None:
    assert seconds(lambda: _suppressed(CHECKS[check], CJK[:250])) < 0.05


def _suppressed(check: Callable[[str], Any], word: str) -> None:
    try:
        check(word)
    except InvalidArgument:
        return


def _methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, kind in repositories().items():
        for member, method in inspect.getmembers(kind, callable):
            if declared_pattern(method) is not None:
                yield f"{name}.{member}", method


METHODS = dict(_methods())


def _texts(method: Callable[..., Any]) -> Iterator[str]:
    for name, parameter in inspect.signature(method).parameters.items():
        if str(parameter.annotation).startswith("str"):
            yield name


@pytest.mark.parametrize("name", METHODS)
def test_every_text_argument_is_short_or_a_body(name: str) -> None:
    """Before the method looks at it: it has not even a repository here."""
    method = METHODS[name]
    for argument in _texts(method):
        if argument in patterns._BODIES or argument == patterns._CURSOR:
            continue
        with pytest.raises(InvalidArgument) as refused:
            method(None, **{argument: "x" * (MAX_ARGUMENT_CHARACTERS + 1)})
        assert refused.value.argument == argument


def test_which_arguments_are_bodies() -> None:
    """Each name is an argument of some method: the list does not outgrow what there is."""
    assert set(patterns._BODIES) <= {each for method in METHODS.values() for each in _texts(method)}


# -- what errors show -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        NotFound("conversation", "x" * MB),
        InvalidArgument("metadata." + "k" * MB, "no " * MB),
        InvalidKey("name", "x" * MB),
        AlreadyExists("taken: " + "x" * MB),
        CorruptItem("message", "its kind is " + "x" * MB, {"message_id": "y" * MB}),
        CorruptItem("message", "odd", {"number_at": 10**4_000}),
        errors.RequestRejected("x" * MB),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_short(error: DynamoChatError) -> None:
    assert len(str(error)) <= MAX_SHOWN
    assert len(repr(error)) < 2 * MAX_SHOWN


def test_a_short_error_is_whole() -> None:
    assert str(NotFound("user", "u-1")) == "user 'u-1' was not found"
    assert str(Conflict("x" * MAX_SHOWN)) == "x" * MAX_SHOWN


SECRET = "correct horse battery staple"


class Note(Model):
    """Something private."""

    text: str
    marks: Many[int] = ()


def _reveals(error: BaseException) -> bool:
    return SECRET in "".join(traceback.format_exception(error))


def _raised(work: Callable[[], Any]) -> BaseException:
    with pytest.raises((DynamoChatError, ValidationError)) as caught:
        work()
    return caught.value


def test_no_traceback_shows_what_was_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Nor do the errors that led to it."""
    item = plan(Thing).encode(Thing(group="g", name="n-1"))
    adapter = adapter_of(Many[int])
    works: list[Callable[[], Any]] = [
        lambda: Note(text=7, marks=SECRET),  # type: ignore[arg-type]
        lambda: Note(text="a", marks=[SECRET]),  # type: ignore[list-item]
        lambda: checked(Note, marks=[SECRET]),
        lambda: adapter.validate_python([SECRET]),
        lambda: adapter.validate_json(json.dumps([SECRET])),
        lambda: plan(Thing).decode({**item, "note": {"S": [SECRET]}}),
        lambda: NewMessage(role=SECRET, content="x"),  # type: ignore[arg-type]
        lambda: NewMessage(role="user", metadata={"a": {SECRET}}),
    ]
    for work in works:
        error = _raised(work)
        assert not _reveals(error)
        logging.getLogger("test").error("failed", exc_info=error)
    assert SECRET not in caplog.text


def test_what_would_reveal_is_seen() -> None:
    assert _reveals(_raised(lambda: TypeAdapter(int).validate_python(SECRET)))


def _models(kind: type[Model]) -> Iterator[type[Model]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _models(below)


def test_every_model_hides_its_input() -> None:
    assert {*_models(Model)} >= set(KEY_SPACE.entities.values())
    for model in _models(Model):
        assert model.model_config.get("hide_input_in_errors") is True, model


# -- JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        [[]] * (MAX_JSON_VALUES + 1),
        {"a": [[]] * MAX_JSON_VALUES},
        [[0] * 1_000] * 100,
        {str(number): 0 for number in range(MAX_JSON_VALUES + 1)},
    ],
    ids=["list", "in an object", "in parts", "object"],
)
def test_json_has_so_many_values(value: Any) -> None:
    with pytest.raises(ValueError, match="at most 100,000 values"):
        json_copy(value)


def test_json_may_have_so_many() -> None:
    assert len(json_copy([0] * MAX_JSON_VALUES)) == MAX_JSON_VALUES


def test_a_refusal_costs_no_more_than_its_bound() -> None:
    """What is behind the last value that is taken is not looked at."""
    many: list[Any] = [[]] * 5_500_000
    begun = time.thread_time()
    with pytest.raises(ValueError, match="at most"):
        json_copy({"a": many})
    assert time.thread_time() - begun < 0.5


def test_metadata_of_millions_of_values(scene: Scene) -> None:
    """It is stored in 16 KB, and took 369 MB to read."""
    store = scene.new_store()
    store.conversations.create("u-1", conversation_id="c-1")
    with pytest.raises(InvalidArgument, match="metadata: may have at most 100,000 values"):
        store.messages.append(
            "c-1", NewMessage(role="user", content="hi", metadata={"a": [[]] * 5_500_000})
        )


# -- bodies ---------------------------------------------------------------------------------------


def test_a_body_has_what_the_store_takes(scene: Scene) -> None:
    """A megabyte unless told; what was written is read by every store."""
    small = scene.new_store(options=ConnectionOptions(max_body_bytes=2_000))
    usual = scene.new_store(options=ConnectionOptions())
    large = scene.new_store(options=ConnectionOptions(max_body_bytes=MAX_BODY_BYTES))
    large.conversations.create("u-1", conversation_id="c-1")

    def append(store: ChatStore, size: int) -> None:
        message = NewMessage(role="user", content="x" * size, message_id=f"m-{size}")
        store.messages.append("c-1", message)

    for store, limit in ((small, 2_000), (usual, DEFAULT_BODY_BYTES), (large, MAX_BODY_BYTES)):
        append(store, limit)
        with pytest.raises(ItemTooLarge, match=f"this store allows at most {limit:,} bytes"):
            append(store, limit + 1)
    found = small.messages.get("c-1", f"m-{MAX_BODY_BYTES}")
    assert len(found.content or "") == MAX_BODY_BYTES


@pytest.mark.parametrize(
    "wrong",
    [0, 1_023, MAX_BODY_BYTES + 1, 2e4, "1", True, None, HUGE],
    ids=lambda each: type(each).__name__,
)
def test_what_is_no_size_of_a_body_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidArgument, match="max_body_bytes: must be an integer from 1,024"):
        ConnectionOptions(max_body_bytes=wrong)


def test_a_page_ends_where_its_bodies_are_enough(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next one goes on there: nothing is lost, nothing comes twice."""
    store = scene.new_store()
    store.conversations.create("u-1", conversation_id="c-1")
    names = [f"m-{number}" for number in range(10)]
    for name in names:
        body = name + "x" * 10_000
        store.messages.append("c-1", NewMessage(role="user", content=body, message_id=name))
    assert len(store.messages.list("c-1")) == 10
    monkeypatch.setattr(repository, "MAX_PAGE_BODY_BYTES", 25_000)
    for forward in (True, False):
        pages, cursor = [], None
        while True:
            page = store.messages.list("c-1", cursor=cursor, newest_first=not forward)
            pages.append([(each.content or "").rstrip("x") for each in page])
            cursor = page.cursor
            if cursor is None:
                break
        assert [len(page) for page in pages] == [3, 3, 3, 1]
        listed = [each for page in pages for each in page]
        assert listed == (names if forward else names[::-1])


def test_what_decompressing_costs_is_counted() -> None:
    before = attributes.inflated()
    unpacked({"B": zlib.compress(b"x" * 5_000)})
    unpacked({"S": "x" * 5_000})
    assert attributes.inflated() - before == 5_000


# -- integers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "work",
    [
        lambda: check_page_size(HUGE),
        lambda: sort("T", integer("email", 4)).encode(HUGE),
        lambda: NewMessage(role="user", metadata={"a": HUGE}),
        lambda: NewMessage(role="user", metadata={"a": [-HUGE]}),
        lambda: NewMessage(role="user", content=HUGE),  # type: ignore[arg-type]
        lambda: checked(Thing, is_hidden=HUGE),
        lambda: ConnectionOptions(max_attempts=HUGE),
        lambda: ConnectionOptions(read_timeout=HUGE),
    ],
)
def test_an_integer_that_cannot_be_written_out_is_refused(work: Callable[[], Any]) -> None:
    with pytest.raises(InvalidArgument):
        work()


ENTITIES = list(KEY_SPACE.entities.values())


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.__name__)
def test_no_field_fails_on_such_an_integer(entity: type[Model]) -> None:
    """Neither as an argument nor as what is stored."""
    for name in entity.model_fields:
        with pytest.raises(InvalidArgument):
            checked(entity, **{name: HUGE})


@pytest.mark.parametrize("digits", [400, 5_000, MB])
def test_such_an_integer_in_the_table_is_damage(digits: int) -> None:
    for entity in ENTITIES:
        for attribute in plan(entity).attributes.values():
            if isinstance(attribute, attributes.IntegerAttribute | attributes.JsonAttribute):
                raw = {attribute.attr_type: "9" * digits}
                decode = plan(entity).decoders[attribute.attr_name][1]
                if attribute.attr_type == "N" and digits <= 4_300:
                    assert decode(raw) == 10**digits - 1
                    continue
                with pytest.raises((ValueError, TypeError)):
                    decode(raw)


def test_free_json_with_such_an_integer_is_damage() -> None:
    """Up to 4,300 digits it is read, and can be written out."""
    decode = attributes.FreeJsonAttribute.decode
    assert decode({"S": "9" * 4_300}) == 10**4_300 - 1
    for digits in (4_301, 5_000, MB):
        with pytest.raises(ValueError, match="out of range"):
            decode({"S": f'{{"a": {"9" * digits}}}'})
