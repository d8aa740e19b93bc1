"""The methods of a store on damaged items, and its paged methods with cursors of any kind."""

import base64
from random import Random
from typing import Any, Final
from unittest.mock import patch

from dynamo_chat.cases.limits import NotRefused
from dynamo_chat.core import errors
from dynamo_chat.core.page import Items, Page
from fuzzing.corpus import OTHER, Theatre, stored_items, town
from fuzzing.image import Item, Key
from fuzzing.mutation import mutated, mutated_text
from fuzzing.paging import EVERYBODYS, paged
from fuzzing.parsers import Input, Untyped

_KEYS: Final = ("PK", "SK")
_INDEX_KEYS: Final = ("GSI1PK", "GSI1SK", "GSI2PK", "GSI2SK")
_HEADS: Final = frozenset({"conversation", "email_thread", "organization", "user", "caller"})
"""The kinds without which there is no list at all. Any other damaged item only leaves a gap."""


class Methods:
    """Every method of the catalogue, with one or two items of its table damaged."""

    name = "methods"

    def __init__(self, theatre: Theatre) -> None:
        self._theatre = theatre
        self._scenes = {(each.method, each.place): each for each in theatre.scenes}
        self._parts = [value for item in stored_items(theatre) for value in item.values()]

    def make(self, rng: Random) -> Input:
        """A call, the items that are changed, and the dice."""
        scene = rng.choice(self._theatre.scenes)
        keys = scene.shown if scene.shown and rng.random() < 0.9 else tuple(scene.image.items)
        changes: list[list[Any]] = []
        for key in rng.sample(keys, min(len(keys), 1 if rng.random() < 0.8 else 2)):
            if rng.random() < 0.03:
                changes.append([*key, None])
                continue
            changes += _storable(key, mutated(scene.image.items[key], rng, self._parts))
        return [scene.method, scene.place, changes, rng.getrandbits(30)]

    def run(self, made: Input) -> str:
        """The outcome of the call."""
        method, place, changed, dice = made
        scene = self._scenes[method, place]
        changes: dict[Key, Item | None] = {(pk, sk): item for pk, sk, item in changed}
        try:
            found = self._theatre.play(scene, changes, dice)
        except NotRefused:
            return "answered"  # what is left of a damaged window has room
        except errors.InvalidKey as error:
            raise Untyped("what is stored was used as a key") from error
        except errors.InvalidCursor as error:
            raise Untyped("there was no cursor, or a good one") from error
        except errors.CorruptItem as error:
            if _is_list(method) and error.kind not in _HEADS:
                raise Untyped("a list was lost with one of its items") from error
            raise
        return _said(found)


class Cursors:
    """Every paged method of one user, with cursors that are altered, forged, or from elsewhere.

    A forger knows everything: no store here has a secret, and marks are made for the right call.
    """

    name = "cursors"

    def __init__(self, theatre: Theatre) -> None:
        self._theatre = theatre
        self._scene = town()
        self._calls = paged(theatre.store)
        sealed: list[tuple[str, tuple[Any, ...], str]] = []
        self._real: list[str] = []
        self._asked: dict[str, tuple[str, tuple[Any, ...], str]] = {}
        codec = theatre.store._binding.cursors  # noqa: SLF001 - a forger's own
        self._seal = codec.seal

        def seal(pattern: str, arguments: Any, position: str, **more: Any) -> str:
            sealed.append((pattern, tuple(arguments), position))
            return self._seal(pattern, arguments, position, **more)

        with patch.object(codec, "seal", seal):
            for method, call in self._calls.items():
                theatre.enter(self._scene)
                page = call(None, page_size=1)
                if page.cursor is not None:
                    self._real.append(page.cursor)
                    self._asked[method] = sealed[-1]
        self._positions = sorted(
            {
                item[name]["S"]
                for item in (*stored_items(theatre), *self._scene.image.items.values())
                for name in ("SK", "GSI1SK", "GSI2SK")
                if name in item
            }
        )

    def make(self, rng: Random) -> Input:
        """A method and a cursor."""
        method = rng.choice(list(self._calls))
        if rng.random() < 0.3:
            return [method, mutated_text(rng.choice(self._real), rng)]
        pattern, arguments, position = self._asked.get(method, ("", (), ""))
        if rng.random() < 0.5:
            position = rng.choice(self._positions)
        if rng.random() < 0.6:
            position = mutated_text(position, rng)
        if not pattern or rng.random() < 0.1:
            body = position.encode("utf-8", "surrogatepass")
            packed = rng.choice((b"\x01", b"\x02", b"\x00")) + rng.randbytes(16) + body
            return [method, base64.urlsafe_b64encode(packed).decode().rstrip("=")]
        position = position.encode("utf-8", "ignore").decode()
        return [method, self._seal(pattern, arguments, position, is_stray=rng.random() < 0.5)]

    def run(self, made: Input) -> str:
        """Read a page of the user's own items, unless InvalidCursor is raised before any read."""
        method, cursor = made
        self._theatre.enter(self._scene)
        try:
            page = self._calls[method](cursor)
        except errors.InvalidCursor:
            if self._theatre.table.shown:
                raise Untyped("something was read for a bad cursor") from None
            raise
        except errors.InvalidArgument as error:
            raise Untyped("the cursor was to blame") from error
        if OTHER in repr(page.items) and method not in EVERYBODYS:
            raise Untyped("somebody else's things")
        return _said(page)


def _storable(key: Key, item: Any) -> list[list[Any]]:
    """A damaged item as DynamoDB could store it: its key attributes are text."""
    if not isinstance(item, dict):
        return [[*key, None]]
    stored = {name: value for name, value in item.items() if name}
    for name in _INDEX_KEYS:
        if name in stored and not _is_text(stored[name], 2_048):
            del stored[name]
    own = [
        stored[name]["S"] if _is_text(stored.get(name), 1_024) else at
        for name, at in zip(_KEYS, key, strict=True)
    ]
    stored |= {name: {"S": at} for name, at in zip(_KEYS, own, strict=True)}
    if tuple(own) == key:
        return [[*key, stored]]
    return [[*key, None], [*own, stored]]


def _is_text(stored: Any, limit: int) -> bool:
    if not isinstance(stored, dict) or list(stored) != ["S"] or not isinstance(stored["S"], str):
        return False
    try:
        return 1 <= len(stored["S"].encode()) <= limit
    except UnicodeEncodeError:
        return False


def _is_list(method: str) -> bool:
    name = method.partition(".")[2]
    is_paged = name.startswith(("list_", "find_by_")) or name == "list"
    return is_paged or method in {"messages.latest", "messages.latest_with_conversation"}


def _said(found: object) -> str:
    """The type of the result, in a word."""
    if isinstance(found, tuple) and found and isinstance(found[-1], Items):
        found = found[-1]
    if isinstance(found, (Page, Items)):
        return "page, damage told" if found.unreadable else "page"
    return "answered"
