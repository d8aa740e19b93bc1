"""Walks through the access patterns, a module per domain, on records that were loaded."""
