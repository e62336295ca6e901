"""The link: frames on a serial line, and transfers over it that lose nothing (LINK.md)."""
