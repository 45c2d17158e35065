"""Reading: one snapshot of the lake as DuckDB views; SQL, traces, status over it."""
