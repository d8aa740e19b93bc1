"""A help desk: what it keeps beside the package's conversations."""
