"""Nouns: the shapes of data and of contracts. No I/O, no behavior beyond validation."""
