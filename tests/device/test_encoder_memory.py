"""Pictures of one place: which reference is taken, and budgets that become quality."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.memory import Memory
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.server.preview import PreviewDecoder

Picture = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 160, 120


def noisy(picture: Picture, seed: int) -> Picture:
    noise = np.random.default_rng(seed).normal(0, 2, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def test_a_scene_that_stands_still_gets_better_within_the_same_budget(
    encoder: Encoder, codec: Codec, paint: Callable[[int, int], Picture], tmp_path: Path
) -> None:
    memory, scene = Memory(tmp_path, codec), paint(WIDTH, HEIGHT)
    latents = encoder.latents(scene).astype(float)
    levels, errors = [], []
    budget = Rate(max_bytes=600, keep_scale=True)
    for number in range(6):
        packed = encoder.pack(noisy(scene, number), budget, memory.candidates(WIDTH, HEIGHT))
        assert len(packed.data) <= 600
        memory.add(packed.data, packed.as_reference())
        levels.append(packed.level)
        errors.append(float(((packed.values - latents) ** 2).mean()))
    assert levels[1] > levels[0] + 8  # a quality at least
    assert min(levels[2:]) >= levels[1]
    # Of the scene without noise, which no picture was, more is known.
    assert max(errors[2:]) < 0.9 * errors[0]


def test_with_the_shipped_codec_a_small_budget_becomes_a_better_picture(
    shipped: Codec, paint: Callable[[int, int], Picture], tmp_path: Path
) -> None:
    encoder, memory, decoder = Encoder(shipped), Memory(tmp_path, shipped), PreviewDecoder(shipped)
    scene = paint(WIDTH, HEIGHT)
    levels, psnrs = [], []
    budget = Rate(max_bytes=320, keep_scale=True)
    for number in range(5):
        packed = encoder.pack(noisy(scene, number), budget, memory.candidates(WIDTH, HEIGHT))
        assert len(packed.data) <= 320
        memory.add(packed.data, packed.as_reference())
        shown = decoder.decode(decode_stream(packed.data, shipped, references=memory.values)).astype(float)
        levels.append(packed.level)
        psnrs.append(10 * np.log10(255**2 / ((shown - scene) ** 2).mean()))
    assert levels[:3] == sorted(set(levels[:3]))
    assert levels[2] >= levels[0] + 80  # ten qualities finer for the same bytes
    assert psnrs[1] > psnrs[0] + 0.3
    assert min(psnrs[2:]) > psnrs[0] + 0.6


def test_a_scene_that_has_changed_wholly_refers_to_nothing(
    shipped: Codec, paint: Callable[[int, int], Picture], tmp_path: Path
) -> None:
    encoder, memory, scene = Encoder(shipped), Memory(tmp_path, shipped), paint(WIDTH, HEIGHT)
    other = np.random.default_rng(1).integers(0, 256, scene.shape).astype(np.uint8)
    for picture, depth in ((scene, None), (other, 0), (scene, 1)):
        packed = encoder.pack(picture, Rate(quality=40), memory.candidates(WIDTH, HEIGHT))
        memory.add(packed.data, packed.as_reference())
        if depth is not None:  # two pictures back is the same scene again
            assert min(container.open(packed.data).header.depth, 1) == depth


def test_no_reference_makes_a_picture_larger(
    encoder: Encoder, codec: Codec, paint: Callable[[int, int], Picture], tmp_path: Path
) -> None:
    memory, scene = Memory(tmp_path, codec, keep=4), paint(WIDTH, HEIGHT)
    pictures = [noisy(scene, 1), np.roll(scene, 40, 1), 255 - scene, scene // 8]
    for picture in pictures:
        packed = encoder.pack(picture, Rate(quality=40))
        memory.add(packed.data, packed.as_reference())
    for picture in (*pictures, scene[::-1].copy()):
        there = memory.candidates(WIDTH, HEIGHT)
        assert len(there) == 4
        alone = len(encoder.pack(picture, Rate(quality=40)).data)
        chosen = len(encoder.pack(picture, Rate(quality=40), there).data)
        each = [len(encoder.pack(picture, Rate(quality=40), [one]).data) for one in there]
        # Estimates tell them apart within a few bytes.
        assert chosen <= alone + 4
        assert chosen <= min(each) + 4
