"""How long the state machines of the domains run.

The embedded engine is slow, and every run of the tests pays for it: a few short walks there, which
differ from run to run. The engine suite on a real server walks on, and the nightly run further.
"""

from hypothesis import settings

from dynamo_chat.testing import Engine


def walks(engine: Engine) -> settings:
    """Settings of a state machine on this engine."""
    if engine.endpoint_url is None:
        return settings(max_examples=max(6, settings().max_examples // 200), stateful_step_count=20)
    return settings(max_examples=max(25, settings().max_examples // 100), stateful_step_count=30)
