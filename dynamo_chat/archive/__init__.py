"""The whole store as files: exported, checked, and restored into another table."""
