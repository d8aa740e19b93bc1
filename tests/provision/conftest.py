"""A table to be backed up, and a bucket to export it to."""

from tests.provision.backed_up import bucket, place

__all__ = ["bucket", "place"]
