"""The documents' sample records as JSON: what each says of itself is under ``origin``."""
