"""A policy that confines signed-in users to their own partitions (T3).

``dynamodb:LeadingKeys`` compares the partition key of what a request reads, of the table or of an
index, with the caller's id. So much can be allowed: reading what lies in ``USER#<id>``.

* Writing can't. A policy sees keys, not values: who may write to their own partition may give
  themselves another role, or points.
* What lies elsewhere can't. A conversation is in a partition of its own, and its key does not say
  whose it is.

For both, users go through a service that has the service policy.

IAM puts an id into the policy as it is, without the key codec's escapes. An id with ``$`` in it
could so spell the partition of another user's: ``ann$23admin`` that of ``ann#admin``. Such an id
is allowed nothing, and neither is one with the ``#`` that ends a part of a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from dynamo_chat.catalogue import Entry, id_order
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.layout import PLACES, Layout
from dynamo_chat.keyspace import KEY_SPACE, USER_PARTITION
from dynamo_chat.operations.policies import VERSION, Policy, grants, is_read, place_arn

COGNITO: Final = "${cognito-identity.amazonaws.com:sub}"
"""The policy variable that holds the id of a user of a Cognito identity pool."""

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z0-9:/@._-]+)\}", re.ASCII)
_ESCAPES: Final = ["*${$}*", "*#*"]
"""Ids that mean something to the key codec; a ``$`` is written so in a policy."""
_SERVES: Final = re.compile(r"([A-Z]+)(\d+)(?:–[A-Z]+(\d+))?")
_STAND_IN: Final = "USER-ID"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A method that the policy can't allow, and why."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class UserPolicy:
    """The policy, and what it means for each method."""

    policy: Policy
    allowed: tuple[Entry, ...]
    refused: tuple[Refusal, ...]


def user_policy(entries: Iterable[Entry], arn: str, *, subject: str = COGNITO) -> UserPolicy:
    """The policy for users whose id is the policy variable `subject`.

    An id that the key codec would write differently, with a space, ``#`` or ``$`` in it, matches
    no key: its user may read nothing. InvalidArgument when `subject` is no policy variable.
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
    # The codec would escape the variable, so it takes a place that was encoded for it.
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
                # "For all values" holds when there are none.
                "Null": {"dynamodb:LeadingKeys": "false"},
            },
        }
        for place, actions in grants(allowed).items()
    ]
    return UserPolicy({"Version": VERSION, "Statement": statements}, tuple(allowed), tuple(refused))


def _reason_against(entry: Entry) -> str | None:
    if not is_read(entry):
        return "writes, and a policy can't tell what"
    elsewhere = sorted(set(_foreign_partitions(entry)))
    return f"reads {', '.join(elsewhere)}" if elsewhere else None


def _foreign_partitions(entry: Entry) -> Iterator[str]:
    """The partitions that the method may read, but for the user's own."""
    for place in PLACES:
        name = place.index or "table"
        if name not in entry.places:
            continue
        slots = [layout.slot(place) for layout in KEY_SPACE if entry.id in _patterns_served(layout)]
        shapes = [slot.pk for slot in slots if slot is not None]
        yield from (repr(shape) for shape in shapes if shape.pattern() != USER_PARTITION.pattern())
        if not shapes:
            yield f"{name} for what the map of the table does not tell"


def _patterns_served(layout: Layout) -> set[str]:
    """The ids of ``C1–C4, C6``."""
    served: set[str] = set()
    for letters, first, last in _SERVES.findall(layout.serves):
        served.update(f"{letters}{number}" for number in range(int(first), int(last or first) + 1))
    return served


def by_pattern(entries: Iterable[Entry]) -> list[Entry]:
    """The methods in the order of their ids."""
    return sorted(entries, key=lambda entry: (id_order(entry.id), entry.method))
