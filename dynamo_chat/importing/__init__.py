"""Importing: conversations and other records that were kept elsewhere, brought into a store."""
