"""What crosses domains: the only code that knows several of them."""
