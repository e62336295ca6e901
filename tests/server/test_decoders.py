"""The server's decoder and the preview on pictures of any size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.server.decoder import WINDOW, ServerDecoder, bucket
from heliograph.server.network import DecoderSpec, build_decoder
from heliograph.server.preview import PreviewDecoder

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


@pytest.fixture(scope="module")
def server(codec: Codec) -> ServerDecoder:
    return ServerDecoder(codec)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (15, 17), (16, 16), (257, 255)])
def test_a_picture_of_any_size_comes_back(
    width: int, height: int, server: ServerDecoder, encoder: Encoder, codec: Codec, paint: Paint
) -> None:
    picture = server.decode(decode_stream(encoder.encode(paint(width, height), Rate(quality=60)), codec))
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("padded", [False, True])
def test_windows_join_without_a_seam(
    padded: bool, server: ServerDecoder, encoder: Encoder, codec: Codec, paint: Paint
) -> None:
    decoded = decode_stream(encoder.encode(paint(1600, 48), Rate(quality=60)), codec)  # wider than one window
    whole = server.pixels(decoded.values, decoded.quality)[:48, :1600]
    found = ServerDecoder(codec, padded=padded).decode(decoded)
    assert np.abs(found.astype(int) - whole).max() <= 1


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 3), (17, 33), (33, 16)])
def test_a_padded_picture_is_the_picture_without_padding(rows: int, columns: int, codec: Codec) -> None:
    spec = DecoderSpec(widths=(32, 24, 16, 16), blocks=(2, 2, 1, 1))
    exact, masked = build_decoder(spec, 12), build_decoder(spec, 12, masked=True)
    rng = np.random.default_rng(rows)
    # Random weights and biases: of padding that is not kept out, every layer would make something else than zero.
    weights = [rng.normal(0, 0.3, w.shape).astype(np.float32) for w in exact.get_weights()]
    exact.set_weights(weights)
    masked.set_weights(weights)
    assert [v.path for v in exact.weights] == [v.path for v in masked.weights]
    latents = rng.normal(0, 1, (1, rows, columns, 12)).astype(np.float32)
    quality = np.array([[0.6]], np.float32)
    expected = np.asarray(exact([latents, quality]))
    padded = np.full((1, 40, 40, 12), 7.0, np.float32)  # what is in the padding does not matter
    padded[:, :rows, :columns] = latents
    found = np.asarray(masked([padded, quality, np.array([[rows, columns]], np.int32)]))
    found = found[:, : 16 * rows, : 16 * columns]
    assert np.abs(found - expected).max() <= 2e-5 * np.abs(expected).max()
    without = np.asarray(exact([padded, quality]))[:, : 16 * rows, : 16 * columns]
    assert np.abs(without - expected).max() > 0.01 * np.abs(expected).max()  # so the mask is what does it


@pytest.mark.parametrize("padded", [False, True])
def test_a_batch_gives_what_its_pictures_give_alone(
    padded: bool, server: ServerDecoder, encoder: Encoder, codec: Codec, paint: Paint
) -> None:
    sizes = [(530, 300), (520, 310), (540, 290)] if padded else [(100, 60), (110, 63), (99, 50)]
    decoder = ServerDecoder(codec, padded=padded)
    qualities = (10, 50, 90)
    group = [
        decode_stream(encoder.encode(paint(*size), Rate(quality=quality)), codec)
        for size, quality in zip(sizes, qualities, strict=True)
    ]
    assert len({decoder.shape(one) for one in group}) == 1
    assert padded == (len({one.symbols.shape for one in group}) > 1)
    for one, found in zip(group, decoder.start(group)(), strict=True):
        expected = server.pixels(one.values, one.quality)[: one.height, : one.width]
        assert np.abs(found.astype(int) - expected).max() <= 1


def test_buckets_are_at_most_an_eighth_larger_and_few() -> None:
    sizes = range(1, WINDOW + 1)
    assert all(side <= bucket(side) <= side * 9 / 8 for side in sizes)
    assert [bucket(side) for side in (1, 15, 16, 17, 31, 33, 68, 96)] == [1, 15, 16, 18, 32, 36, 72, 96]
    assert len({bucket(side) for side in sizes}) == 36


def test_batches_keep_to_the_memory_they_may_take(server: ServerDecoder) -> None:
    assert server.batch((1, 1)) == 32
    assert server.batch((30, 40)) == 1
    assert server.batch((16, 16)) == 8
    assert server.batch((97, 1)) == 1


def test_shipped_decoders_rank_as_they_should(shipped: Codec) -> None:
    from heliograph.measure.metrics import psnr
    from heliograph.pictures import load_srgb
    from heliograph.samples import sample_pictures

    picture = load_srgb(sample_pictures(colour_only=True)[2])  # coffee
    decoded = decode_stream(Encoder(shipped).encode(picture, Rate(quality=60)), shipped)
    full, preview = ServerDecoder(shipped).decode(decoded), PreviewDecoder(shipped).decode(decoded)
    assert psnr(picture, full) > psnr(picture, preview) > 28
