"""Rules for e-mails with their threads and ids, and for LLM interactions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dynamo_chat import keyspace
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Entity, validated
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.item import plan, with_index_keys
from dynamo_chat.core.layout import GSI2, PK, SK, VERSION
from dynamo_chat.core.pairs import CONTENT
from dynamo_chat.core.transaction import Check, Key, key_of
from dynamo_chat.mail.adding import id_items, pointed_place
from dynamo_chat.mail.email import EmailContent, EmailSummary, NewEmail, digest_of, parse_minted
from dynamo_chat.mail.thread import thread_key
from dynamo_chat.operations.doctor.conditions import same, set_attributes
from dynamo_chat.operations.doctor.findings import Problem, kind_of
from dynamo_chat.operations.doctor.forms import Subject, index_difference, older_version
from dynamo_chat.operations.doctor.relations import (
    Found,
    Relation,
    Rules,
    is_of,
    leads_nowhere,
    missing,
    orphan,
    reachable_orphan,
)
from dynamo_chat.telemetry.llm import LLMUsage

_ACCOUNT: Final = "account_id"
_EMAIL, _USAGE = "email", "usage"
"""Their `part`: the last component of their sort keys."""


def _thread_of(item: AttributeValues) -> Key:
    (conversation_id,) = keyspace.MAIL_PARTITION.decode(item[PK]["S"])
    return thread_key(conversation_id)


def _is_going(thread: AttributeValues | None) -> bool:
    return is_of(thread, keyspace.EMAIL_THREAD_TOMBSTONE)


def _email(subject: Subject) -> Relation:
    email = subject.of(EmailSummary)
    content = keyspace.EMAIL_CONTENT.key(**{**email.__dict__, "part": CONTENT})
    has_response_id = parse_minted(email.response_id) is None
    ids = [key_of(item) for item in id_items(email, "", has_response_id=has_response_id)]

    def judge(found: Found) -> Iterator[Problem]:
        thread, said, *pointers = found
        if _is_going(thread):
            return
        if thread is None:
            yield reachable_orphan("its thread doesn't exist, but lists still return the e-mail")
            return
        if said is None:
            yield Problem("missing_item", "its content is missing and can't be restored")
            return
        try:
            digest = _digest(email, said)
        except (CorruptItem, InvalidArgument):
            return  # reported for the content
        wanted = id_items(email, digest, has_response_id=has_response_id)
        for made, there in zip(wanted, pointers, strict=True):
            what = "Message-ID" if "conversation_id" in made else "response id"
            if there is None:
                says = f"the {what} item is missing: the e-mail may be added a second time"
                yield missing(subject, made, says)
            elif there.get("entry_id") != made["entry_id"]:
                says = f"the {what} item points to another e-mail"
                yield Problem("leads_elsewhere", says, evidence=what)

    return Relation((_thread_of(subject.item), content, *ids), judge)


def _digest(email: EmailSummary, content: AttributeValues) -> str:
    """The digest of the e-mail as it would be added now."""
    said = plan(EmailContent).decode(content)
    fields = {**email.__dict__, **said.__dict__}
    new = {name: fields[name] for name in NewEmail.model_fields if name != "response_id"}
    return digest_of(validated(NewEmail, **new), email.conversation_id)


def _half(subject: Subject, part: str, what: str) -> Relation:
    """The rule of a content item: the record that it is the content of must exist."""
    content = subject.of(Entity)
    key = subject.layout.key(**{**content.__dict__, "part": part})

    def judge(found: Found) -> Iterator[Problem]:
        thread, record = found
        if record is None and not _is_going(thread):
            yield leads_nowhere(subject, key, f"the {what} of this content doesn't exist")

    return Relation((_thread_of(subject.item), key), judge)


def _pointer(subject: Subject) -> Relation:
    key = keyspace.EMAIL.key(**pointed_place(subject.item)._asdict(), part=_EMAIL)

    def judge(found: Found) -> Iterator[Problem]:
        thread, email = found
        if _is_going(thread):
            return
        if email is None:
            yield leads_nowhere(subject, key, "the e-mail that it points to doesn't exist")
        elif not _names(subject, email):
            name = _ID_OF[kind_of(subject.item)]
            others = Check(key, same((name,), email))
            yield orphan(subject, "the e-mail that it points to has another id", others)
        elif is_of(subject.item, keyspace.EMAIL_RESPONSE_ID):
            yield from _of_its_owner(subject, email)

    return Relation((thread_key(pointed_place(subject.item).conversation_id), key), judge)


def _of_its_owner(subject: Subject, email: AttributeValues) -> Iterator[Problem]:
    """A problem if a response id item isn't indexed by the account of its e-mail."""
    layout, item = keyspace.EMAIL_RESPONSE_ID, subject.item
    (conversation_id,) = keyspace.MAIL_PARTITION.decode(item[PK]["S"])
    (response_id,) = layout.table.sk.decode(item[SK]["S"])
    account_id = email.get(_ACCOUNT, {}).get("S")
    if not isinstance(account_id, str):
        return  # reported for the e-mail
    fields = {
        "conversation_id": conversation_id,
        "response_id": response_id,
        "owner_hash": keyspace.digest_of(account_id),
    }
    wanted = with_index_keys({}, layout, fields, GSI2)
    owned = Check(key_of(email), same((_ACCOUNT,), email))
    version = int(item[VERSION]["N"])
    if version < layout.version:
        changes = {**wanted, VERSION: {"N": str(layout.version)}, _ACCOUNT: {"S": account_id}}
        yield older_version(version, layout.version, owned, set_attributes(item, changes))
        return
    yield from index_difference(item, wanted, owned)


_ID_OF: Final = {
    keyspace.EMAIL_RESPONSE_ID.kind: "response_id",
    keyspace.EMAIL_MESSAGE_ID.kind: "message_id",
}


def _names(subject: Subject, email: AttributeValues) -> bool:
    """True if the e-mail has the id of this id item."""
    if is_of(subject.item, keyspace.EMAIL_RESPONSE_ID):
        (response_id,) = keyspace.EMAIL_RESPONSE_ID.table.sk.decode(subject.item[SK]["S"])
        return email.get("response_id") == {"S": response_id}
    account_id, message_hash = keyspace.EMAIL_MESSAGE_ID.table.pk.decode(subject.item[PK]["S"])
    message_id = email.get("message_id", {}).get("S")
    return (
        email.get("account_id") == {"S": account_id}
        and isinstance(message_id, str)
        and keyspace.digest_of(message_id) == message_hash
    )


def _usage(subject: Subject) -> Relation:
    usage = subject.of(LLMUsage)

    def judge(found: Found) -> Iterator[Problem]:
        thread, content = found
        if usage.has_content and content is None and not _is_going(thread):
            yield Problem("missing_item", "its content is missing and can't be restored")

    content = keyspace.LLM_CONTENT.key(**{**usage.__dict__, "part": CONTENT})
    return Relation((_thread_of(subject.item), content), judge)


MAIL_RULES: Final[Rules] = {
    keyspace.EMAIL.kind: _email,
    keyspace.EMAIL_CONTENT.kind: lambda subject: _half(subject, _EMAIL, "e-mail"),
    keyspace.EMAIL_RESPONSE_ID.kind: _pointer,
    keyspace.EMAIL_MESSAGE_ID.kind: _pointer,
    keyspace.LLM_USAGE.kind: _usage,
    keyspace.LLM_CONTENT.kind: lambda subject: _half(subject, _USAGE, "interaction"),
}
