"""Users with their addresses, their activity, and their login sessions."""
