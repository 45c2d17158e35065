"""What every stage may use: errors, limits, clock, metrics, settings, records."""
