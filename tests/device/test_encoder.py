"""The device's encoder on pictures of any size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import PictureError
from heliograph.server.preview import PreviewDecoder

Paint = Callable[[int, int], npt.NDArray[np.uint8]]
SIZES = [(1, 1), (15, 17), (16, 16), (257, 255), (512, 256), (1, 300)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_picture_of_any_size_goes_to_a_stream_and_back(
    width: int, height: int, encoder: Encoder, codec: Codec, paint: Paint
) -> None:
    decoded = decode_stream(encoder.encode(paint(width, height), Rate(quality=60)), codec)
    assert (decoded.width, decoded.height) == (width, height)
    assert decoded.values.shape == (-(-height // 16), -(-width // 16), codec.channels)
    picture = PreviewDecoder(codec).decode(decoded)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8


def test_tiles_are_encoded_independently(encoder: Encoder, paint: Paint) -> None:
    picture = paint(512, 256)
    both = encoder.latents(picture)
    assert np.array_equal(both[:, :16], encoder.latents(picture[:, :256]))
    assert np.array_equal(both[:, 16:], encoder.latents(picture[:, 256:]))


def test_the_same_picture_gives_the_same_bytes(encoder: Encoder, paint: Paint) -> None:
    assert encoder.encode(paint(64, 64), Rate(quality=50)) == encoder.encode(paint(64, 64), Rate(quality=50))


def test_a_fast_encoder_rounds_with_the_dead_zone(encoder: Encoder, codec: Codec, paint: Paint) -> None:
    picture, rate = paint(256, 256), Rate(quality=50)
    latents = encoder.latents(picture)
    fast = Encoder(codec, fast=True).encode(picture, rate)
    assert fast == Packer(codec, latents, 256, 256, strength=0).pack(rate).data
    assert encoder.encode(picture, rate) == Packer(codec, latents, 256, 256).pack(rate).data != fast


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4)])
def test_other_arrays_are_refused(encoder: Encoder, shape: tuple[int, ...]) -> None:
    with pytest.raises(PictureError, match=r"expected uint8 \[H, W, 3\], got uint8"):
        encoder.latents(np.zeros(shape, np.uint8))


def test_a_float_picture_is_refused(encoder: Encoder) -> None:
    with pytest.raises(PictureError, match="got float64"):
        encoder.latents(np.zeros((8, 8, 3)))  # type: ignore[arg-type]


def test_a_picture_beyond_the_limit_is_refused(encoder: Encoder) -> None:
    wide = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (1, 65_536, 3))
    with pytest.raises(PictureError, match="picture is 65536x1: a side must be 1 to 65535"):
        encoder.latents(wide)
