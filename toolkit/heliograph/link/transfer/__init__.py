"""Streams over a line that answers: nothing is lost and nothing comes twice (LINK.md, section 4)."""
