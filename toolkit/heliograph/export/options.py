"""What a user chooses for an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Choices of `heliograph export`; a program that is None is looked for.

    Attributes:
        quality: of the encoding whose time and memory are measured.
        picture: file to measure with, or None for a synthetic picture.
        vela_system, vela_memory: Vela's names for the board, or None for its own defaults.
    """

    quality: float = 50
    picture: Path | None = None
    edgetpu_compiler: str | None = None
    vela: str | None = None
    vela_system: str | None = None
    vela_memory: str | None = None
