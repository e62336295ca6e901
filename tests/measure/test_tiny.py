"""Small pictures in few bytes: sizes, what fits, and means by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.measure.baselines import BASELINES, decode, encode
from heliograph.measure.metrics import psnr, ssimulacra2
from heliograph.measure.tiny import OURS, Scores, coded, finest, scores, small, summarise
from heliograph.server.decoders import open_decoder

Picture = npt.NDArray[np.uint8]
Paint = Callable[[int, int], Picture]


def test_the_longer_side_becomes_256(paint: Paint) -> None:
    assert small(paint(768, 512)).shape == (171, 256, 3)
    assert small(paint(100, 300)).shape == (256, 85, 3)
    assert np.array_equal(small(paint(100, 80)), paint(100, 80))  # never larger


def test_ours_in_few_bytes(codec: Codec, paint: Paint) -> None:
    encoder, picture, decoder = Encoder(codec), paint(96, 64), open_decoder("preview", codec)

    def within(picture: Picture, budget: int) -> bytes:
        return encoder.pack(picture, Rate(max_bytes=budget)).data

    shown = coded(within, codec, decoder.decode)
    assert np.array_equal(
        np.asarray(shown(picture, 400)), decoder.decode(decode_stream(within(picture, 400), codec))
    )
    assert shown(picture, 3) is None


def test_the_finest_file_that_fits(paint: Paint) -> None:
    picture = paint(96, 64)
    sizes = {quality: len(encode("jpeg", picture, quality)) for quality in range(1, 101)}
    budget = sizes[40]
    best = max(quality for quality, size in sizes.items() if size <= budget)
    assert np.array_equal(np.asarray(finest("jpeg")(picture, budget)), decode(encode("jpeg", picture, best)))
    assert finest("jpeg")(picture, min(sizes.values()) - 1) is None
    assert set(sizes) == set(range(1, BASELINES["jpeg"].finest + 1))


def test_scores(paint: Paint) -> None:
    pytest.importorskip("ssimulacra2")
    picture = paint(64, 48)
    shown = np.clip(picture.astype(int) + 9, 0, 255).astype(np.uint8)
    assert scores(picture, shown) == (psnr(picture, shown), ssimulacra2(picture, shown))
    assert scores(picture, shown, perceptual=False) == (psnr(picture, shown), None)
    assert scores(picture[:7], shown[:7]) == (psnr(picture[:7], shown[:7]), None)
    assert scores(picture, None) is None


def test_means_by_hand() -> None:
    rows: list[dict[str, Scores | None]] = [
        {OURS: (30.0, 60.0), "avif": (28.0, 61.0), "jpeg": None},
        {OURS: (20.0, 40.0), "avif": (21.0, 30.0), "jpeg": None},
        {OURS: None, "avif": (50.0, None), "jpeg": None},
    ]
    found = summarise(rows)
    assert found[OURS] == {"of": 3, "fit": 2, "psnr": 25.0, "ssimulacra2": 50.0}
    assert found["avif"] == {
        "of": 3,
        "fit": 3,
        "psnr": 33.0,
        "ssimulacra2": None,  # one has none
        "both": 2,
        "psnr_above": 0.5,
        "ssimulacra2_above": 4.5,
    }
    assert found["jpeg"]["fit"] == found["jpeg"]["both"] == 0
    assert found["jpeg"]["psnr"] is found["jpeg"]["psnr_above"] is None
