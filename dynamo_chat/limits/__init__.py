"""Rate limits of accounts."""
