"""Lines with faults, in memory and between pseudo-terminals, and a spool in memory."""
