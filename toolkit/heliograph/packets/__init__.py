"""Packets of which any few give a picture, and each more a better one (PACKETS.md)."""
