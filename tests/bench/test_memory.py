"""What the bench of site memory may refer to, and its report on a generated camera."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.bench import memory
from heliograph.bench.entropy import load
from heliograph.codec.codec import Codec
from heliograph.codec.passes import walk
from heliograph.codec.values import ReferencePicture

COUNT = 5


def earlier(*values: int) -> list[ReferencePicture]:
    return [
        ReferencePicture(bytes([n]), np.full((1, 1, 2), value, np.int16), 400, n)
        for n, value in enumerate(values)
    ]


@pytest.fixture(scope="module")
def camera(
    paint: Callable[[int, int], npt.NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a camera that sees the same with another noise each time."""
    folder = tmp_path_factory.mktemp("cameras")
    (folder / "still").mkdir()
    for seed in range(COUNT):
        noise = np.random.default_rng(seed).normal(0, 2, (80, 112, 3))
        picture = np.clip(paint(112, 80) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / "still" / f"{seed}.png")
    return folder


def test_the_last_are_those_that_are_not_too_deep() -> None:
    past = earlier(0, 1, 2, 3)
    assert memory.last(2)(past) == past[2:]
    assert memory.last(3, 4)(past) == past[1:]
    assert memory.last(3, 3)(past) == []  # a new chain begins
    assert memory.last(3, 3)([*past, past[0]]) == [past[2], past[0]]
    assert memory.last(2)([]) == []


def test_the_running_mean_is_in_integers() -> None:
    chosen = memory.with_mean(memory.last(1))(earlier(8, 16, -100))
    # 8 * 8 = 64; + 16 - 8 = 72; - 100 - 9 = -37, an eighth of it rounded down.
    assert [one.values.ravel().tolist() for one in chosen] == [[-100, -100], [-5, -5]]
    assert memory.with_mean(memory.last(1))([]) == []


def test_yesterdays_picture_is_a_day_ago() -> None:
    past = earlier(0, 1, 2, 3, 4)
    choose = memory.with_yesterday(memory.last(1), 3)
    assert choose(past) == [past[4], past[2]]
    assert choose(past[:3]) == [past[2], past[0]]
    assert choose(past[:2]) == [past[1]]


def test_a_chain_ends_at_its_bound(codec: Codec, camera: Path) -> None:
    maps, _ = load(codec, sorted((camera / "still").iterdir()))
    before, alone = memory.walk(codec, maps, 40, lambda past: [])
    assert alone == COUNT
    size, alone = memory.walk(codec, maps, 40, memory.last(1))
    assert (alone, size < 0.9 * before) == (1, True)
    short, alone = memory.walk(codec, maps, 40, memory.last(1, 1))
    assert alone == 3  # every second one
    assert size < short < before


def test_multiply_adds_are_those_of_the_networks(codec: Codec) -> None:
    model = codec.coder.model
    total = 0.0
    for layer in range(len(model.layers)):
        for number, positions, _ in walk(layer, 32, 32):
            network = model.sets[0].network(layer, number)
            if network is not None:
                share = len(positions) / 1024
                total += network.mix.size + share * (network.look.size + network.choose.size)
    assert memory.multiply_adds(model, False) == pytest.approx(total / 256)
    assert memory.multiply_adds(model, True) > 1.2 * total / 256


def test_the_report_has_a_line_for_each_camera(
    codec_folder: Path, camera: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert memory.main([str(camera), "--codec", str(codec_folder), "--every", "2", "--day", "2"]) == 0
    table, what, alone, with_reference = (text.split() for text in capsys.readouterr().out.splitlines()[-4:])
    assert table[:2] == ["still", "3"]
    assert table.count("%") == len(memory.KEPT) + 2 + len(memory.DEPTHS)
    assert " ".join(what) == "entropy coding of still, 3 pictures"
    assert (alone[:2], with_reference[:2]) == (["without", "one"], ["with", "a"])
    assert alone[3:7] == with_reference[4:8] == ["multiply-adds", "a", "pixel", "at"]
    assert 0 < int(alone[2]) < int(with_reference[3])
    assert memory.main([str(camera / "none")]) == 2
    assert "memory: folder" in capsys.readouterr().err
