"""Scenes: a store, a clock that starts at noon, and a check of the whole table at the end."""

from tests.calls.scenes import scene, table
from tests.identity.scenes import no_backoff, offline

__all__ = ["no_backoff", "offline", "scene", "table"]
