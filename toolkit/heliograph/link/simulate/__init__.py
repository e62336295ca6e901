"""Lines with faults, in memory and between pseudo-terminals."""
