"""The server's decoder and the preview on pictures of any size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.manifest import Codec
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.server.decoder import ServerDecoder
from heliograph.server.preview import PreviewDecoder

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


@pytest.fixture(scope="module")
def server(codec: Codec) -> ServerDecoder:
    return ServerDecoder(codec)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (15, 17), (16, 16), (257, 255)])
def test_a_picture_of_any_size_comes_back(
    width: int, height: int, server: ServerDecoder, encoder: Encoder, codec: Codec, paint: Paint
) -> None:
    picture = server.decode(decode_stream(encoder.encode(paint(width, height), 60), codec))
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8


def test_windows_join_without_a_seam(
    server: ServerDecoder, encoder: Encoder, codec: Codec, paint: Paint
) -> None:
    decoded = decode_stream(encoder.encode(paint(1600, 48), 60), codec)  # wider than one window
    whole = server.pixels(decoded.values, decoded.quality)[:48, :1600]
    assert np.abs(server.decode(decoded).astype(int) - whole).max() <= 1


def test_shipped_decoders_rank_as_they_should(shipped: Codec) -> None:
    from heliograph.pictures import load_srgb
    from heliograph.samples import sample_pictures
    from heliograph.validate.metrics import psnr

    picture = load_srgb(sample_pictures(colour_only=True)[2])  # coffee
    decoded = decode_stream(Encoder(shipped).encode(picture, 60), shipped)
    full, preview = ServerDecoder(shipped).decode(decoded), PreviewDecoder(shipped).decode(decoded)
    assert psnr(picture, full) > psnr(picture, preview) > 28
