"""A codec for a site: its contexts and tables, under another id; encoder, steps and decoders stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.codec.codec import ENCODER, SERVER, Codec
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.train.existing import steps_of


def test_calibrating_changes_tables_and_id_and_leaves_the_encoder(
    codec_folder: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    picture = Image.open(next(photos.glob("*.png"))).convert("RGB")
    for number in range(8):
        picture.crop((16 * number, 0, 16 * number + 160, 128)).save(site / f"{number}.png")
    out = tmp_path / "river"
    command = ["calibrate", "--codec", str(codec_folder), "--images", str(site), "-o", str(out)]
    assert main([*command, "--steps", "1"]) == 0
    printed = capsys.readouterr().out
    assert "fitted on 4 pictures, measured on 4 others" in printed
    assert "BD-rate" in printed
    before, after = Codec(codec_folder), Codec(out)
    assert np.array_equal(steps_of(after), steps_of(before))
    assert (after.name, after.manifest["calibrated"]["from"]) == ("river", before.id.hex())
    assert after.id != before.id
    assert after.read(ENCODER) == before.read(ENCODER)
    assert after.read(SERVER) == before.read(SERVER)
    latents = Encoder(after).latents(np.asarray(picture))
    data = Packer(after, latents, picture.width, picture.height).pack(Rate(quality=40)).data
    assert decode_stream(data, after).values.shape == latents.shape
    assert main([*command, "--steps", "1"]) == 2
    assert "holds a codec already; give another folder (-o)" in capsys.readouterr().err


def test_a_site_needs_pictures_to_hold_out(
    codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    command = ["calibrate", "--codec", str(codec_folder), "--images", str(tmp_path)]
    assert main([*command, "-o", str(tmp_path / "out")]) == 2
    assert "has 1 pictures, expected at least 8: half of them are held out" in capsys.readouterr().err
