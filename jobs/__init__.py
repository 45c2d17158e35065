"""Programs: one file each; arguments, settings, build the flow, run, exit code."""
