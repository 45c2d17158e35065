"""Measurements beside the peers', in one run and one table: `make bench`."""
