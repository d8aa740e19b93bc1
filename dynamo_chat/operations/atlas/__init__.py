"""The atlas: the kinds of items, the access patterns and their costs, as one page to look at."""
