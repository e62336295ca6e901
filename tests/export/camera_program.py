"""A codec's camera in plain C, as exported, as a library of this computer."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec import tiles
from heliograph.codec.codec import Codec
from heliograph.export import camera_source
from heliograph.export.needs import needs

FORMATS = ("HG_RGB888", "HG_RGB565", "HG_RGB565_SWAPPED", "HG_YUYV", "HG_UYVY", "HG_GREY")
OK, BAD_CODEC, BAD_SIZE, NO_MEMORY, NO_ROW, OVER, NOT_SENT = range(7)
Row = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
Send = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint8), ctypes.c_size_t)
FIRST = 1024  # HG_LEVELS: no picture before


# What is easier to call from here as a function.
HELPERS = """#include "codec.h"
size_t camera_memory(size_t w, size_t h, size_t p, size_t b) { return HELIOGRAPH_MEMORY(w, h, p, b); }
size_t camera_state(void) { return sizeof(hg_camera_state); }
size_t scaling_memory(uint32_t w, uint32_t h, uint32_t p, uint32_t s) { return HELIOGRAPH_SCALING(w, h, p, s); }
uint32_t scaled(uint32_t side, uint32_t scale) { return HELIOGRAPH_SCALED(side, scale); }
int encode_scaled(hg_camera *camera, void *memory, size_t size, void *scaling_memory, size_t scaling_size) {
    static hg_scaling scaling;
    scaling.width = camera->width;
    scaling.height = camera->height;
    scaling.scale = camera->scale;
    scaling.pixels = camera->pixels;
    scaling.row = camera->row;
    scaling.context = camera->row_context;
    if (!hg_scaling_begin(&scaling, scaling_memory, scaling_size)) return -1;
    camera->pixels = HG_RGB888;
    camera->row = hg_scaling_row;
    camera->row_context = &scaling;
    return (int)hg_encode_picture(&heliograph_codec, camera, memory, size);
}
"""


class Camera(ctypes.Structure):
    """hg_camera."""

    _fields_ = (
        *[(name, ctypes.c_uint32) for name in ("width", "height", "scale", "pixels", "quality", "budget")],
        *[(name, ctypes.c_uint32) for name in ("passes", "layered", "level", "coded", "size")],
        ("row", Row),
        ("row_context", ctypes.c_void_p),
        ("send", Send),
        ("send_context", ctypes.c_void_p),
    )


class Program:
    """A codec's camera as a library of this computer."""

    def __init__(self, codec: Codec, folder: Path) -> None:
        for name, data in camera_source.sources(codec).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        (folder / "helpers.c").write_text(HELPERS)
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler here")
        command = [compiler, "-std=c99", "-O2", "-shared", "-fPIC", "heliograph.c", "codec.c", "helpers.c"]
        done = subprocess.run([*command, "-o", "camera.so"], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.codec, self.needs = codec, needs(codec)
        self.library = ctypes.CDLL(str(folder / "camera.so"))
        for name in ("camera_memory", "camera_state", "scaling_memory"):
            getattr(self.library, name).restype = ctypes.c_size_t
        self.arrays = ctypes.c_char.in_dll(self.library, "heliograph_codec")

    def memory(self, width: int, height: int, pixel: int, budget: int) -> int:
        return int(self.library.camera_memory(*map(ctypes.c_size_t, (width, height, pixel, budget))))

    def encode(
        self,
        rows: np.ndarray,
        width: int,
        *,
        pixels: str = "HG_RGB888",
        quality: int = 50,
        budget: int = 200_000,
        passes: int = 1,
        layered: bool = False,
        level: int = FIRST,
        spare: int = 0,
        codec: ctypes.Array[ctypes.c_char] | ctypes.Structure | None = None,
        give_up_at: int | None = None,
        refuse: bool = False,
        scale: int = 0,
        height: int | None = None,
        scaling_spare: int = 0,
    ) -> tuple[int, bytes, Camera, list[int]]:
        """Encode rows uint8 [H, bytes]: status, stream, the camera afterwards and the rows that were asked for.

        At a scale the camera makes them smaller; with a height, the picture's as `width` is, they are small already.
        """
        stream, asked = bytearray(), []
        held = np.zeros_like(rows[0])  # a row stays only until the next call, as in a driver's buffer

        def row(context: object, y: int) -> int | None:
            asked.append(y)
            held[:] = rows[y]
            return None if y == give_up_at else held.ctypes.data

        def send(context: object, data: object, size: int) -> int:
            stream.extend(ctypes.string_at(data, size))  # type: ignore[arg-type]
            return refuse

        pixel = {"HG_RGB888": 3, "HG_GREY": 1}.get(pixels, 2)
        is_small, height = height is not None, height or len(rows)
        coded = tiles.scaled(width, scale), tiles.scaled(height, scale)
        size = self.memory(*coded, 3 if scale else pixel, budget) + spare
        memory = (ctypes.c_uint64 * (size // 8 + 1))()
        camera = Camera(width, height, scale, FORMATS.index(pixels), quality, budget, passes, layered, level)
        camera.row, camera.send = Row(row), Send(send)
        if scale and not is_small:
            room = self.library.scaling_memory(width, height, pixel, scale) + scaling_spare
            rooms = (ctypes.c_uint32 * (room // 4 + 1))()
            rest = memory, ctypes.c_size_t(size), rooms, ctypes.c_size_t(room)
            status = self.library.encode_scaled(ctypes.byref(camera), *rest)
            return int(status), bytes(stream), camera, asked
        given = ctypes.byref(self.arrays if codec is None else codec)
        status = self.library.hg_encode_picture(given, ctypes.byref(camera), memory, ctypes.c_size_t(size))
        return int(status), bytes(stream), camera, asked


def flat(picture: np.ndarray) -> np.ndarray:
    """Rows as bytes."""
    return np.ascontiguousarray(picture.reshape(len(picture), -1))
