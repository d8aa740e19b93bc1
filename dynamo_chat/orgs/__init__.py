"""Organizations, their members, and the invites to join them."""
