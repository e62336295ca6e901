"""The server's decoder and the preview on pictures of any size."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec import container, levels
from heliograph.codec.codec import MANIFEST, SERVER, Codec, sha256
from heliograph.codec.rate import Rate
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import CodecError
from heliograph.server.decoder import WINDOW, ServerDecoder, bucket
from heliograph.server.network import DecoderSpec, build_decoder, decoder_parameters
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
    assert padded == (len({one.values.shape for one in group}) > 1)
    for one, found in zip(group, decoder.start(group)(), strict=True):
        expected = server.pixels(one.values, one.quality)[: one.height, : one.width]
        assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.fixture(scope="module")
def lively(codec: Codec) -> Callable[..., ServerDecoder]:
    """A server decoder with random weights: every layer makes something of zeros, and of the border."""

    def make(*, padded: bool) -> ServerDecoder:
        decoder = ServerDecoder(codec, padded=padded)
        rng = np.random.default_rng(5)
        for variable in decoder.network.weights:
            variable.assign(rng.normal(0, 0.25, variable.shape).astype(np.float32))
        return decoder

    return make


def zeros(codec: Codec, width: int, height: int, quality: int = 50) -> Decoded:
    header = container.Header(codec.id, width, height, levels.from_quality(quality), 1)
    return decode_stream(container.pack(header, [b""]), codec)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("size", [(800, 16), (16, 9), (150, 700), (203, 420), (64, 64), (1700, 250)])
def test_a_picture_of_zeros_is_what_the_network_makes_of_it(
    padded: bool, size: tuple[int, int], lively: Callable[..., ServerDecoder], codec: Codec
) -> None:
    decoder, flat = lively(padded=padded), zeros(codec, *size)
    expected = decoder.pixels(flat.values, flat.quality)[: flat.height, : flat.width]
    found = decoder.decode(flat)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert len(np.unique(expected)) > 20  # a pattern, and another one by the borders


def test_windows_of_zeros_beside_others_join_without_a_seam(
    lively: Callable[..., ServerDecoder], codec: Codec
) -> None:
    decoder, one = lively(padded=False), zeros(codec, 3 * 96 * 16 + 70, 200)
    one.values[5, 96 * 2 + 30] = 9  # in the third window; the first and last are flat
    expected = decoder.pixels(one.values, one.quality)[: one.height, : one.width]
    assert np.abs(decoder.decode(one).astype(int) - expected).max() <= 1


def test_a_vast_picture_of_zeros_runs_the_network_once_and_on_little(
    lively: Callable[..., ServerDecoder], codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, vast = lively(padded=False), zeros(codec, 5000, 5000)
    seen: list[int] = []
    launch = decoder._launch

    def counted(parts: Sequence[npt.NDArray[np.int16]], *rest: Any) -> Any:
        seen.extend(part.shape[0] * part.shape[1] for part in parts)
        return launch(parts, *rest)

    monkeypatch.setattr(decoder, "_launch", counted)
    picture = decoder.decode(vast)
    assert picture.shape == (5000, 5000, 3)
    assert seen == [(2 * decoder._margin + 1) ** 2]  # of 97,969 latents
    assert (picture[640:656, 640:656] == picture[3200:3216, 3200:3216]).all()
    seen.clear()
    mixed = [zeros(codec, 97, 61), zeros(codec, 97, 61)]
    mixed[1].values[0, 0, 0] = 3
    alike = decoder.start(mixed)()
    assert seen == [28, 28]  # the flat one's small picture is itself, and the other
    assert np.abs(alike[1].astype(int) - decoder.pixels(mixed[1].values, 50.0)[:61, :97]).max() <= 1


def test_the_preview_decoder_runs_once_for_all_windows_of_zeros(
    codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, one = PreviewDecoder(codec), zeros(codec, 1500, 900)
    one.values[47, 47, :3] = 80
    count, model = 0, decoder._model

    def counted(window: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        nonlocal count
        count += 1
        return model(window)

    monkeypatch.setattr(decoder, "_model", counted)
    found = decoder.decode(one)
    assert count == 1 + 4  # the flat one, and those that see the values
    alone = zeros(codec, 1500, 900)
    assert (decoder.decode(alone)[:200] == found[:200]).all()


def test_what_is_all_zero_is_known_without_a_coder(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    coder, parts = codec.coder, len(codec.coder.model.layers)
    for merged in (True, False):
        given = [b""] * (1 if merged else parts)
        assert not coder.decode(given, 9, 7, 300, merged=merged).values.any()
    monkeypatch.setattr(type(coder), "decode", None)
    for header in (
        container.Header(codec.id, 110, 140, 300, 1),
        container.Header(codec.id, 110, 140, 300, parts, side=3),
    ):
        decoded = decode_stream(container.pack(header, [b""] * (header.parts * header.slice_count)), codec)
        assert decoded.values.shape == (9, 7, codec.channels)
        assert not decoded.values.any()
        assert decoded.loss.is_none


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


@pytest.mark.parametrize("spec", [DecoderSpec(), DecoderSpec(widths=(9, 7, 5, 2), blocks=(0, 3, 1, 2))])
def test_parameters_are_counted_from_the_shape(spec: DecoderSpec) -> None:
    assert decoder_parameters(spec, 12) == build_decoder(spec, 12).count_params()


@pytest.mark.parametrize(
    ("described", "text"),
    [
        ({}, "describes no server decoder: expected 4 widths of 2 to 4096 and 4 counts of blocks up to 64"),
        ({"widths": [-1, 8, 8, 8]}, "describes no server decoder"),
        ({"widths": [8, 8, 8]}, "describes no server decoder"),
        ({"widths": [8, 8, 8, 1e9]}, "describes no server decoder"),
        ({"widths": [8, 8, 8, 10**9]}, "describes no server decoder"),
        ({"blocks": "1111"}, "describes no server decoder"),
        ({"blocks": [10**6, 1, 1, 1]}, "describes no server decoder"),
        (
            {"widths": [4096] * 4, "blocks": [64] * 4},
            "parameters, its file holds at most 134217728; use --decoder",
        ),
    ],
)
def test_a_network_that_cannot_be_is_not_built(
    described: dict[str, object], text: str, codec_copy: Path
) -> None:
    manifest = json.loads((codec_copy / MANIFEST).read_text(encoding="utf-8"))
    manifest["server_decoder"] = manifest["server_decoder"] | described if described else {}
    (codec_copy / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(CodecError, match=text):
        ServerDecoder(Codec(codec_copy))


def test_weights_that_are_none_are_named(codec_copy: Path) -> None:
    (codec_copy / SERVER).write_bytes(b"\x93NUMPY no archive")
    manifest = json.loads((codec_copy / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"][SERVER] = sha256(b"\x93NUMPY no archive")
    (codec_copy / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(
        CodecError, match=r"does not fit its manifest: it is no \.npz file; copy the codec folder again"
    ):
        ServerDecoder(Codec(codec_copy))
