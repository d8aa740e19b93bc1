"""The names of `dynamo_chat.entities` are stable: programs import them."""

import ast
from pathlib import Path

import dynamo_chat
from dynamo_chat import entities

# fmt: off
NAMES = [
    "AlreadyExists", "BEARER", "Bytes", "CONVERSATION", "CONVERSATION_PARTITION", "Check",
    "Collection", "Conflict", "ConversationItems", "CorruptItem", "Count", "Counters",
    "DEFAULT_PAGE_SIZE", "Delete", "DynamoChatError", "EMAIL_THREAD", "Entity", "ExpiresAt",
    "GSI1", "GSI2", "HotSpotWarning", "Id", "IllegalTransition", "InvalidArgument",
    "ItemTooLarge", "Items", "Json", "JsonObject", "Layout", "LayoutError", "LimitExceeded",
    "MAIL_PARTITION", "MAX_PAGE_SIZE", "Many", "Model", "NoOwner", "NotFound", "Number",
    "OPERATOR", "ORGANIZATION", "ORGANIZATION_PARTITION", "OwnFields", "OwnItem", "OwnItems",
    "Page", "PageRequest", "Place", "Put", "Repository", "RevisionConflict", "STAFF", "Shape",
    "Slot", "TABLE", "Talk", "Text", "TextSet", "Time", "UNCHANGED", "USER", "USER_PARTITION",
    "Whose", "Unchanged", "Update", "Write", "absent", "access_pattern", "digest_of", "fields",
    "flag", "integer", "live", "partition", "repository", "requires_user", "shard_of", "sort",
    "text", "time", "time_range",
]
# fmt: on
"""Names are added to this list; none is removed."""


def test_the_names_are_these() -> None:
    """Each is exported as `X as X`, so that type checkers know it as public."""
    source = Path(entities.__file__).read_text("utf-8")
    imports = [node for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)]
    exported = {alias.asname for node in imports for alias in node.names}
    assert exported == set(NAMES)
    assert all(hasattr(entities, name) for name in NAMES)


def test_every_name_is_documented_where_it_is_defined() -> None:
    """Classes and functions have a docstring."""
    for name in NAMES:
        found = getattr(entities, name)
        if isinstance(found, type) or callable(found):
            assert found.__doc__, name


def test_names_that_are_public_twice_are_the_same() -> None:
    """Errors, pages and stored entities are those of `dynamo_chat`."""
    shared = set(NAMES) & set(dynamo_chat.__all__)
    assert {"NotFound", "Page", "UNCHANGED"} <= shared
    for name in shared - {"Items"}:
        assert getattr(entities, name) is getattr(dynamo_chat, name), name
