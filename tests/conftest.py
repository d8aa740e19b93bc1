"""What every test shares: the hypothesis profiles, and botocore's model of DynamoDB."""

import functools
import os

import botocore.session
from hypothesis import settings

# Every store has a botocore session of its own, and many tests make a store for every case. Without
# this, each would parse the same files again: 0.1 s of CPU, more than most tests take.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)

# No deadline: an example that meets a garbage collection, or a busy machine, has found nothing.
# Nothing is derandomized: each run looks elsewhere, and a failure prints what repeats it.
settings.register_profile(
    "default", max_examples=100, deadline=None, print_blob=True, derandomize=False
)
settings.register_profile("ci", settings.get_profile("default"), max_examples=2_000)
settings.register_profile("nightly", settings.get_profile("default"), max_examples=50_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
