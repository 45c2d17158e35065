"""Partial windows: what the stream knows of each series, counted where the rows are read."""
