"""Imports conversations and other records of other systems into a store."""
