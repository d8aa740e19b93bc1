"""The table as infrastructure: its one definition, and everything that is generated from it."""
