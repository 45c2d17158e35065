"""Compiled kernels that walk the bytes of whole batches of records. Each takes what it is sure of, and leaves every other record to its reference decoder."""
