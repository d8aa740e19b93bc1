"""One table with everything in it for all tests of a module; each leaves it as it was."""

from collections.abc import Iterator

import pytest

from dynamo_chat.operations.doctor.doctor import Doctor
from dynamo_chat.testing import Engine
from tests.chat.world import Item, World
from tests.doctor.scene import doctor_of, furnish


@pytest.fixture(scope="module")
def furnished(dynamo_chat_engine: Engine) -> Iterator[tuple[World, Doctor, list[Item]]]:
    """The table, its doctor, and what is in it."""
    with World(dynamo_chat_engine) as world, doctor_of(world) as doctor:
        furnish(world, world.store())
        yield world, doctor, world.items()


@pytest.fixture
def world(furnished: tuple[World, Doctor, list[Item]]) -> Iterator[World]:
    """The table."""
    world, _, items = furnished
    now = world.clock()
    yield world
    world.clock.advance(now - world.clock())
    world.restore(items)


@pytest.fixture
def doctor(furnished: tuple[World, Doctor, list[Item]]) -> Doctor:
    """Who examines it."""
    return furnished[1]


@pytest.fixture
def everything(furnished: tuple[World, Doctor, list[Item]]) -> list[Item]:
    """What is in the table when nothing is wrong with it."""
    return furnished[2]
