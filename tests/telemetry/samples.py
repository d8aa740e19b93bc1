"""Interactions and invocations for tests, with what the test does not care about."""

from typing import Any

from dynamo_chat import NewInteraction, NewInvocation


def new_interaction(**fields: Any) -> NewInteraction:
    """An interaction of account ``a-1``."""
    usual = {
        "account_id": "a-1",
        "function_name": "generate_email",
        "model_used": "llama",
        "prompt_tokens": 150,
        "response_tokens": 200,
        "response_time_ms": 2_500,
    }
    return NewInteraction(**{**usual, **fields})


def new_invocation(**fields: Any) -> NewInvocation:
    """An invocation of account ``a-1``."""
    usual = {
        "account_id": "a-1",
        "function_name": "LoginUser",
        "status": "success",
        "duration_ms": 150,
    }
    return NewInvocation(**{**usual, **fields})
