"""What every domain is built on: keys, items, reads, writes, pages, errors."""
