"""One table for all tests, at noon; what a test leaves in it must be sound."""

from tests.calls.scenes import scene, table

__all__ = ["scene", "table"]
