"""A simulated fleet with known faults and known innocence, through the engine and the starter rules as they ship."""
