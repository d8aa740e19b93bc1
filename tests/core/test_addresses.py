"""Two addresses of one mailbox have one normal form, and nothing else has it."""

import unicodedata

import pytest
from hypothesis import assume, given, strategies as st

from dynamo_chat.core.addresses import (
    MAX_ADDRESS_BYTES,
    MAX_LOCAL_BYTES,
    address_key,
    domain_of,
)
from dynamo_chat.core.errors import InvalidArgument

SAME = [
    ("ann@example.com", "ANN@Example.COM"),
    ("ann@bücher.example", "Ann@BÜCHER.example"),
    ("ann@bücher.example", "ann@xn--bcher-kva.example"),
    ("ann@bücher.example", "ann@bu\u0308cher.example"),  # composed and decomposed
    ("ann@example.com", "ann@ＥＸＡＭＰＬＥ．com"),
    ("ann@straße.example", "ann@xn--strae-oqa.example"),
    ("jürgen@example.com", "JÜRGEN@example.com"),
    ("jürgen@example.com", "ju\u0308rgen@example.com"),
]
DIFFERENT = [
    ("ann@example.com", "ann@mail.example.com"),
    ("ann@straße.example", "ann@strasse.example"),
    ("a.nn@example.com", "ann@example.com"),
    ("ann+news@example.com", "ann@example.com"),
    ("straße@example.com", "strasse@example.com"),
]
REFUSED = [
    "",
    "ann",
    "@example.org",
    "ann@",
    "ann@example",
    "ann@@example.com",
    "ann@bob@example.com",
    " ann@example.com",
    "ann@example.com ",
    "ann@example.com\n",
    "an n@example.com",
    "ann@exam ple.com",
    "ann\u200b@example.com",
    "ann\x00@example.com",
    "a\u037ennn@example.com",  # the Greek question mark, which composes to a semicolon
    "\u0958" * 11 + "@example.com",  # 33 bytes, and 66 when composed
    ".ann@example.com",
    "ann.@example.com",
    "a..nn@example.com",
    '"ann"@example.com',
    "ann(comment)@example.com",
    "Ann <ann@example.com>",
    "ann@[192.0.2.1]",
    "ann@192.0.2.1",
    "ann@example.com.",
    "ann@.example.com",
    "ann@-example.com",
    "ann@example-.com",
    "ann@exam_ple.com",
    "ann@xn--a.example",
    "ann@xn--.example",
    "ann@xn--bcher-kva-.example",
    "ann@exa☃mple.com",
    "ann@\u0308example.com",
    "ann@" + "b" * 64 + ".example",
    "ann@" + "ü" * 60 + ".example",
    "a" * 65 + "@example.com",
    "ü" * 33 + "@example.com",
    "ann@" + "b" * 50 + ("." + "b" * 50) * 4 + ".example",
    "ann\ud800@example.com",
    "ann@\ud800.example",
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_mailbox(one: str, other: str) -> None:
    assert address_key(one) == address_key(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_mailboxes(one: str, other: str) -> None:
    assert address_key(one) != address_key(other)


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        address_key(address, "response_email")
    assert refused.value.argument == "response_email"
    assert not address or address not in str(refused.value)


@pytest.mark.parametrize("value", [None, 5, b"ann@example.com"])
def test_what_is_no_text_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument, match="must be text"):
        address_key(value)


def test_the_domain_alone() -> None:
    assert domain_of("ann@Bücher.Example") == "xn--bcher-kva.example"
    assert domain_of("ann@Example.COM") == "example.com"


locals_ = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
labels = st.text(st.characters(categories=["L", "N", "Mn"]), min_size=1, max_size=12)


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """Addresses that are taken, in any script."""
    address = f"{draw(locals_)}@{draw(labels)}.{draw(labels)}"
    try:
        address_key(address)
    except InvalidArgument:
        assume(False)
    return address


@given(addresses())
def test_the_normal_form_is_its_own_normal_form(address: str) -> None:
    key = address_key(address)
    assert address_key(key) == key
    assert len(key.encode()) <= 2 * MAX_ADDRESS_BYTES


@given(addresses())
def test_composed_and_decomposed_forms_are_one_address(address: str) -> None:
    """Neither is refused where the other is taken, except for its length."""
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, address)
        if len(other.encode()) <= MAX_LOCAL_BYTES:
            assert address_key(other) == address_key(address)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_typed_error(text: str) -> None:
    try:
        key = address_key(text)
    except InvalidArgument:
        return
    assert key.count("@") == 1
    assert not any(letter.isspace() for letter in text)


@given(st.from_regex(r"[A-Za-z0-9]{1,10}@[A-Za-z0-9]{1,10}\.[A-Za-z]{2,4}", fullmatch=True))
def test_case_never_tells_two_plain_addresses_apart(address: str) -> None:
    assert address_key(address) == address_key(address.upper()) == address.lower()
