"""One worked call of every access pattern: what it shows, what it gives, and what it costs."""
