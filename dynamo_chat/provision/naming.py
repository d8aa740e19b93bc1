"""Names of tables: one pattern for all stages, filled in for one stage."""

from __future__ import annotations

import re
from typing import Literal

from dynamo_chat.core.errors import InvalidArgument

Placement = Literal["prefix", "suffix"]
STAGE = "{stage}"
_TABLE_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}", re.ASCII)
_WORDS = re.compile(r"[^a-zA-Z0-9]+")


def table_name(name: str, stage: str | None = None, placement: Placement = "suffix") -> str:
    """The table's name for a stage.

    ``{stage}`` in `name` is replaced; a name without it gets the stage as prefix or suffix:
    ``chat-dev``, ``dev-chat``, ``acme-dev-chat``. InvalidArgument if that isn't a table name.
    """
    if stage is not None and STAGE in name:
        full = name.replace(STAGE, stage)
    elif stage is not None:
        full = f"{stage}-{name}" if placement == "prefix" else f"{name}-{stage}"
    else:
        full = name
    if _TABLE_NAME.fullmatch(full) is None:
        why = "names a {stage}, but none is given" if STAGE in full else f"is not one: {full!r}"
        raise InvalidArgument("table name", f"{why}; 3 to 255 letters, digits, '-', '_' or '.'")
    return full


def logical_name(name: str) -> str:
    """`name` as a logical id of CloudFormation, letters and digits: ``ChatProd``."""
    return "".join(word[:1].upper() + word[1:] for word in _WORDS.split(name) if word)


def identifier(name: str) -> str:
    """`name` as an identifier of Terraform: ``chat_prod``."""
    word = _WORDS.sub("_", name).strip("_").lower()
    return word if word[:1].isalpha() else f"table_{word}"
