"""For each method of the catalogue: what it takes to call it, so that the call can be measured."""
