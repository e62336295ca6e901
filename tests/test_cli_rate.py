"""Budgets, slices and partial decoding on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A picture of several tiles."""
    y, x = np.mgrid[:400, :600]
    noise = np.random.default_rng(3).normal(0, 12, (400, 600))
    picture = np.stack([x / 3 + noise, y / 2 + noise, 90 + 40 * np.sin(x / 11) + noise], axis=-1)
    path = tmp_path / "large.png"
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path)
    return path


def test_a_budget_of_bytes_is_kept(large: Path, codec_folder: Path) -> None:
    options = [
        "--keep-scale",
        "--codec",
        str(codec_folder),
    ]  # noise is best at a scale that has no more to give
    assert main(["encode", str(large), "--max-bytes", "3000", *options]) == 0
    assert 2910 <= large.with_suffix(".helio").stat().st_size <= 3000


def test_a_budget_of_bits_per_pixel_is_kept(large: Path, codec_folder: Path) -> None:
    assert main(["encode", str(large), "--bpp", "0.1", "--keep-scale", "--codec", str(codec_folder)]) == 0
    assert 2910 <= large.with_suffix(".helio").stat().st_size <= 3000


def test_the_network_runs_once_however_many_trials(
    large: Path, codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(codec)
    calls = []
    original = encoder.latents

    def counted(picture: np.ndarray) -> np.ndarray:
        calls.append(1)
        return original(picture)

    monkeypatch.setattr(encoder, "latents", counted)
    with Image.open(large) as picture:
        packed = encoder.packer(np.asarray(picture)).pack(Rate(max_bytes=3000))
    assert packed.estimates > 1
    assert len(calls) == 1


def test_an_impossible_budget_fails_with_the_least_size(
    large: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encode", str(large), "--max-bytes", "10", "--codec", str(codec_folder)]) == 2
    assert "bytes at least, the budget is 10; raise it\n" in capsys.readouterr().err


def test_a_hundred_bytes_are_enough_and_decoders_give_the_pictures_own_size(
    large: Path, codec_folder: Path
) -> None:
    codec, stream = ["--codec", str(codec_folder)], large.with_suffix(".helio")
    for budget in ("100", "300"):
        assert main(["encode", str(large), "--max-bytes", budget, "--force", *codec]) == 0
        data = stream.read_bytes()
        header = container.open(data).header
        assert len(data) <= int(budget)
        assert header.is_short
        assert header.scale > 0
        assert (header.width, header.height) == (600, 400)
        for decoder in ("server", "preview"):
            out = ["-o", str(large.with_name("out.png")), "--decoder", decoder, "--force"]
            assert main(["decode", str(stream), *out, *codec]) == 0
            with Image.open(large.with_name("out.png")) as decoded:
                assert decoded.size == (600, 400)


def test_a_scale_can_be_forbidden(large: Path, codec_folder: Path) -> None:
    codec = ["--codec", str(codec_folder)]
    assert main(["encode", str(large), "--max-bytes", "1500", "--keep-scale", *codec]) == 0
    assert container.open(large.with_suffix(".helio").read_bytes()).header.scale == 0


def test_a_cut_stream_of_slices_decodes_partially_and_says_so(
    large: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codec = ["--codec", str(codec_folder)]
    stream, picture = large.with_suffix(".helio"), large.with_name("out.png")
    assert main(["encode", str(large), "--slices", "1", *codec]) == 0
    data = stream.read_bytes()
    assert container.open(data).header.slice_count == 6
    stream.write_bytes(data[: len(data) // 2])
    decode = ["decode", str(stream), "-o", str(picture), *codec]
    assert main(decode) == 2
    assert "decode what is there with --partial" in capsys.readouterr().err
    assert main([*decode, "--partial"]) == 0
    assert "of 24 segments" in capsys.readouterr().err
    with Image.open(picture) as decoded:
        assert decoded.size == (600, 400)


def test_info_and_inspect_show_the_base(
    large: Path, codec: Codec, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("heliograph.validate.maps")
    packed = Encoder(codec, layered=True, base=True).pack(np.asarray(Image.open(large)), Rate(quality=60))
    header = container.open(packed.data).header
    assert (header.level, header.base_level, header.parts) == (703, 281, 1 + len(codec.coder.model.layers))
    path = large.with_suffix(".helio")
    path.write_bytes(packed.data)
    assert main(["info", str(path)]) == 0
    assert "quality:         60, from a base of quality 7.25" in capsys.readouterr().out
    assert main(["inspect", str(path), "--codec", str(codec.folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sum(told["layer_bytes"]) + told["overhead_bytes"] == pytest.approx(len(packed.data))
    assert 0.02 < told["layer_bytes"][0] / len(packed.data) < 0.2
    assert told["layer_psnr"][0] < told["layer_psnr"][-1]
