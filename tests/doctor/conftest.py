"""One table with everything in it for all tests of a module; each leaves it as it was."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from dynamo_chat.core.item import helper_item
from dynamo_chat.core.layout import GSI1, GSI2
from dynamo_chat.keyspace import PROBE
from dynamo_chat.operations.doctor.doctor import Doctor
from dynamo_chat.testing import Engine
from tests.doctor.scene import doctor_of
from tests.scene import Item, Scene
from tooling.everything import populate


def _probe(scene: Scene) -> Item:
    """What a test of access leaves when it is cut short."""
    later = scene.clock() + timedelta(hours=1)
    return helper_item(PROBE, {"probe_id": "probe-1"}, GSI1, GSI2, expires_at=later)


@pytest.fixture(scope="module")
def furnished(dynamo_chat_engine: Engine) -> Iterator[tuple[Scene, Doctor, list[Item]]]:
    """The table, its doctor, and what is in it."""
    with Scene(dynamo_chat_engine) as scene, doctor_of(scene) as doctor:
        populate(scene.store)
        scene.put(_probe(scene))
        yield scene, doctor, scene.items()


@pytest.fixture
def scene(furnished: tuple[Scene, Doctor, list[Item]]) -> Iterator[Scene]:
    """The table."""
    scene, _, items = furnished
    now = scene.clock()
    yield scene
    scene.clock.advance(now - scene.clock())
    scene.restore(items)


@pytest.fixture
def doctor(furnished: tuple[Scene, Doctor, list[Item]]) -> Doctor:
    """Who examines it."""
    return furnished[1]


@pytest.fixture
def everything(furnished: tuple[Scene, Doctor, list[Item]]) -> list[Item]:
    """What is in the table when nothing is wrong with it."""
    return furnished[2]
