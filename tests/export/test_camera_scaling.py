"""Pictures that the camera in plain C makes smaller before it encodes them: the host's bytes at the same scale."""

from __future__ import annotations

import numpy as np
import pytest
from tests.export.camera_program import BAD_SIZE, NO_ROW, OK, Program, flat

from heliograph.codec import resize, tiles
from heliograph.codec.stream import decode_stream
from heliograph.export.camera_boards import expected_stream, reference_latents
from heliograph.export.needs import scaling_memory
from heliograph.export.probe import synthetic_picture


# 1.5, 2, 4, and 16 and 32, where means of squares come first
@pytest.mark.parametrize("scale", [1, 2, 4, 8, 10, 31])
@pytest.mark.parametrize(("width", "height"), [(240, 131), (63, 240), (1, 5)])
def test_the_stream_is_that_of_the_host_at_this_scale(
    program: Program, width: int, height: int, scale: int
) -> None:
    picture = np.ascontiguousarray(synthetic_picture(240)[:height, :width])
    status, stream, camera, asked = program.encode(flat(picture), width, scale=scale, layered=True)
    assert (status, camera.coded, asked) == (OK, 623, list(range(height)))
    small = resize.at_scale(picture, scale)
    latents = reference_latents(program.codec, small)
    side = program.needs.side
    assert stream == expected_stream(
        program.codec, latents, width, height, 623, side=side, layered=True, scale=scale
    )
    decoded = decode_stream(stream, program.codec)
    assert (decoded.width, decoded.height, decoded.scale) == (width, height, scale)
    # So are rows that the sensor made small.
    again = program.encode(flat(small), width, height=height, scale=scale, layered=True)[1]
    assert again == stream


def test_the_constants_are_the_functions(program: Program) -> None:
    for side in (1, 2, 3, 47, 640, 65535):
        for scale in range(32):
            assert program.library.scaled(side, scale) == tiles.scaled(side, scale), (side, scale)
    for width, height in ((1, 1), (96, 5000), (640, 480), (4056, 3040)):
        for scale in range(32):
            for pixel in (1, 3):
                said = program.library.scaling_memory(width, height, pixel, scale)
                assert said == scaling_memory(width, height, scale, pixel=pixel), (width, height, scale)


def test_a_pass_begins_anew_and_other_pixels_are_scaled_as_rgb(program: Program) -> None:
    grey = np.ascontiguousarray(synthetic_picture(224)[..., 1])
    wide = np.ascontiguousarray(grey[..., None].repeat(3, -1))
    status, wanted, camera, asked = program.encode(
        flat(wide), 224, scale=3, budget=700, passes=9, quality=100
    )
    assert status == OK
    assert 500 < len(wanted) <= 700
    assert len(asked) > 224
    assert len(asked) % 224 == 0
    once = program.encode(flat(wide), 224, scale=3, level=camera.coded, quality=100)[1]
    assert once == wanted
    again = program.encode(flat(grey), 224, scale=3, level=camera.coded, quality=100, pixels="HG_GREY")[1]
    assert again == wanted


def test_what_cannot_be(program: Program) -> None:
    rows = flat(synthetic_picture(96))
    assert program.encode(rows, 96, scale=3, give_up_at=40)[0] == NO_ROW
    assert program.encode(rows, 96, scale=32, height=96)[0] == BAD_SIZE
    assert program.encode(rows, 96, scale=3, scaling_spare=-8)[0] == -1
