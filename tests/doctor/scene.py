"""A doctor for the table of a scene."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dynamo_chat.operations.doctor.doctor import Doctor, DoctorOptions
from dynamo_chat.testing import StrictHook
from tests.scene import Scene


@contextmanager
def doctor_of(scene: Scene, **options: Any) -> Iterator[Doctor]:
    """A doctor at the scene's table and time, who does not wait. Its requests are checked."""
    connection = scene.new_store().connection
    settings = DoctorOptions(**{"settle_seconds": 0, **options})
    made = Doctor(connection, settings, clock=scene.clock)
    with StrictHook(made._connection.client, allow_scan=True) as strict:
        yield made
    if strict.violations:
        raise strict.violations[0]
