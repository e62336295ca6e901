"""Streams over a line that mostly only goes there, in packets of which any few give a picture (LINK.md, section 6)."""
