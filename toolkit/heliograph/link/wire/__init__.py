"""What crosses the line, to the byte: frames, messages, sessions, keys, names (LINK.md)."""
