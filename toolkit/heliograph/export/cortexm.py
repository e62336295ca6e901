"""The C core on an emulated Cortex-M: cross-compiled, run under QEMU, its memory and instructions counted.

    python -m heliograph.export.cortexm [CODEC] [--quality Q] [--picture FILE]

prints the table. Needs Debian's gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import levels, registry, tiles
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.codec.values import from_units
from heliograph.errors import ExportError, HeliographError, RuntimeUnavailableError
from heliograph.export import c_source
from heliograph.export.bundle import text_table
from heliograph.export.stack import deepest
from heliograph.export.tools import find_tool, last_line, run_tool

COMPILER, EMULATOR, SIZES = "arm-none-eabi-gcc", "qemu-system-arm", "arm-none-eabi-size"
INSTALL = "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"


@dataclass(frozen=True)
class Board:
    """A board that QEMU emulates and how to compile for it."""

    machine: str
    flags: tuple[str, ...]


BOARDS = {
    "cortex-m3": Board("mps2-an385", ("-mcpu=cortex-m3", "-mthumb")),
    "cortex-m4": Board("mps2-an386", ("-mcpu=cortex-m4", "-mthumb")),
    "cortex-m7": Board("mps2-an500", ("-mcpu=cortex-m7", "-mthumb")),
}
_FLAGS = ("-std=c99", "-O2", "-ffunction-sections", "-fdata-sections", "-Wall", "-Wextra", "-Werror")
_COUNTING = (
    "-icount",
    "shift=6,align=off,sleep=off",
)  # 64 ns of virtual time for an instruction; see startup.c


@dataclass(frozen=True)
class Measured:
    """What an emulated encoding took.

    Attributes:
        stream: bytes of the encoded picture.
        pixels: of that picture.
        values: of each stream that was to be decoded, int16 bytes in coding order.
        encoder_flash: bytes of code for encoding alone; core_flash: of everything in heliograph.c.
        table_flash: bytes of the codec's tables.
        ram: bytes of the encoder's arrays, without the caller's store and the network's arena.
        stack: most bytes of stack: seen, and by the compiler's call graph.
        instructions: of encoding; decode_instructions: by stream.
        parity: instructions of a parity packet of 246 bytes from 75 packets, and of its weights once a picture.
        calibration: counted instructions of a loop that has two million.
    """

    board: str
    stream: bytes
    pixels: int
    values: dict[str, bytes]
    failures: dict[str, str]
    encoder_flash: int
    core_flash: int
    table_flash: int
    ram: int
    stack: int
    stack_bound: int
    instructions: int
    decode_instructions: dict[str, int]
    parity: tuple[int, int]
    calibration: int


def missing_tools() -> list[str]:
    """Return which of the programs are not installed."""
    return [name for name in (COMPILER, EMULATOR, SIZES) if find_tool(name) is None]


def compiler_version() -> str:
    """Return the compiler's own version line."""
    return run_tool([COMPILER, "--version"], folder=Path.cwd()).stdout.splitlines()[0]


def tiles_of_latents(latents: npt.NDArray[np.int8], side: int) -> npt.NDArray[np.int8]:
    """Return latents [rows, columns, C] as whole tiles [N, side, side, C], row by row, padded with zeros."""
    rows, columns, channels = latents.shape
    down, across = -(-rows // side), -(-columns // side)
    padded = np.zeros((down * side, across * side, channels), np.int8)
    padded[:rows, :columns] = latents
    return np.ascontiguousarray(
        padded.reshape(down, side, across, side, channels)
        .transpose(0, 2, 1, 3, 4)
        .reshape(-1, side, side, channels)
    )


def measure(
    codec: Codec,
    units: npt.NDArray[np.int8] | None,
    width: int,
    height: int,
    level: int,
    *,
    board: str = "cortex-m7",
    streams: Mapping[str, bytes] | None = None,
    references: Mapping[str, str] | None = None,
) -> Measured:
    """Encode a picture's latents, and decode streams, on an emulated board.

    Args:
        units: what the network gives, int8 [ceil(height/16), ceil(width/16), C + copies], or None to decode only.
        streams: by a file name without spaces.
        references: the name of the stream that one refers to, which is before it in `streams`.

    Raises:
        RuntimeUnavailableError: compiler or emulator is not installed.
        ExportError: the program does not compile, or fails.
    """
    missing = missing_tools()
    if missing:
        raise RuntimeUnavailableError(f"{', '.join(missing)} not installed: {INSTALL}")
    side = codec.tile // tiles.STRIDE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in c_source.sources(codec).items():
            (folder / file).write_bytes(data)
        for path in sorted((c_source.FIRMWARE / "emulate").iterdir()):
            (folder / path.name).write_bytes(path.read_bytes())
        count = 0
        if units is not None:
            parts = tiles_of_latents(units, side)
            count = len(parts)
            (folder / "latents.bin").write_bytes(parts.tobytes())
        for file, data in (streams or {}).items():
            (folder / file).write_bytes(data)
        size = (width, height) if units is not None else (0, 0)
        job = [f"{name} {(references or {}).get(name, '-')}" for name in streams or {}]
        (folder / "job.txt").write_text(f"{size[0]} {size[1]} {level}\n" + "\n".join(job), encoding="ascii")
        _compile(folder, BOARDS[board], count)
        printed = _emulate(folder, BOARDS[board])
        flash, ram = _sizes(folder, BOARDS[board])
        return _result(folder, board, printed, flash, ram, list(streams or {}), size[0] * size[1])


def _gcc(folder: Path, board: Board, *arguments: str) -> None:
    done = run_tool([COMPILER, *board.flags, *_FLAGS, *arguments], folder=folder)
    if done.returncode:
        raise ExportError(
            f"{COMPILER} failed: {last_line(done)}; install another release of it, or report this"
        )


def _compile(folder: Path, board: Board, count: int) -> None:
    room = f"-DHELIOGRAPH_MAX_TILES={max(count, 64)}"
    for file in ("heliograph.c", "erasure.c", "picture.c"):
        _gcc(folder, board, room, "-c", file, "-fcallgraph-info=su")
    for file in ("codec.c", "measure.c", "startup.c"):
        _gcc(folder, board, room, "-c", file)
    objects = [f"{file}.o" for file in ("heliograph", "erasure", "picture", "codec", "measure", "startup")]
    ends = ["-nostartfiles", "-T", "mps2.ld", "--specs=rdimon.specs", "-Wl,--gc-sections"]
    _gcc(folder, board, *objects, *ends, "-o", "measure.elf")


def _emulate(folder: Path, board: Board) -> str:
    command: list[str | Path] = [
        EMULATOR,
        "-machine",
        board.machine,
        "-nographic",
        "-monitor",
        "none",
        "-serial",
        "none",
    ]
    command += ["-semihosting-config", "enable=on,target=native", *_COUNTING, "-kernel", "measure.elf"]
    done = run_tool(command, folder=folder)
    if done.returncode:
        raise ExportError(
            f"the program on the emulated {board.machine} ended with {done.returncode}: {last_line(done)}; "
            "a picture may be too large for its 4 MiB"
        )
    return done.stdout + done.stderr


def _sizes(folder: Path, board: Board) -> tuple[tuple[int, int, int], int]:
    """Return bytes of flash for encoding, for all of the core and for the tables, and of RAM."""
    ends = ["-nostartfiles", "-Wl,--gc-sections", "-Wl,-e,hg_picture", "--specs=nosys.specs"]
    _gcc(folder, board, "heliograph.o", "picture.o", "codec.o", *ends, "-o", "encode.elf")
    done = run_tool([SIZES, "heliograph.o", "picture.o", "codec.o", "encode.elf"], folder=folder)
    rows = {line.split()[-1]: [int(n) for n in line.split()[:3]] for line in done.stdout.splitlines()[1:]}
    tables = rows["codec.o"][0]
    return (rows["encode.elf"][0] - tables, rows["heliograph.o"][0], tables), sum(rows["picture.o"][1:])


def _result(
    folder: Path,
    board: str,
    printed: str,
    flash: tuple[int, int, int],
    ram: int,
    streams: list[str],
    pixels: int,
) -> Measured:
    calibration = re.search(r"^calibrate 2000000 instructions counted (\d+)", printed, re.MULTILINE)
    encoding = re.search(r"^encode (\d+) instructions (\d+) stack", printed, re.MULTILINE)
    decoding = {
        m[1]: m for m in re.finditer(r"^decode (\S+) (\w+) (\d+) instructions", printed, re.MULTILINE)
    }
    parity = re.search(r"^parity of 75 x 246 bytes (\d+) instructions and (\d+) once", printed, re.MULTILINE)
    if (
        calibration is None
        or (pixels and (encoding is None or parity is None))
        or set(decoding) != set(streams)
    ):
        raise ExportError(
            f"the emulated program printed {printed.strip()!r}, expected its counts; report this"
        )
    graphs = [(folder / f"{part}.ci").read_text(encoding="utf-8") for part in ("heliograph", "picture")]
    return Measured(
        board=board,
        stream=(folder / "encoded.helio").read_bytes() if pixels else b"",
        pixels=pixels,
        values={s: (folder / f"{s}.values").read_bytes() for s in streams if decoding[s][2] == "ok"},
        failures={s: decoding[s][2] for s in streams if decoding[s][2] != "ok"},
        encoder_flash=flash[0],
        core_flash=flash[1],
        table_flash=flash[2],
        ram=ram,
        stack=int(encoding[2]) if encoding else 0,
        stack_bound=deepest(graphs, "hg_picture"),
        instructions=int(encoding[1]) if encoding else 0,
        decode_instructions={s: int(decoding[s][3]) for s in streams},
        parity=(int(parity[1]), int(parity[2])) if parity else (0, 0),
        calibration=int(calibration[1]),
    )


def check(
    measured: Measured, codec: Codec, units: npt.NDArray[np.int8], width: int, height: int, level: int
) -> None:
    """Raise ExportError unless the emulated board made the bytes that this computer makes."""
    latents = from_units(units, codec.copies)
    expected = Packer(codec, latents, width, height, slice_tiles=1, whole=True).at(level)
    if measured.stream != expected:
        raise ExportError(
            f"the emulated {measured.board} made {len(measured.stream)} bytes, not the {len(expected)} that were made "
            "here; report this with the codec and the compiler's version"
        )


def table(measured: Measured) -> list[tuple[str, str]]:
    """Return what was measured, in rows."""
    m, pixels = measured, max(measured.pixels, 1)
    return [
        ("flash, code that encodes, bytes", str(m.encoder_flash)),
        ("flash, all of heliograph.c, bytes", str(m.core_flash)),
        ("flash, entropy tables, bytes", str(m.table_flash)),
        ("RAM, arrays of the encoder for one tile, bytes", str(m.ram)),
        ("stack seen, bytes", str(m.stack)),
        ("stack by the compiler's call graph, bytes", str(m.stack_bound)),
        ("stream, bits per pixel", f"{8 * len(m.stream) / pixels:.3f}"),
        ("instructions per pixel, encoding", f"{m.instructions / pixels:.0f}"),
        ("instructions, a parity packet of 246 bytes from 75 packets", str(m.parity[0])),
        ("instructions, its weights, once a picture", str(m.parity[1])),
        *(
            (f"instructions per pixel, decoding {s}", f"{n / pixels:.0f}")
            for s, n in m.decode_instructions.items()
        ),
    ]


def main() -> int:
    """Measure and print; return the exit code."""
    from heliograph.export.probe import TILES, probe_latents

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("codec", nargs="?", default="microcontroller")
    parser.add_argument("--quality", type=float, default=50)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    try:
        codec = registry.open_codec(arguments.codec)
        level = levels.from_quality(arguments.quality)
        probe = probe_latents(codec, arguments.picture).corner(TILES * codec.tile)
        for board in BOARDS:
            size = probe.width, probe.height
            own = Packer(codec, probe.latents, *size, slice_tiles=1, whole=True).at(level)
            measured = measure(
                codec,
                probe.units,
                probe.width,
                probe.height,
                level,
                board=board,
                streams={"own.helio": own},
            )
            check(measured, codec, probe.units, probe.width, probe.height, level)
            print(
                f"{board}: {probe.description}, {probe.width}x{probe.height}, quality {arguments.quality:g}; "
                "bytes as made here"
            )
            print(text_table(table(measured)), end="\n\n")
    except HeliographError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
