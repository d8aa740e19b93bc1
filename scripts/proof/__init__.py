"""The proof: the whole store under load and faults, and a check of everything that it returned."""
