"""Scenes: a store, a clock, and a check of the whole table at the end."""

from tests.mail.scenes import no_backoff, scene

__all__ = ["no_backoff", "scene"]
