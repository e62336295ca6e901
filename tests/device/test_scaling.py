"""The scale that a budget is spent at: any picture fits, sharp ones stay large, and the search costs little."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.memory import Memory
from heliograph.codec.rate import Rate
from heliograph.codec.slices import Slices
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import PictureError

Picture = npt.NDArray[np.uint8]
Paint = Callable[[int, int], Picture]


def noise(height: int, width: int) -> Picture:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (3, 700), (300, 200)])
def test_a_hundred_bytes_are_enough_for_noise_and_48_for_a_flat_picture(
    size: tuple[int, int], encoder: Encoder
) -> None:
    for picture, budget in ((noise(*size), 100), (np.full((*size, 3), 200, np.uint8), 48)):
        data = encoder.encode(picture, Rate(max_bytes=budget))
        header = container.open(data).header
        assert len(data) <= budget
        assert (header.height, header.width) == size


def test_what_no_scale_can_do_is_named(encoder: Encoder) -> None:
    with pytest.raises(PictureError, match=r"takes \d+ bytes at least, the budget is 12; raise it$"):
        encoder.encode(noise(40, 40), Rate(max_bytes=12))


def test_an_enlarged_picture_is_made_smaller_and_a_large_budget_keeps_the_size(
    shipped: Codec, paint: Paint
) -> None:
    encoder = Encoder(shipped)
    blurred = np.asarray(Image.fromarray(paint(64, 48)).resize((512, 384), Image.Resampling.BICUBIC))
    scales = [
        container.open(encoder.encode(picture, rate)).header.scale
        for picture, rate in (
            (blurred, Rate(max_bytes=300)),
            (blurred, Rate(max_bytes=300, keep_scale=True)),
            (noise(384, 512), Rate(max_bytes=200_000)),
            (blurred, Rate(quality=5)),
        )
    ]
    assert scales[0] >= 2
    assert scales[1:] == [0, 0, 0]


def test_the_search_codes_no_more_than_a_few_whole_pictures(
    shipped: Codec, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(shipped)
    coded: list[int] = []
    original = Slices.code

    def counted(slices: Slices, *args: object, **options: object) -> object:
        coded.append(sum(part.shape[0] * part.shape[1] for part in slices.latents))
        return original(slices, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Slices, "code", counted)
    for budget in (500, 4000, 30_000):
        coded.clear()
        encoder.encode(paint(640, 480), Rate(max_bytes=budget))
        assert sum(coded) <= 8 * 40 * 30


def test_a_scaled_picture_is_referred_to_at_its_scale(shipped: Codec, paint: Paint, tmp_path: Path) -> None:
    encoder, memory, picture = Encoder(shipped), Memory(tmp_path, shipped), paint(320, 240)
    headers = []
    for _ in range(2):
        packed = encoder.pack(picture, Rate(max_bytes=200), memory.candidates(320, 240))
        memory.add(packed.data, packed.as_reference())
        headers.append(container.open(packed.data).header)
        decoded = decode_stream(packed.data, shipped, references=memory.values)
        assert (decoded.width, decoded.height) == (320, 240)
        assert np.array_equal(decoded.values, packed.values)
    assert headers[0].scale > 0
    assert headers[1].reference is not None
    assert headers[1].kind == headers[0].kind
