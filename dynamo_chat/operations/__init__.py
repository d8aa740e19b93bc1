"""Running the table: who may do what with it, and what it costs. Derived from the catalogue."""
