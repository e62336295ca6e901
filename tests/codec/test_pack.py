"""Packing: how residuals are chosen, and budgets: never exceeded, and used."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec import levels
from heliograph.codec.codec import Codec
from heliograph.codec.distortion import STRENGTH
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import Values
from heliograph.errors import PictureError

Latents = Callable[[int, int, int, float], Values]


def test_residuals_are_chosen_by_rdoq_unless_it_is_left_out(random_codec: Codec, latents: Latents) -> None:
    maps, coder, level = latents(2, 20, 20, 20.0), random_codec.coder, 600

    def values(**options: int) -> npt.NDArray[np.int16]:
        stream = Packer(random_codec, maps, 320, 320, **options).at(level)  # type: ignore[arg-type]
        return decode_stream(stream, random_codec).values[..., coder.model.order]

    optimised = coder.encode(maps, level, rounding=128, strength=STRENGTH).values
    dead_zone = coder.encode(maps, level, rounding=110, strength=0).values  # the random model's rounding
    assert np.array_equal(values(), optimised)
    assert np.array_equal(values(strength=0), dead_zone)


@pytest.mark.parametrize("quality", [0, 30, 60, 100])
def test_rdoq_takes_fewer_bytes_than_the_nearest_residuals(
    quality: int, random_codec: Codec, latents: Latents
) -> None:
    maps, level = latents(2, 20, 20, 20.0), levels.from_quality(quality)
    stream = Packer(random_codec, maps, 320, 320).at(level)
    nearest = random_codec.coder.encode(maps, level, rounding=128, strength=0, merge_below=1 << 30)
    assert len(stream) < sum(map(len, nearest.segments))


def test_the_values_of_a_packed_picture_are_what_it_decodes_to(random_codec: Codec, latents: Latents) -> None:
    maps = latents(2, 20, 20, 20.0)
    for tiles in (0, 1):
        packer = Packer(random_codec, maps, 320, 315, slice_tiles=tiles)
        for packed in (packer.pack(Rate(quality=40)), packer.pack(Rate(bpp=0.3)), packer.first_layers(2)):
            decoded = decode_stream(packed.data, random_codec)
            assert np.array_equal(packed.values, decoded.values)
            assert packed.as_reference().picture_id == decoded.picture_id


def test_a_budget_holds_with_a_reference_too(random_codec: Codec, latents: Latents) -> None:
    maps = latents(2, 20, 20, 20.0)
    there = Packer(random_codec, maps, 320, 320).pack(Rate(max_bytes=3000)).as_reference()
    packed = Packer(random_codec, maps, 320, 320, reference=there).pack(Rate(max_bytes=4500))
    assert 0.97 * 4500 <= len(packed.data) <= 4500
    decoded = decode_stream(packed.data, random_codec, references={there.picture_id: there.values})
    assert np.array_equal(decoded.values, packed.values)
    first = Packer(random_codec, maps, 320, 320, reference=there).first_layers(1)
    decoded = decode_stream(first.data, random_codec, references={there.picture_id: there.values})
    assert np.array_equal(decoded.values, first.values)


@pytest.mark.parametrize("max_bytes", [2800, 3600, 4090, 4110, 4300, 5000, 6000])
def test_a_budget_is_never_exceeded_and_used_to_97_percent(
    max_bytes: int, random_codec: Codec, latents: Latents
) -> None:
    packed = Packer(random_codec, latents(2, 20, 20, 20.0), 320, 320).pack(Rate(max_bytes=max_bytes))
    assert 0.97 * max_bytes <= len(packed.data) <= max_bytes
    assert packed.trials <= 3
    assert packed.estimates <= 14
    assert decode_stream(packed.data, random_codec).level == packed.level


def test_a_budget_beyond_the_finest_quality_gives_the_finest(random_codec: Codec, latents: Latents) -> None:
    packed = Packer(random_codec, latents(2, 4, 4, 20.0), 64, 64).pack(Rate(max_bytes=10**6))
    assert packed.quality == 100
    assert packed.data == Packer(random_codec, latents(2, 4, 4, 20.0), 64, 64).at(1023)


def test_bits_per_pixel_are_a_budget_of_bytes(random_codec: Codec, latents: Latents) -> None:
    maps = latents(2, 20, 20, 20.0)
    by_rate = Packer(random_codec, maps, 320, 320).pack(Rate(bpp=0.25))
    assert by_rate.data == Packer(random_codec, maps, 320, 320).pack(Rate(max_bytes=3200)).data


def test_a_budget_below_the_coarsest_level_leaves_layers_out(random_codec: Codec, latents: Latents) -> None:
    maps = latents(2, 20, 20, 20.0)
    without = Packer(random_codec, maps, 320, 320).first_layers(1).data
    packed = Packer(random_codec, maps, 320, 320).pack(Rate(max_bytes=len(without) + 5))
    assert len(packed.data) <= len(without) + 5
    later = random_codec.coder.model.order[6:]
    assert not decode_stream(without, random_codec).values[..., later].any()


def test_an_impossible_budget_is_named(random_codec: Codec, latents: Latents) -> None:
    with pytest.raises(PictureError, match=r"takes \d+ bytes at least, the budget is 30; raise it, or let"):
        Packer(random_codec, latents(2, 20, 20, 20.0), 320, 320).pack(Rate(max_bytes=30))


def test_a_quality_is_a_level(random_codec: Codec, latents: Latents) -> None:
    packer = Packer(random_codec, latents(2, 4, 4, 20.0), 64, 64)
    packed = packer.pack(Rate(quality=33.5))  # 223 + 8 * 33.5
    assert (packed.level, packed.quality, packed.trials) == (491, 33.5, 1)
    assert packed.data == packer.at(491)


def test_a_share_of_a_byte_is_an_impossible_budget_too(random_codec: Codec, latents: Latents) -> None:
    with pytest.raises(PictureError, match="the budget is 1; raise it"):
        Packer(random_codec, latents(2, 20, 20, 20.0), 320, 320).pack(Rate(bpp=1e-9))
