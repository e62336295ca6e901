"""The camera in plain C on emulated microcontrollers: its bytes checked, its memory and instructions counted.

    python -m heliograph.export.camera_boards [CODEC ...] [--quality Q] [--picture FILE] [--size WxH ...]

prints the table. Needs Debian's gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import container, registry
from heliograph.codec.codec import Codec
from heliograph.codec.coder import MOST_ROUNDING
from heliograph.codec.distortion import STRENGTH
from heliograph.codec.values import Values
from heliograph.device.encoder import LatentEncoder
from heliograph.device.runtime import Model
from heliograph.errors import ExportError, HeliographError, RuntimeUnavailableError
from heliograph.export import camera_source, cost
from heliograph.export.bundle import text_table
from heliograph.export.cortexm import COMPILER, EMULATOR, INSTALL, SIZES, missing_tools
from heliograph.export.needs import needs
from heliograph.export.probe import synthetic_picture
from heliograph.export.tools import last_line, run_tool
from heliograph.pictures import load_srgb

BUDGET = 16_384  # bytes of a stream at most
SIZES_OF_PICTURES = ((96, 96), (160, 120), (320, 240), (640, 480))
STAGES = ("network", "entropy", "rest")
_COUNTED = ("rows", *STAGES)
_SHIFT = 6  # of QEMU's -icount: 64 ns of virtual time for an instruction
_FLAGS = ("-std=c99", "-O2", "-ffunction-sections", "-fdata-sections", "-Wall", "-Wextra", "-Werror", "-I.")
_LINK = ("-nostartfiles", "-Wl,--gc-sections")


@dataclass(frozen=True)
class Board:
    """A board that QEMU emulates, how to compile for it, and the clock of its SysTick timer in Hz."""

    machine: str
    flags: tuple[str, ...]
    clock: float


BOARDS = {
    "cortex-m4": Board("mps2-an386", ("-mcpu=cortex-m4", "-mthumb"), 25e6),
    "cortex-m7": Board("mps2-an500", ("-mcpu=cortex-m7", "-mthumb"), 25e6),
    "cortex-m55": Board("mps3-an547", ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"), 32e6),
}


@dataclass(frozen=True)
class CameraRun:
    """What a picture took on an emulated board.

    Attributes:
        stream: its bytes, or its packets' one after the other; level: at which it was coded.
        flash: bytes of code and arrays of the codec; code: of them code.
        memory: bytes given to hg_encode_picture; more: to scaling and packets; stack: most bytes of stack seen.
        instructions: by stage, all passes together; "rows" is the camera's and scaling, "rest" opening, checking,
            packets and sending.
    """

    board: str
    stream: bytes
    level: int
    pixels: int
    flash: int
    code: int
    memory: int
    more: int
    stack: int
    instructions: dict[str, int]

    def per_pixel(self, stage: str) -> float:
        """Return the instructions of a stage per pixel."""
        return self.instructions[stage] / self.pixels


def expected_stream(
    codec: Codec,
    latents: Values,
    width: int,
    height: int,
    level: int,
    *,
    side: int,
    layered: bool = False,
    scale: int = 0,
) -> bytes:
    """Return the stream that csrc/heliograph_camera.c makes of latents int16 [rows, columns, C] at a level.

    Width and height are the picture's; the latents are of the picture at the scale.
    """
    model = codec.coder.model
    parts = len(model.layers) if layered else 1
    sliced = side if side < max(latents.shape[:2]) else 0
    header = container.Header(codec.id, width, height, level, parts, sliced, None, scale)
    coded = [
        codec.coder.encode(
            np.ascontiguousarray(latents[place]),
            level,
            rounding=MOST_ROUNDING,
            strength=STRENGTH,
            merge_below=0 if layered else (1 << 32) - 1,
        )
        for place in header.slices
    ]
    return container.pack(header, [one.segments[part] for part in range(parts) for one in coded])


def reference_latents(codec: Codec, picture: npt.NDArray[np.uint8]) -> Values:
    """Return the latents int16 [rows, columns, C] of a picture uint8 [H, W, 3] by a runtime's reference kernels."""
    network = Model(codec.encoder, reference=True)
    encoder = LatentEncoder(network, tile=codec.tile, channels=codec.channels, copies=codec.copies)
    return encoder.latents(picture)


def encode_on_board(
    codec: Codec,
    picture: npt.NDArray[np.uint8],
    board: str,
    *,
    quality: int = 50,
    budget: int = BUDGET,
    pixels: str = "HG_RGB888",
    scale: int = 0,
    packets: tuple[int, int, int] | None = None,
) -> CameraRun:
    """Compile the camera of a codec for a board, run it there on a picture, and count.

    Args:
        picture: uint8 [H, W, n], rows as the camera gives them, n bytes a pixel.
        board: a key of BOARDS.
        pixels: their format, a name of hg_pixels.
        packets: how many instead of a stream within the budget, their bytes, and how many give the picture.

    Raises:
        RuntimeUnavailableError: compiler or emulator is not installed.
        ExportError: the program does not compile, or fails.
    """
    if missing := missing_tools():
        raise RuntimeUnavailableError(f"{', '.join(missing)} not installed: {INSTALL}")
    height, width, pixel = picture.shape
    defines = [
        f"-DWIDTH={width}",
        f"-DHEIGHT={height}",
        f"-DPIXELS={pixels}",
        f"-DPIXEL_BYTES={pixel}",
        f"-DQUALITY={quality}",
        f"-DSCALE={scale}",
        "-DHELIOGRAPH_STAGE=heliograph_stage",
    ]
    roots = ["-Wl,-e,hg_encode_picture", "-Wl,-u,heliograph_codec"]
    if scale:
        roots += ["-Wl,-u,hg_scaling_begin", "-Wl,-u,hg_scaling_row"]
    if packets:
        names = ("PACKETS", "PACKET_BYTES", "ARRIVE")
        defines += [f"-D{name}={value}" for name, value in zip(names, packets, strict=True)]
        roots += ["-Wl,-u,hg_send_packets"]
    else:
        defines += [f"-DBUDGET={budget}"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in camera_source.sources(codec).items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(data)
        (folder / "picture.raw").write_bytes(picture.tobytes())
        parts = ["heliograph.c", "codec.c"]
        example = ["cortexm/main.c", "cortexm/startup.c"]
        _gcc(
            folder,
            BOARDS[board],
            *defines,
            *_LINK,
            "-T",
            "cortexm/memory.ld",
            *example,
            *parts,
            "-o",
            "camera.elf",
        )
        printed = _emulate(folder, BOARDS[board])
        counts = {m[1]: int(m[2]) for m in re.finditer(r"^(\w+) (\d+)$", printed, re.MULTILINE)}
        if counts.get("status") != 0:
            raise ExportError(
                f"the program on the emulated {board} printed {printed.strip()!r}, expected status 0; "
                "a budget may be too small, or report this"
            )
        _gcc(folder, BOARDS[board], *_LINK, *roots, "--specs=nosys.specs", *parts, "-o", "codec.elf")
        done = run_tool([SIZES, "codec.elf"], folder=folder)
        flash = int(done.stdout.splitlines()[1].split()[0])
        found = needs(codec)
        per_tick = 1e9 / BOARDS[board].clock / (1 << _SHIFT)
        return CameraRun(
            board=board,
            stream=(folder / "stream.helio").read_bytes(),
            level=counts["level"],
            pixels=width * height,
            flash=flash,
            code=flash - found.network - found.entropy,
            memory=counts["memory"],
            more=counts["more"],
            stack=counts["stack"],
            instructions={stage: round(counts[stage] * per_tick) for stage in _COUNTED},
        )


def _gcc(folder: Path, board: Board, *arguments: str) -> None:
    done = run_tool([COMPILER, *board.flags, *_FLAGS, *arguments], folder=folder)
    if done.returncode:
        raise ExportError(
            f"{COMPILER} failed: {last_line(done)}; install another release of it, or report this"
        )


def _emulate(folder: Path, board: Board) -> str:
    counting = f"shift={_SHIFT},align=off,sleep=off"
    command = [EMULATOR, "-machine", board.machine, "-nographic", "-monitor", "none", "-serial", "none"]
    command += [
        "-semihosting-config",
        "enable=on,target=native",
        "-icount",
        counting,
        "-kernel",
        "camera.elf",
    ]
    done = run_tool(command, folder=folder)
    if done.returncode:
        raise ExportError(
            f"the program on the emulated {board.machine} ended with {done.returncode}: {last_line(done)}; "
            "the picture may be too large for its RAM"
        )
    return done.stdout + done.stderr


def check(run: CameraRun, codec: Codec, picture: npt.NDArray[np.uint8]) -> None:
    """Raise ExportError unless a board made of a picture uint8 [H, W, 3] the bytes that this computer makes."""
    height, width = picture.shape[:2]
    latents = reference_latents(codec, picture)
    expected = expected_stream(codec, latents, width, height, run.level, side=needs(codec).side)
    if run.stream != expected:
        raise ExportError(
            f"the emulated {run.board} made {len(run.stream)} bytes, not the {len(expected)} that were made here; "
            "report this with the codec and the compiler's version"
        )


HEAD: tuple[str, ...] = (
    "board",
    "picture",
    "RAM",
    "of it memory",
    "stack",
    "flash",
    "code",
    "bytes",
    "network",
    "entropy",
    "rest",
    "ms at 480 MHz",
)


def row(run: CameraRun, width: int, height: int) -> tuple[str, ...]:
    """Return a run as a row of a table under HEAD: bytes, and instructions per pixel by stage."""
    total = sum(run.instructions.values())
    return (
        run.board,
        f"{width}x{height}",
        str(run.memory + run.stack + 3 * width),
        str(run.memory),
        str(run.stack),
        str(run.flash),
        str(run.code),
        str(len(run.stream)),
        *(f"{run.per_pixel(stage):.0f}" for stage in STAGES),
        f"{total / 480e3:.0f}",
    )


def measure(
    codec: Codec,
    picture: npt.NDArray[np.uint8],
    sizes: Sequence[tuple[int, int]],
    boards: Sequence[str],
    quality: int,
) -> list[tuple[str, ...]]:
    """Encode the upper left corners of a picture on boards, check the bytes, and return a table with its head."""
    rows = [HEAD]
    for width, height in sizes:
        part = np.ascontiguousarray(picture[:height, :width])
        for board in boards:
            run = encode_on_board(codec, part, board, quality=quality)
            check(run, codec, part)
            rows.append(row(run, part.shape[1], part.shape[0]))
    return rows


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("codec", nargs="*", default=["microcontroller"])
    parser.add_argument("--quality", type=int, default=50)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--size", nargs="*", default=["x".join(map(str, s)) for s in SIZES_OF_PICTURES])
    parser.add_argument("--board", nargs="*", choices=list(BOARDS), default=list(BOARDS))
    arguments = parser.parse_args()
    sizes = [tuple(map(int, size.split("x"))) for size in arguments.size]
    try:
        picture = load_srgb(arguments.picture) if arguments.picture else synthetic_picture(640)
        for name in arguments.codec:
            codec = registry.open_codec(name)
            rows = measure(codec, picture, [(w, h) for w, h in sizes], arguments.board, arguments.quality)
            what = arguments.picture.name if arguments.picture else "synthetic picture"
            print(
                f"{codec.name}: corners of {what}, quality {arguments.quality}, a budget of {BUDGET} bytes; sizes in"
            )
            print("bytes, stages in instructions per pixel; the same streams as made here")
            print(text_table(rows))
            print(cost.beside_tflm(codec), end="\n\n")
    except HeliographError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
