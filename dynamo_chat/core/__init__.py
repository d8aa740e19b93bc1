"""The machinery under every domain: keys, items, reads, writes, pages, errors."""
