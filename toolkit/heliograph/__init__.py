"""Heliograph: learned image compression for cameras behind thin links."""

__version__ = "0.1.0"
