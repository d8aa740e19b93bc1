"""What LLMs and functions did and cost: interactions, reports, invocations."""
