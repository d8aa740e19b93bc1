"""Calls between two users: daily points, waiting queues, matching, call history."""
