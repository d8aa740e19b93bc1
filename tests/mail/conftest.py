"""What a test leaves in its table must be sound."""

from tests.mail.scenes import scene

__all__ = ["scene"]
