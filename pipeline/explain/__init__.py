"""What stands behind an alert: whose own time, whose own errors, by which way."""
