"""The requests of the catalogue, recorded once."""

import pytest

from tests.operations.recording import Request, record_catalogue, record_management


@pytest.fixture(scope="session")
def recorded() -> dict[str, list[Request]]:
    """Of every method on items."""
    return record_catalogue()


@pytest.fixture(scope="session")
def managed() -> dict[str, list[Request]]:
    """Of every method that manages the table."""
    return record_management()
