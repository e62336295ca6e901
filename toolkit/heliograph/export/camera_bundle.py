"""The bundle `c`: a whole camera in C99, which compiles as it is, and what it needs, counted and measured."""

from __future__ import annotations

import numpy as np

from heliograph.codec.codec import Codec
from heliograph.export import c_source, camera_boards, camera_source
from heliograph.export.bundle import COUNTED, UNKNOWN, Bundle, Figure
from heliograph.export.cortexm import COMPILER, INSTALL, compiler_version, missing_tools
from heliograph.export.needs import CODE, PACKETS_CODE, SCALING_CODE, STACK, Needs, needs, packets_ram
from heliograph.export.options import Options
from heliograph.export.probe import synthetic_picture
from heliograph.pictures import load_srgb

SIZES = ((96, 96), (160, 120), (320, 240), (640, 480), (1280, 720))
BUDGET = camera_boards.BUDGET
_MEASURED = (160, 120)  # of the picture that an emulated board encodes as the bundle is made
_SCALED = (640, 480)
_SCALES = {2: 2, 4: 4}  # and what each divides sides by
_PACKET = 222  # LoRa's largest
_USE = c_source.FIRMWARE / "camera.md"


def build(codec: Codec, options: Options) -> Bundle:
    """Generate the sources, count what they need, and run them on an emulated Cortex-M where there is one."""
    found = needs(codec)
    bundle = Bundle(
        "c", codec, notes=[c_source.read_source(_USE).decode().strip()], files=camera_source.sources(codec)
    )
    how = "from the arrays; see the table for pictures of other sizes"
    bundle.figures += [
        Figure("network in flash, bytes", str(found.network), COUNTED, "the array's size"),
        Figure("entropy tables in flash, bytes", str(found.entropy), COUNTED, "the array's size"),
        Figure("flash in all, bytes", str(found.flash), COUNTED, f"with {CODE} of code, Cortex-M under -O2"),
        Figure("RAM in all, 640x480, bytes", str(found.ram(640, 480, BUDGET)), COUNTED, how),
    ]
    bundle.tables.append((f"What a picture needs, with a budget of {BUDGET} bytes", table(found)))
    bundle.tables.append(("What more takes, where it is used", more_table(found)))
    if missing_tools():
        bundle.figures.append(Figure("on an emulated Cortex-M", "-", UNKNOWN, INSTALL))
        return bundle
    width, height = _MEASURED
    picture = load_srgb(options.picture) if options.picture else synthetic_picture(width)
    picture = np.ascontiguousarray(picture[:height, :width])
    rows = [camera_boards.HEAD]
    for board in camera_boards.BOARDS:
        run = camera_boards.encode_on_board(codec, picture, board, quality=round(options.quality))
        camera_boards.check(run, codec, picture)
        rows.append(camera_boards.row(run, picture.shape[1], picture.shape[0]))
    bundle.tables.append(("On emulated boards: bytes, and instructions per pixel by stage", rows))
    bundle.tools[COMPILER] = compiler_version()
    return bundle


def table(found: Needs) -> list[tuple[str, ...]]:
    """Return what pictures need, in rows with a head: the memory, and all RAM with stack and one row of the camera."""
    head = (
        "picture",
        "memory, bytes",
        f"RAM in all, with {STACK} of stack and a row of RGB888",
        "flash, bytes",
    )
    return [
        head,
        *(
            (f"{w}x{h}", str(found.memory(w, h, BUDGET)), str(found.ram(w, h, BUDGET)), str(found.flash))
            for w, h in SIZES
        ),
    ]


def more_table(found: Needs) -> list[tuple[str, ...]]:
    """Return what packets, and pictures that are made smaller, need beside a plain camera, in rows with a head."""
    width, height = _SCALED
    rows = [
        (
            f"{width}x{height} made smaller by {by}",
            f"{found.scaled_ram(width, height, BUDGET, scale)} in all",
            f"+{SCALING_CODE}",
        )
        for scale, by in _SCALES.items()
    ]
    packets = (f"packets of {_PACKET} bytes", f"+{packets_ram(_PACKET)}", f"+{PACKETS_CODE}")
    return [("what", "RAM, bytes", "flash, bytes"), *rows, packets]
