"""What a test leaves in its table must be sound."""

from tests.identity.scenes import scene

__all__ = ["scene"]
