"""E-mail addresses: which are accepted, and when two of them are the same mailbox.

An address is stored as it was given. Keys and comparisons use its normal form, `address_key`:

* The domain is compared as the DNS compares it: case-folded, in Unicode's compatibility form, and
  written in its ASCII form, so ``Bücher.example``, ``bücher.example`` and
  ``xn--bcher-kva.example`` are equal. ``ß`` and ``ss`` differ, as they are two registrations.
* The local part is compared in lower case, in Unicode's canonical form. The standard allows case
  to matter, but no mail service in use distinguishes ``Ann`` from ``ann``.
* Nothing else is normalised. Dots and ``+tags`` matter to some services and not to others, so
  ``a.b@``, ``ab@`` and ``ab+news@`` are three addresses.

Accepted: one ``@`` between a local part of atoms joined by dots (at most 64 bytes) and a domain of
two labels or more; 254 bytes in all. White space, quoted local parts, comments and IP addresses in
brackets are rejected: the standard allows them in places, but they are mistakes or attacks.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator

from dynamo_chat.core.errors import InvalidArgument

MAX_ADDRESS_BYTES: Final = 254
MAX_LOCAL_BYTES: Final = 64

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ASCII_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_ASCII_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
_ASCII_LABEL = re.compile(_LABEL)
_ENCODED = "xn--"
_KEPT_APART = "ßẞς"
"""Letters that case folding would merge with others, but that differ in domain names."""


def address_key(address: str, argument: str = "email") -> str:
    """The normal form of `address`; addresses of one mailbox have the same. InvalidArgument."""
    _check_text(argument, address)
    try:
        return _normal_form(address)
    except ValueError as error:
        raise InvalidArgument(argument, str(error)) from None


def domain_of(address: str, argument: str = "email") -> str:
    """The normal form of the domain of `address`. InvalidArgument."""
    return address_key(address, argument).rpartition("@")[2]


def _check_text(argument: str, value: str) -> None:
    if not isinstance(value, str):
        raise InvalidArgument(argument, f"must be text, not {type(value).__name__}")


def _checked(address: str) -> str:
    _normal_form(address)
    return address


Address = Annotated[str, AfterValidator(_checked)]
"""An e-mail address, stored as it was given."""


def _normalised(domain: str) -> str:
    return _normal_domain(domain)


Domain = Annotated[str, AfterValidator(_normalised)]
"""A mail domain, stored in its normal form."""


def _check_length(text: str) -> None:
    """ValueError if it is too long. Checked first: the rest may take the square of the length."""
    if len(text) > MAX_ADDRESS_BYTES:
        raise ValueError(f"has more than {MAX_ADDRESS_BYTES} bytes")


def _normal_form(address: str) -> str:
    _check_length(address)
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain:
        raise ValueError("must be an e-mail address such as name@example.com")
    normal = _normal_local(local)
    before = max(len(_bytes(local)), len(_bytes(normal))) + 1
    return f"{normal}@{_normal_domain(domain, before)}"


def _normal_local(local: str) -> str:
    if local.isascii():
        letters, normal = local, local.lower()
    else:
        composed = unicodedata.normalize("NFC", local)
        # Letter by letter: in a whole word, Python lowers a sigma by its place.
        normal = unicodedata.normalize("NFC", "".join(c.lower() for c in composed))
        # A visible non-ASCII character is allowed wherever a letter is. The composed form is
        # checked, because the Greek question mark is a semicolon there.
        letters = "".join("x" if c > "\x7f" and _is_visible(c) else c for c in composed)
    if max(len(_bytes(local)), len(_bytes(normal))) > MAX_LOCAL_BYTES:
        raise ValueError(f"has more than {MAX_LOCAL_BYTES} bytes before the @")
    if _ASCII_LOCAL.fullmatch(letters) is None:
        raise ValueError("has a character, a space or a dot before the @ that is not allowed there")
    return normal


def _normal_domain(domain: str, before: int = 0) -> str:
    _check_length(domain)
    if domain.isascii():
        folded = domain.lower()
    else:
        compatible = unicodedata.normalize("NFKC", domain)
        folded = unicodedata.normalize("NFKC", "".join(map(_fold, compatible)))
    normal = ".".join(map(_normal_label, folded.split(".")))
    if _ASCII_DOMAIN.fullmatch(normal) is None or normal.rpartition(".")[2].isdigit():
        raise ValueError("needs a domain such as example.com")
    if before + max(len(_bytes(domain)), len(normal)) > MAX_ADDRESS_BYTES:
        raise ValueError(f"has more than {MAX_ADDRESS_BYTES} bytes")
    return normal


def _normal_label(label: str) -> str:
    """The ASCII form of one label of a case-folded domain; ValueError if it has none."""
    if label.isascii():
        if label.startswith(_ENCODED):
            _check_encoded(label)
        return label
    if not all(unicodedata.category(c)[0] in "LMN" or c == "-" for c in label):
        raise ValueError("needs a domain of letters, digits and hyphens")
    if unicodedata.category(label[0])[0] == "M":
        raise ValueError("has a domain that begins with a combining mark")
    encoded = _ENCODED + label.encode("punycode").decode("ascii")
    if _ASCII_LABEL.fullmatch(encoded) is None:
        raise ValueError("has a domain part that is too long, or begins or ends with a hyphen")
    return encoded


def _check_encoded(label: str) -> None:
    """ValueError for an ``xn--`` label that is not the ASCII form of any label."""
    try:
        decoded = label[len(_ENCODED) :].encode("ascii").decode("punycode")
        folded = unicodedata.normalize("NFKC", "".join(map(_fold, decoded)))
        is_canonical = folded == decoded and not decoded.isascii()
        is_canonical = is_canonical and _normal_label(decoded) == label
    except (ValueError, OverflowError):
        is_canonical = False
    if not is_canonical:
        raise ValueError("has an internationalised domain that cannot be decoded")


def _fold(letter: str) -> str:
    return letter.lower() if letter in _KEPT_APART else letter.casefold()


def _is_visible(letter: str) -> bool:
    return unicodedata.category(letter)[0] not in "ZC"


def _bytes(part: str) -> bytes:
    try:
        return part.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain lone surrogates") from None
