"""Brings a team's old tables into a store: read, check, load, verify; can be stopped any time."""
