"""Streams over a line that only goes there: what is lost is a blemish (LINK.md, section 6)."""
