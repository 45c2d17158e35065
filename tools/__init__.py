"""Programs for those who work on tracebraid; not part of it."""
