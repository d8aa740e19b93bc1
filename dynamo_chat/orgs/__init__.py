"""Organizations, their members and their invites."""
