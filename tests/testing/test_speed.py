"""The short cuts of the embedded engine change no answer."""

import pytest

from tests.testing.test_engine import run_python


@pytest.mark.once
def test_moto_answers_the_same_with_its_short_cuts() -> None:
    """Random requests to tables of four forms and to other services; also after they are undone."""
    assert run_python("from tests.testing.moto_requests import main; main(3)") == ""
