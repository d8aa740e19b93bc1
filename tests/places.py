"""Where the tests are, and where the package that they test is."""

from pathlib import Path

import dynamo_chat

ROOT = Path(__file__).parents[1]
"""The working copy."""

INSTALLED = Path(dynamo_chat.__file__).parents[1]
"""What a new process needs on its path. Under tox it has the wheel; else it is the working copy."""
