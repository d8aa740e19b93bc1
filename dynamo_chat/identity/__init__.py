"""Users, their addresses, their activity and their login sessions."""
