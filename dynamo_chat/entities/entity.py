"""The base class of an application's entities."""

from __future__ import annotations

from typing import Any

from dynamo_chat.core.entity import Entity as BaseEntity, Indexed
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import GSI1, GSI2


class Entity(BaseEntity):
    """One kind of item of an application. Its `layout` says where it is in the table.

    Each key component is a field of the same name. An entity is in an index while all its
    components there have a value.
    """

    def indexed(self) -> Indexed:
        """The indexes that it is in, with the values of its key components there."""
        found = {}
        for place, slot in ((GSI1, self.layout.gsi1), (GSI2, self.layout.gsi2)):
            if slot is not None:
                names = (*slot.pk.names, *slot.sk.names)
                values = {name: getattr(self, name) for name in names}
                if None not in values.values():
                    found[place] = values
        return found


def fields(entity: type[BaseEntity]) -> Any:
    """The stored fields of an entity by name, for conditions: ``fields(Note).revision == 3``.

    They are PynamoDB attributes: conditions are joined with ``&``, ``|`` and ``~``.
    """
    return plan(entity).model
