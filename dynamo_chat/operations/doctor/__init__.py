"""The doctor: what in a table breaks the store's own invariants, and what can be done about it."""
