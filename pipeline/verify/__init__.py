"""The independent reader: says of every position whether the lake has it once. Shares no code with what wrote it."""
