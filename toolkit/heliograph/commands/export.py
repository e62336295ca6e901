"""Export a codec to a device: checked against its limits, compiled by its maker's tools, in a folder with a README."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from heliograph.codec import registry
from heliograph.commands.console import Console
from heliograph.commands.encoding import quality
from heliograph.export.bundle import check_free, text_table, write_bundle
from heliograph.export.options import Options
from heliograph.export.targets import TARGETS, build

NAME = "export"
HELP = "a codec to a device: Edge TPU, Ethos-U, microcontroller, Raspberry Pi class CPU"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--codec",
        default="accelerator",
        metavar="NAME_OR_DIR",
        help="a shipped codec or a codec's folder (%(default)s)",
    )
    parser.add_argument("--target", choices=sorted(TARGETS), required=True, help="what it is for")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="folder of the bundle, to be made"
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace an earlier bundle")
    parser.add_argument(
        "--quality",
        type=quality,
        default=50,
        metavar="0..100",
        help="of the encoding that is measured (%(default)s)",
    )
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="picture to measure with; default: a synthetic one"
    )
    tools = parser.add_argument_group("tools of the makers, where they are not on the PATH")
    tools.add_argument("--edgetpu-compiler", metavar="FILE", help="Coral's edgetpu_compiler")
    tools.add_argument("--vela", metavar="FILE", help="Arm's vela, of ethos-u-vela")
    tools.add_argument(
        "--vela-system",
        metavar="NAME",
        help="system configuration of your Ethos-U55 board, from Vela's vela.ini",
    )
    tools.add_argument(
        "--vela-memory",
        metavar="NAME",
        help="memory mode of your Ethos-U55 board: Sram_Only, or Shared_Sram where weights lie in external flash",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the bundle, write it and print its figures; return the exit code."""
    check_free(arguments.out, force=arguments.force)
    options = Options(
        quality=arguments.quality,
        picture=arguments.picture,
        edgetpu_compiler=arguments.edgetpu_compiler,
        vela=arguments.vela,
        vela_system=arguments.vela_system,
        vela_memory=arguments.vela_memory,
    )
    console = Console.of(arguments)
    console.note(f"export for {arguments.target}: compiling and measuring can take a minute")
    bundle = build(arguments.target, registry.open_codec(arguments.codec), options)
    write_bundle(bundle, arguments.out, force=arguments.force)
    size = sum(map(len, bundle.files.values()))
    lines = [
        f"{arguments.out}: codec {bundle.codec.name} for {bundle.target}, {len(bundle.files)} files, {size} bytes"
    ]
    lines += [str(finding) for finding in bundle.findings]
    lines += [f"\n{title}\n{text_table(rows)}" for title, rows in bundle.tables]
    if bundle.figures:
        lines += ["", text_table([(f.what, f.value, f.basis, f.how) for f in bundle.figures])]
    values = {
        "output": str(arguments.out),
        "codec": bundle.codec.name,
        "target": bundle.target,
        "files": {name: len(data) for name, data in bundle.files.items()},
        "findings": [str(finding) for finding in bundle.findings],
        "tables": dict(bundle.tables),
        "figures": [asdict(figure) for figure in bundle.figures],
    }
    console.result(values, lines)
    return 0
