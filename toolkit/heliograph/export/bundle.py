"""A bundle: the folder that goes to a device's firmware, hashed, described, and written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from heliograph import __version__
from heliograph.codec.codec import ENCODER, ENTROPY, MANIFEST, PREVIEW, Codec, sha256
from heliograph.errors import ExportError, OutputError
from heliograph.export.findings import Finding
from heliograph.files import read_regular, why, write_whole

README = "README.md"
CODEC = "codec"  # folder of the codec's own files in a bundle
FORMAT = 1
MOST_BYTES = 1 << 24  # of a bundle's manifest

COUNTED = "counted"
MEASURED = "measured"
ESTIMATED = "estimated"
ASSUMED = "assumed"
UNKNOWN = "not measured"


@dataclass(frozen=True)
class Figure:
    """A number about a bundle.

    Attributes:
        what: what it is of, with its unit.
        value: as text.
        basis: counted, measured, estimated, assumed or not measured.
        how: by what, on what.
    """

    what: str
    value: str
    basis: str
    how: str


@dataclass
class Bundle:
    """What an export makes before it is written.

    Attributes:
        files: content by path below the bundle's folder.
        programs: those of the paths that are to be executable.
        notes: paragraphs for the README, in Markdown.
        tables: title, and rows with the head first.
        tools: name and version of what made it.
    """

    target: str
    codec: Codec
    files: dict[str, bytes] = field(default_factory=dict)
    programs: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    tables: list[tuple[str, list[tuple[str, ...]]]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    tools: dict[str, str] = field(default_factory=dict)

    def add_codec(self) -> None:
        """Add what a device's `heliograph encode --codec` needs: encoder, tables, preview decoder, manifest."""
        self.files[f"{CODEC}/{ENCODER}"] = self.codec.encoder
        self.files[f"{CODEC}/{ENTROPY}"] = self.codec.read(ENTROPY)
        if PREVIEW in self.codec.hashes:
            self.files[f"{CODEC}/{PREVIEW}"] = self.codec.read(PREVIEW)
        self.files[f"{CODEC}/{MANIFEST}"] = (self.codec.folder / MANIFEST).read_bytes()

    def manifest(self) -> dict[str, object]:
        """Return what manifest.json holds."""
        return {
            "format": FORMAT,
            "target": self.target,
            "heliograph": __version__,
            "codec": {
                "name": self.codec.name,
                "id": self.codec.id.hex(),
                "tile": self.codec.tile,
                "channels": self.codec.channels,
            },
            "tools": self.tools,
            "figures": [vars(f) for f in self.figures],
            "findings": [str(f) for f in self.findings],
            "files": {
                name: {"bytes": len(data), "sha256": sha256(data)}
                for name, data in sorted(self.files.items())
            },
        }

    def describe(self) -> str:
        """Return the README."""
        codec = self.codec
        parts = [
            f"# Codec {codec.name} for {self.target}",
            f"Made by Heliograph {__version__} from codec `{codec.id.hex()}`: tiles of {codec.tile}x{codec.tile} "
            f"pixels to {codec.tile // 16}x{codec.tile // 16}x{codec.outputs} int8 latents. "
            f"`{MANIFEST}` holds the hash of every file.",
            *self.notes,
        ]
        for title, rows in self.tables:
            parts += [f"## {title}", markdown_table(rows)]
        if self.figures:
            rows = [
                ("what", "value", "basis", "how"),
                *((f.what, f.value, f.basis, f.how) for f in self.figures),
            ]
            parts += ["## Figures", markdown_table(rows)]
        if self.findings:
            parts += ["## What the checker noted", "\n".join(f"- {finding}" for finding in self.findings)]
        sizes = [
            ("file", "bytes"),
            *((f"`{name}`", str(len(data))) for name, data in sorted(self.files.items())),
        ]
        parts += ["## Files", markdown_table(sizes)]
        return "\n\n".join(parts) + "\n"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table, the first as its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns for a terminal."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def write_bundle(bundle: Bundle, folder: Path, *, force: bool = False) -> None:
    """Write a bundle to a folder that does not exist yet; with `force` replace an earlier bundle.

    Raises:
        OutputError: the folder exists, or the disk refuses; nothing is left behind.
    """
    check_free(folder, force=force)
    partial = folder.with_name(f".{folder.name[:48]}.{secrets.token_hex(4)}.partial")
    files = bundle.files | {
        README: bundle.describe().encode(),
        MANIFEST: (json.dumps(bundle.manifest(), indent=1) + "\n").encode(),
    }
    try:
        for name, data in files.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
            if name in bundle.programs:
                path.chmod(0o755)
        if folder.exists():
            old = partial.with_suffix(".old")
            folder.rename(old)
            partial.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            partial.rename(folder)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {why(error, folder)}") from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(partial)


def check_free(folder: Path, *, force: bool = False) -> None:
    """Raise OutputError if a bundle may not be written there."""
    if not folder.exists():
        return
    if not force:
        raise OutputError(
            f"{folder} exists already; give another folder, or --force to replace an earlier bundle"
        )
    try:
        is_bundle = "target" in json.loads(read_regular(folder / MANIFEST, MOST_BYTES))
    except (OSError, ValueError, TypeError, RecursionError):
        is_bundle = False
    if not is_bundle:
        raise OutputError(f"{folder} is not a bundle, so --force does not replace it; give another folder")


def check_bundle(folder: Path) -> None:
    """Raise ExportError unless every file of a bundle is there and as its manifest says."""
    try:
        files = json.loads(read_regular(folder / MANIFEST, MOST_BYTES))["files"]
        contents = {name: read_regular(folder / name, files[name]["bytes"]) for name in files}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ExportError(f"{folder} is no whole bundle: {error!r}; export it again") from error
    for name, data in contents.items():
        if sha256(data) != files[name]["sha256"]:
            raise ExportError(f"{folder / name} was changed since it was exported; export it again")


def tool_version(package: str) -> str:
    """Return the version of an installed package, or "unknown"."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
