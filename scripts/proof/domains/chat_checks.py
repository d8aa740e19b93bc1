"""What must hold of conversations and messages when a round is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, cast

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.message import Message
from dynamo_chat.chat.preferences import ConversationPreferences
from dynamo_chat.chat.reviews import Review
from dynamo_chat.core.layout import GSI2, PK, SK, TTL, Slot
from proof.domains.chat_names import APPENDS, KEPT, SHORT, SLIDING, TALKS
from proof.domains.common import Register, linear, ordered
from proof.domains.life_names import LIFE
from proof.evidence import Evidence, Violation, told
from proof.history import NEVER, Call

TITLE: Final = cast("Slot", keyspace.CONVERSATION_TITLE.gsi2).sk


def found(evidence: Evidence) -> Iterator[str]:
    """The items that claims are about."""
    for message in evidence.entities(Message):
        talk = message.conversation_id
        if talk in {*TALKS, *SLIDING} and not message.message_id.startswith("stream"):
            yield f"message {message.conversation_id} {message.content}"
    for head in evidence.entities(Conversation):
        if head.conversation_id in {*TALKS, *SHORT, *SLIDING}:
            yield f"conversation {head.conversation_id} of {head.user_id}"
    for beside in evidence.entities(ConversationPreferences):
        for key in beside.preferences:
            yield f"preference {key} of {beside.conversation_id}"
    for review in evidence.entities(Review):
        if not review.conversation_id.startswith(LIFE):
            yield f"review {review.comments} by {review.reviewed_by}"


# -- what must hold -----------------------------------------------------------------------------


def _counts(evidence: Evidence) -> Iterator[Violation]:
    """Each conversation's counters agree with its messages and with the acknowledged appends."""
    stored = Counter(each.conversation_id for each in evidence.entities(Message))
    appends: dict[str, list[Call]] = {}
    for call in evidence.of(*APPENDS):
        appends.setdefault(call.args["talk"], []).append(call)
    for head in evidence.entities(Conversation):
        talk = head.conversation_id
        if head.message_count != stored[talk]:
            text = f"{talk} counts {head.message_count} messages and has {stored[talk]}"
            yield Violation("message_count", text)
        if talk.startswith(LIFE):
            continue  # which of its lives an append counted in, only another check knows
        sure, perhaps = _appended(appends.get(talk, []))
        if not sure <= head.appended_count <= perhaps:
            text = f"{talk} counts {head.appended_count} appended, not {sure} to {perhaps}"
            yield Violation("appended_count", text)
        if talk in SHORT and stored[talk] < min(KEPT, head.appended_count):
            yield Violation("keep_last", f"{talk} keeps {stored[talk]} of {head.appended_count}")


def _appended(calls: Sequence[Call]) -> tuple[int, int]:
    """The smallest and the largest number of messages that these calls can have appended."""
    sure: set[str] = set()
    perhaps: set[str] = set()
    for call in calls:
        ids = call.args.get("ids") or [call.args["id"]]
        if call.is_ok:
            sure.update(ids)
        if call.may_count:
            perhaps.update(ids)
    return len(sure), len(perhaps)


def _turns(evidence: Evidence) -> Iterator[Violation]:
    """Turns are complete, and their messages are together and in order."""
    places: dict[str, dict[str, str]] = {}
    for message in evidence.entities(Message):
        places.setdefault(message.conversation_id, {})[message.message_id] = message.position
    ranks = {
        talk: {position: rank for rank, position in enumerate(sorted(known.values()))}
        for talk, known in places.items()
    }
    for call in evidence.of("chat.turn"):
        talk, ids = call.args["talk"], call.args["ids"]
        there = [places.get(talk, {}).get(each) for each in ids]
        if not any(there):
            continue
        if None in there:
            yield Violation("half a turn", str(call))
            continue
        found = [ranks[talk][position] for position in there if position]
        if found != list(range(found[0], found[0] + len(ids))):
            yield Violation("a turn torn apart", f"{call} stands at {found}")


def _order(evidence: Evidence) -> Iterator[Violation]:
    """A message appended after another append had returned has a higher position."""
    for talk, calls in evidence.grouped("talk", *APPENDS).items():
        first: dict[str, Call] = {}
        for call in calls:
            # A repeated call answers with the place that an earlier one may have taken.
            key = str(call.args.get("ids") or call.args["id"])
            began = first[key].invoked if key in first else call.invoked
            if key not in first or (call.is_ok and not first[key].is_ok):
                first[key] = replace(call, invoked=began)
        done = [call for call in first.values() if call.is_ok]
        yield from ordered(
            "append order",
            talk,
            done,
            lambda call: (call.result["position"], call.result.get("last")),
        )


def _latest_seen(evidence: Evidence) -> Iterator[Violation]:
    """The latest messages are in order, and none that was acknowledged before is missing."""
    deleted = {call.args["id"] for call in evidence.of("chat.delete_message")}
    appends = evidence.grouped("talk", "chat.append", "chat.say")
    for read in evidence.of("chat.latest"):
        if not read.is_ok:
            continue
        places = [position for position, _ in read.result]
        if places != sorted(set(places)):
            yield Violation("order of a list", str(read))
        if len(places) < 15:
            places = ["", *places]
        for call in appends.get(read.args["talk"], []):
            if not (call.is_ok and call.before(read)) or call.args["id"] in deleted:
                continue
            position = call.result["position"]
            if position > places[0] and position not in places:
                yield Violation("an acknowledged message is not read", f"{call}\n    {read}")


def _walks(evidence: Evidence) -> Iterator[Violation]:
    """Reading all pages returns every item once, and nothing of other conversations."""
    owner: dict[str, str] = {}
    made: dict[str, list[Call]] = {}
    for call in evidence.of("chat.create", "chat.create_doomed"):
        owner[call.args["talk"]] = call.args["user"]
        made.setdefault(call.args["user"], []).append(call)
    doomed = {call.args["talk"] for call in evidence.of("chat.delete")}
    for read in evidence.of("chat.walk"):
        if not read.is_ok:
            continue
        user = read.args["user"]
        if len(set(read.result)) < len(read.result):
            yield Violation("a walk shows one twice", str(read))
        if foreign := [each for each in read.result if owner.get(each) != user]:
            yield Violation("a walk shows another user's", f"{foreign}: {read}")
        expected = {
            call.args["talk"]
            for call in made.get(user, [])
            if call.is_ok and call.before(read) and call.args["talk"] not in doomed
        }
        if missing := expected - set(read.result):
            yield Violation("a walk misses", f"{sorted(missing)}: {read}")


def _crossed(evidence: Evidence) -> Iterator[Violation]:
    for call in evidence.of("chat.cross"):
        if call.is_ok and call.result is not None:
            yield Violation("a cursor is taken in another list", str(call))


def _gone(evidence: Evidence) -> Iterator[Violation]:
    """Nothing is left of a conversation whose deletion was acknowledged."""
    left = Counter(item[PK]["S"] for item in evidence.items)
    deletions = evidence.grouped("talk", "chat.delete")
    creations = evidence.grouped("talk", "chat.create_doomed")
    for talk, calls in deletions.items():
        made = creations.get(talk, [])
        if any(call.is_unknown for call in made) or not any(call.is_ok for call in calls):
            continue
        key = keyspace.CONVERSATION.key(conversation_id=talk)[PK]["S"]
        if left[key]:
            kept = [item[SK]["S"] for item in evidence.items if item[PK]["S"] == key]
            yield Violation("left behind by a deletion", f"{kept}{told([*made, *calls])}")


def _finished(evidence: Evidence) -> Iterator[Violation]:
    """A message that arrived in parts is finished once, with what its finisher was told."""
    said = {
        each.message_id: each.content
        for each in evidence.entities(Message)
        if each.message_id.startswith("stream")
    }
    for message_id, calls in evidence.grouped("id", "chat.finish").items():
        done = [call for call in calls if call.is_ok]
        contents = {call.args["content"] for call in done}
        if len(contents) > 1:
            yield Violation("a message finished twice", told(done))
        if contents and said.get(message_id) not in contents:
            yield Violation("a message finished otherwise", f"{said.get(message_id)}{told(done)}")


def _deadlines(evidence: Evidence) -> Iterator[Violation]:
    """All items of a conversation have its deadline, and a sliding deadline is late enough."""
    heads = {
        keyspace.CONVERSATION.key(conversation_id=head.conversation_id)[PK]["S"]: head
        for head in evidence.entities(Conversation)
    }
    for head in heads.values():
        if not head.is_sliding:
            continue
        if head.renewing_from is not None:
            yield Violation("a renewal is not finished", head.conversation_id)
        if head.kept_until is None or head.idle_until is None:
            yield Violation("a sliding conversation without deadlines", head.conversation_id)
        elif not head.idle_until <= head.kept_until:
            text = f"{head.conversation_id}: {head.idle_until} is after {head.kept_until}"
            yield Violation("deadlines of a sliding conversation", text)
    for item in evidence.items:
        owner = heads.get(item[PK]["S"])
        if owner is not None:
            kept = owner.kept_until
            deadline = None if kept is None else str(int(kept.timestamp()))
            if item.get(TTL, {}).get("N") != deadline:
                text = f"{item[PK]['S']} / {item[SK]['S']} has {item.get(TTL)}, not {deadline}"
                yield Violation("deadline of an item", text)


def _titles(evidence: Evidence) -> Iterator[Violation]:
    """The title item of a conversation has the conversation's title."""
    hashes = {
        item[PK]["S"]: TITLE.decode(item[GSI2.sk]["S"])[0]
        for item in evidence.stored(keyspace.CONVERSATION_TITLE)
    }
    for head in evidence.entities(Conversation):
        key = keyspace.CONVERSATION.key(conversation_id=head.conversation_id)[PK]["S"]
        if hashes.get(key) != keyspace.digest_of(head.title or ""):
            yield Violation("title item", f"{head.conversation_id} is not found by {head.title!r}")


def _title_histories(evidence: Evidence) -> Iterator[Violation]:
    groups = evidence.grouped("talk", "chat.rename", "chat.title")
    for talk in TALKS:
        calls = groups.get(talk, [])
        seen = {call.result["value"] for call in calls if call.kind == "chat.title" and call.is_ok}
        # What may not have happened, and nobody saw, explains nothing.
        telling = [call for call in calls if not call.is_unknown or call.args.get("value") in seen]
        model = Register(f"about {talk}", writes="chat.rename")
        sent = [*telling, *_renamed_anew(evidence, calls)]
        yield from linear("title", talk, model, sent, reads=["chat.title"])


def _renamed_anew(evidence: Evidence, calls: Iterable[Call]) -> Iterator[Call]:
    """The renames that may have happened twice: a restarted server has forgotten its tokens."""
    for call in calls:
        if call.kind == "chat.rename" and call.may_count and evidence.was_restarted(call):
            yield replace(call, outcome="unknown", returned=NEVER)


class _State:
    """The state of a conversation: each save is on the revision that was read."""

    initial = (0, "")

    def after(self, state: tuple[int, str], call: Call) -> Iterable[tuple[int, str]]:
        """The revisions that may follow."""
        revision, _ = state
        if call.kind == "chat.state":
            return [state] if tuple(call.result) == state else []
        if call.is_ok and call.result["revision"] != revision + 1:
            return []
        return [(revision + 1, call.args["value"])]


def _state_histories(evidence: Evidence) -> Iterator[Violation]:
    for talk, calls in evidence.grouped("talk", "chat.save_state", "chat.state").items():
        telling = [call for call in calls if call.may_count]
        yield from linear("state", talk, _State(), telling, reads=["chat.state"])


CHECKS: Final = [
    ("counters of conversations", _counts),
    ("turns", _turns),
    ("order of messages", _order),
    ("latest messages", _latest_seen),
    ("pages", _walks),
    ("cursors", _crossed),
    ("deletions", _gone),
    ("titles", _titles),
    ("streamed messages", _finished),
    ("deadlines", _deadlines),
    ("histories of titles", _title_histories),
    ("histories of states", _state_histories),
]
