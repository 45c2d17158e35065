"""Brokers for tests and benchmarks."""
