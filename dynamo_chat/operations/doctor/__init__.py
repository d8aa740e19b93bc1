"""The doctor finds items that break the store's invariants, and repairs them."""
