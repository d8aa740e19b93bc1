"""Scenes: a store, a clock, and a check of the whole table at the end."""

from tests.identity.scenes import no_backoff, offline, onlooker, scene

__all__ = ["no_backoff", "offline", "onlooker", "scene"]
