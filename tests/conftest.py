"""What every test shares: the hypothesis profiles."""

import os

from hypothesis import settings

# No deadline: an example that meets a garbage collection, or a busy machine, has found nothing.
# Nothing is derandomized: each run looks elsewhere, and a failure prints what repeats it.
settings.register_profile(
    "default", max_examples=100, deadline=None, print_blob=True, derandomize=False
)
settings.register_profile("ci", settings.get_profile("default"), max_examples=2_000)
settings.register_profile("nightly", settings.get_profile("default"), max_examples=50_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
