"""Searches the whole table for texts that name a person, for the receipt of an erasure.

No index leads to a text: a tool's result, an e-mail of another account, a review. So this is an
operator's task like the doctor's: it reads every item once, at a limited rate, and lists where the
person's id, addresses or name are found. Whether the person is meant, a human decides.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from dynamo_chat.core.clock import system_clock
from dynamo_chat.core.connection import AttributeValues, Connection
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.item import UNREADABLE, key_parts, plan, text_in
from dynamo_chat.core.layout import KIND, PK, SK, KeySpace
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.operations.doctor.reading import Pace, PacedConnection, Reader
from dynamo_chat.workflows.person_records import Mention

MAX_WORDS: Final = 50
_SHORTEST: Final = 2
_MOST_MARKS: Final = 30
"""The most marks of a letter that are compared: Unicode's own bound for streams of text."""
_UNSPACED: Final = (
    "CJK",
    "HANGUL",
    "HIRAGANA",
    "KATAKANA",
    "KHMER",
    "LAO",
    "MYANMAR",
    "THAI",
    "TIBETAN",
)
"""Scripts in which other words, or endings, touch a name: no space shows where it ends."""
_WHY: Final = "its text has the person's id, an address or a name"


def find_mentions(
    connection: Connection,
    words: Iterable[str],
    *,
    key_space: KeySpace = KEY_SPACE,
    read_units_per_second: float | None = 100,
    page_size: int = 500,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Iterator[Mention]:
    """Yield each item in the table in which one of the words is found, as a whole word.

    Upper and lower case are the same, and so are other forms of the same letters, such as full
    width. In scripts without spaces, a word is found within a text. Compressed bodies are searched,
    too; helper items are not, as they go with their entity. `on_progress` is called with the number
    of items read. Reads the whole table: a read unit for each 4 KB. InvalidArgument.
    """
    wanted = check_words(words)
    paced = PacedConnection(connection, Pace(read_units_per_second))
    return _found(Reader(paced, system_clock), wanted, key_space, page_size, on_progress)


def _found(
    reader: Reader,
    wanted: re.Pattern[str],
    key_space: KeySpace,
    page_size: int,
    on_progress: Callable[[int], object],
) -> Iterator[Mention]:
    count = 0
    for items, _ in reader.scan(page_size):
        for item in items:
            layout = key_space.layouts.get(text_in(item, KIND) or "")
            if layout is not None and layout.helper:
                continue
            fields = [name for name, text in _texts(item, key_space) if wanted.search(_plain(text))]
            if fields:
                kind = text_in(item, KIND) or "unknown"
                yield Mention(kind, _ids(item, key_space), tuple(fields), _WHY)
        count += len(items)
        on_progress(count)


def check_words(words: Iterable[str]) -> re.Pattern[str]:
    """The pattern that finds the words in a `_plain` text. InvalidArgument."""
    found = {_plain(each.strip()) for each in words}
    if not found or len(found) > MAX_WORDS or any(len(each) < _SHORTEST for each in found):
        raise InvalidArgument("words", f"must be 1 to {MAX_WORDS} texts of 2 characters or more")
    longest_first = sorted(found, key=len, reverse=True)
    return re.compile("|".join(map(_alone, longest_first)))


def _plain(text: str) -> str:
    """The text in one form of its letters, whatever their case and width, composed or not."""
    if text.isascii():
        return text.lower()
    # Composing sorts the marks of a letter, in time quadratic in their number.
    few = "".join(_with_few_marks(text))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", few).casefold())


def _with_few_marks(text: str) -> Iterator[str]:
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MOST_MARKS:
            yield character


def _alone(word: str) -> str:
    """The pattern of a word that does not go on before or behind, where that can be seen."""
    before = "" if _touches_others(word[0]) else r"(?<!\w)"
    behind = "" if _touches_others(word[-1]) else r"(?!\w)"
    return f"{before}{re.escape(word)}{behind}"


def _touches_others(character: str) -> bool:
    return unicodedata.name(character, "").startswith(_UNSPACED)


def _texts(item: AttributeValues, key_space: KeySpace) -> Iterator[tuple[str, str]]:
    """The fields of an item with all that they say; the attributes if it can't be read."""
    entity = key_space.entities.get(text_in(item, KIND) or "")
    try:
        said: dict[str, Any] = dict(item) if entity is None else _said(plan(entity).decode(item))
    except (CorruptItem, *UNREADABLE):
        said = dict(item)
    for name, value in said.items():
        yield name, "\n".join(_inside(value))


def _inside(value: Any) -> Iterator[str]:
    """Every text in a value, also names; numbers as texts."""
    left = [value]
    while left:
        match left.pop():
            case Mapping() as found:
                left += [*found.values(), *found]
            case list() | tuple() | set() as found:
                left += found
            case found:
                yield str(found)


def _said(entity: Any) -> dict[str, Any]:
    found: dict[str, Any] = entity.model_dump(mode="json")
    return found


def _ids(item: AttributeValues, key_space: KeySpace) -> tuple[tuple[str, str], ...]:
    """The ids in the item's key; the key as it is if its kind is unknown."""
    layout = key_space.layouts.get(text_in(item, KIND) or "")
    try:
        if layout is not None:
            parts = (*key_parts(layout, item, PK), *key_parts(layout, item, SK))
            names = (*layout.table.pk.names, *layout.table.sk.names)
            return tuple((name, str(part)) for name, part in zip(names, parts, strict=True))
    except CorruptItem:
        pass
    return ((PK, item[PK]["S"]), (SK, item[SK]["S"]))
