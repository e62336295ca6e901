"""Budgets: never exceeded, and used."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.manifest import Codec
from heliograph.codec.pack import Packer, pack_latents, pack_within
from heliograph.codec.stream import decode_stream
from heliograph.errors import PictureError

Latents = Callable[[int, int, int, float], npt.NDArray[np.int8]]


@pytest.mark.parametrize("max_bytes", [2800, 3600, 4090, 4110, 4300, 5000, 6000])
def test_a_budget_is_never_exceeded_and_used_to_97_percent(
    max_bytes: int, random_codec: Codec, latents: Latents
) -> None:
    packed = pack_within(random_codec, latents(2, 20, 20, 20.0), 320, 320, max_bytes=max_bytes)
    assert 0.97 * max_bytes <= len(packed.data) <= max_bytes
    assert packed.trials <= 3
    assert packed.estimates <= 14
    assert decode_stream(packed.data, random_codec).level == packed.level


def test_a_budget_beyond_the_finest_quality_gives_the_finest(random_codec: Codec, latents: Latents) -> None:
    packed = pack_within(random_codec, latents(2, 4, 4, 20.0), 64, 64, max_bytes=10**6)
    assert packed.quality == 100
    assert packed.data == pack_latents(random_codec, latents(2, 4, 4, 20.0), 64, 64, 100)


def test_bits_per_pixel_are_a_budget_of_bytes(random_codec: Codec, latents: Latents) -> None:
    maps = latents(2, 20, 20, 20.0)
    by_rate = pack_within(random_codec, maps, 320, 320, bpp=0.25)
    assert by_rate.data == pack_within(random_codec, maps, 320, 320, max_bytes=3200).data


def test_a_budget_below_the_coarsest_level_leaves_layers_out(random_codec: Codec, latents: Latents) -> None:
    maps = latents(2, 20, 20, 20.0)
    without = Packer(random_codec, maps, 320, 320).at(0, layers=1)
    packed = pack_within(random_codec, maps, 320, 320, max_bytes=len(without) + 5)
    assert len(packed.data) <= len(without) + 5
    later = random_codec.coder.model.order[6:]
    assert not decode_stream(without, random_codec).symbols[..., later].any()


def test_an_impossible_budget_is_named(random_codec: Codec, latents: Latents) -> None:
    with pytest.raises(PictureError, match=r"takes \d+ bytes at least, the budget is 30; raise it or scale"):
        pack_within(random_codec, latents(2, 20, 20, 20.0), 320, 320, max_bytes=30)


def test_one_of_the_two_budgets_must_be_given(random_codec: Codec, latents: Latents) -> None:
    with pytest.raises(ValueError, match="give one of max_bytes and bpp"):
        pack_within(random_codec, latents(2, 4, 4, 20.0), 64, 64)
