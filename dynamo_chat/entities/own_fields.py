"""An application's own fields on a conversation or message: a typed part of its free JSON.

    class Cost(OwnFields, name="cost"):
        model: Text
        cents: Count = 0

    NewMessage(role="assistant", content="…", metadata=Cost(model="m-1", cents=3).to())
    Cost.of(message)                        Cost, or None if the message has none
    Cost.of(conversation)                   the same in the preferences of a conversation

They are stored under their name, so several programs can add theirs. Stored attributes, schema
versions, streams and exports stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol, Self

from pydantic import ValidationError

from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.entity import Model, adapter_of
from dynamo_chat.core.errors import CorruptItem, InvalidArgument

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")


class HasMetadata(Protocol):
    """A message, or a new one."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Its free JSON."""


class HasPreferences(Protocol):
    """A conversation."""

    @property
    def preferences(self) -> Mapping[str, Any] | None:
        """Its free JSON; None if it was not read."""


class OwnFields(Model):
    """Base of an application's typed fields on conversations and messages."""

    name: ClassVar[str]
    """The key of the free JSON under which they are stored. It never changes."""

    def __init_subclass__(cls, *, name: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        given = name or cls.__dict__.get("name", getattr(cls, "name", ""))
        if not isinstance(given, str) or _NAME.fullmatch(given) is None:
            raise TypeError(
                f"{cls.__name__} needs a name in lower case, under which it is stored: "
                f'class {cls.__name__}(OwnFields, name="…")'
            )
        cls.name = given

    def to(self, other: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Free JSON with these fields, beside what `other` holds."""
        return {**(other or {}), self.name: self.model_dump(mode="json", exclude_defaults=True)}

    @classmethod
    def of(cls, holder: HasMetadata | HasPreferences) -> Self | None:
        """These fields of a message or conversation; None if it has none.

        CorruptItem if what is stored under the name isn't these fields. InvalidArgument for a
        conversation of a list, whose preferences were not read: `conversations.get` reads them.
        """
        free = getattr(holder, "metadata", None)
        if free is None:
            free = holder.preferences  # type: ignore[union-attr]
        if free is None:
            raise InvalidArgument("holder", "must be a conversation whose preferences were read")
        stored = free.get(cls.name)
        if stored is None:
            return None
        try:
            found: Self = adapter_of(cls).validate_json(json_text(stored), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            reason = f"{'.'.join(map(str, (cls.name, *first['loc'])))}: {first['msg']}"
        else:
            return found
        raise CorruptItem(type(holder).__name__.lower(), reason)
