"""Usage and cost of LLMs and functions: interactions, reports and invocations."""
