"""A policy that limits signed-in users to their own partitions (T3).

``dynamodb:LeadingKeys`` compares the partition key that a request reads, of the table or an index,
with the caller's id. So it can allow reading the partition ``USER#<id>``, but not:

* Writing: a policy sees keys, not values, so users could give themselves another role, or points.
* Other partitions: a conversation has its own partition, whose key doesn't contain its owner.

For both, users need a service with the service policy. So they do for what a list joins from other
partitions on request, such as `with_preferences`: no batch is allowed.

IAM inserts an id into the policy unchanged, without the key codec's escapes. So an id with ``$``
could match another user's partition: ``ann$23admin`` that of ``ann#admin``. Such an id is denied
everything, and so is one with ``#``, which ends a component of a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dynamo_chat.catalogue import Entry, id_order
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.keyspace import USER_PARTITION
from dynamo_chat.operations.policies import VERSION, Policy, grants, is_read, place_arn

COGNITO: Final = "${cognito-identity.amazonaws.com:sub}"
"""The policy variable with the id of a user of a Cognito identity pool."""

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z0-9:/@._-]+)\}", re.ASCII)
_ESCAPES: Final = ["*${$}*", "*#*"]
"""Ids with special characters of the key codec; ``${$}`` is a ``$`` in a policy."""
_STAND_IN: Final = "USER-ID"
_ON_ONE_PARTITION: Final = frozenset({"GetItem", "Query"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A method that the policy can't allow, and the reason."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class UserPolicy:
    """The policy, and the methods that it allows and refuses."""

    policy: Policy
    allowed: tuple[Entry, ...]
    refused: tuple[Refusal, ...]


def user_policy(entries: Iterable[Entry], arn: str, *, subject: str = COGNITO) -> UserPolicy:
    """The policy for users whose id is the policy variable `subject`.

    An id that the key codec would escape (with a space, ``#`` or ``$``) matches no key: its user
    can't read anything. InvalidArgument if `subject` isn't a policy variable.
    """
    variable = _VARIABLE.fullmatch(subject) if isinstance(subject, str) else None
    if variable is None:
        raise InvalidArgument("subject", "must be a policy variable such as ${aws:username}")
    allowed, refused = [], []
    for entry in entries:
        reason = _reason_against(entry)
        if reason is None:
            allowed.append(entry)
        else:
            refused.append(Refusal(entry, reason))
    granted = {
        place: [action for action in actions if action in _ON_ONE_PARTITION]
        for place, actions in grants(allowed).items()
    }
    # The codec would escape the variable, so it replaces an encoded placeholder.
    own = USER_PARTITION.encode(_STAND_IN).replace(_STAND_IN, subject)
    statements = [
        {
            "Sid": "Own" + ("" if place == "table" else place.capitalize()),
            "Effect": "Allow",
            "Action": [f"dynamodb:{action}" for action in actions],
            "Resource": [place_arn(arn, place)],
            "Condition": {
                "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [own]},
                "StringNotLike": {variable[1]: _ESCAPES},
                # "ForAllValues" is also true without values.
                "Null": {"dynamodb:LeadingKeys": "false"},
            },
        }
        for place, actions in granted.items()
        if actions
    ]
    return UserPolicy({"Version": VERSION, "Statement": statements}, tuple(allowed), tuple(refused))


def _reason_against(entry: Entry) -> str | None:
    if not is_read(entry):
        return "writes, and a policy can't check values"
    return None if entry.owner == "partition" else "reads outside the user's own partition"


def limit_of(entry: Entry) -> str:
    """What an allowed method can't do, and the reason; empty if it can do everything."""
    beyond = sorted(entry.operations - _ON_ONE_PARTITION)
    return f"{', '.join(beyond)} reads outside the user's own partition" if beyond else ""


def by_pattern(entries: Iterable[Entry]) -> list[Entry]:
    """The methods in the order of their ids."""
    return sorted(entries, key=lambda entry: (id_order(entry.id), entry.method))
