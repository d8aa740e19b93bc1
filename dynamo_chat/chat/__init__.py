"""Conversations, their messages with feedback, their state, and reviews of them."""
