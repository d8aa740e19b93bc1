"""Bearer secrets: unguessable, hashed, compared without telling where they differ."""

import hashlib

import pytest
from hypothesis import given, strategies as st

from dynamo_chat.core.bearer import given_or_new, hash_of, is_same, new_secret
from dynamo_chat.core.errors import InvalidArgument


def test_secrets_are_fresh_and_fit_into_a_link() -> None:
    made = {new_secret() for _ in range(1_000)}
    assert len(made) == 1_000
    assert {len(each) for each in made} == {43}
    assert all(each.replace("-", "").replace("_", "").isalnum() for each in made)


def test_a_hash_is_the_sha_256_of_the_text() -> None:
    assert hash_of("token", "ä-secret") == hashlib.sha256("ä-secret".encode()).hexdigest()


@given(st.text(), st.text())
def test_hashes_are_the_same_for_the_same_text_only(one: str, other: str) -> None:
    """Also of text that is no Unicode: whoever presents it gets an answer, not a crash."""
    assert is_same(hash_of("token", one), hash_of("token", other)) == (one == other)
    assert hash_of("token", "\ud800") != hash_of("token", "\ud801")


def test_a_secret_of_the_callers_is_checked_and_never_quoted() -> None:
    assert given_or_new("secret", "0123456789abcdef") == "0123456789abcdef"
    assert len(given_or_new("secret", None)) == 43
    for bad in ("too-short", "", "x" * 1_025, b"0123456789abcdef", 5):
        with pytest.raises(InvalidArgument) as refused:
            given_or_new("secret", bad)  # type: ignore[arg-type]
        assert not bad or repr(bad) not in repr(refused.value)
    with pytest.raises(InvalidArgument):
        hash_of("secret", None)  # type: ignore[arg-type]
