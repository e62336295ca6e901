"""Going on from a finished codec: a better decoder under the same id."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from heliograph.cli import main
from heliograph.codec import registry
from heliograph.codec.codec import ENCODER, ENTROPY, MANIFEST, PREVIEW, SERVER, Codec, sha256
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import CodecError, TrainingError
from heliograph.pictures import load_srgb
from heliograph.server.decoder import ServerDecoder, decoder_spec
from heliograph.server.network import DecoderSpec
from heliograph.train import existing
from heliograph.train.latents import latent_crops
from heliograph.train.networks import ENCODERS
from heliograph.train.run import File, Run


def improve(folder: Path, photos: Path, out: Path, *options: str) -> int:
    command = ["train", "--codec", str(folder), "--photos", str(photos), "--out", str(out)]
    return main([*command, "--batch", "2", "--steps", "1", *options])


@pytest.mark.slow
def test_only_the_decoder_of_a_finished_codec_learns_on(
    codec_folder: Path, photos: Path, tmp_path: Path
) -> None:
    assert improve(codec_folder, photos, tmp_path / "run", "--stage", "decoder") == 0
    before, after = Codec(codec_folder), Codec(tmp_path / "run/codec")
    assert after.id == before.id
    for name in (ENCODER, ENTROPY, PREVIEW):
        assert after.read(name) == before.read(name)
    assert after.read(SERVER) != before.read(SERVER)
    assert after.manifest["recipe"]["decoder_continued"][0]["steps"] == 1
    picture = load_srgb(next(photos.glob("*.png")))
    decoded = decode_stream(
        Encoder(before).encode(picture, Rate(quality=30)), after
    )  # what devices send stays readable
    assert ServerDecoder(after).decode(decoded).shape == picture.shape


def test_a_finished_codec_is_not_trained_anew(
    codec_folder: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert improve(codec_folder, photos, tmp_path / "run") == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "is a finished codec: its encoder and tables are frozen" in message
    assert "(--stage decoder)" in message


def test_steps_are_given_in_the_encoders_order(codec_folder: Path) -> None:
    codec = Codec(codec_folder)
    assert np.array_equal(existing.steps_of(codec)[10][codec.coder.model.order], codec.coder.model.steps[10])


def test_an_encoders_shape_is_read_from_the_manifest(codec_folder: Path) -> None:
    codec = Codec(codec_folder)
    assert existing.encoder_spec(codec) == ENCODERS["accelerator"]
    del codec.manifest["encoder"]["mixed"]
    with pytest.raises(TrainingError, match="has the form of an earlier way of training"):
        existing.encoder_spec(codec)


@pytest.mark.parametrize("name", ["accelerator", "microcontroller"])
def test_decoders_of_shipped_codecs_learn_on_whatever_made_their_encoders(
    name: str, photos: Path, tmp_path: Path
) -> None:
    codec = registry.open_codec(name)
    run = Run(codec=name, photos=photos, folder=tmp_path, decoder=decoder_spec(codec), finished=codec)
    existing.unpack(codec, run)
    assert (run.channels, run.tile) == (codec.channels, codec.tile)
    values, _ = latent_crops(run, "decoder")[0]
    shown = ServerDecoder(codec).network([values["values"], values["quality"]])
    lost = np.square(np.asarray(shown) - values["image"] / 255).mean()
    assert lost < 0.01  # 20 dB, at random qualities


def test_another_shape_of_decoder_starts_from_the_linear_path(
    codec_folder: Path, photos: Path, tmp_path: Path
) -> None:
    codec = Codec(codec_folder)
    other = json.loads((codec_folder / "manifest.json").read_text(encoding="utf-8"))["server_decoder"]
    shape = DecoderSpec((24, 16, 16, 8), (1, 1, 1, 1))
    run = Run(codec="accelerator", photos=photos, folder=tmp_path, decoder=shape, finished=codec)
    existing.unpack(codec, run)
    with np.load(run.path(File.DECODER_START)) as stored:
        kernels = {k: stored[k] for k in stored.files}
    inverse = ServerDecoder(codec).network.get_layer("inverse").kernel
    started = next(v for k, v in kernels.items() if k.endswith("inverse/kernel"))
    assert other["widths"] != [24, 16, 16, 8]
    assert np.array_equal(started, np.asarray(inverse))


@pytest.mark.parametrize("name", ["../.bashrc", "/etc/passwd", "sub/decoder.bin", "Makefile"])
def test_a_codec_from_a_stranger_writes_nothing_outside(name: str, codec_copy: Path, tmp_path: Path) -> None:
    mine = tmp_path / "home/new/x"
    mine.parent.mkdir(parents=True)
    (tmp_path / "home/.bashrc").write_text("mine", encoding="utf-8")
    manifest = json.loads((codec_copy / MANIFEST).read_text(encoding="utf-8"))
    if not Path(name).is_absolute():
        place = codec_copy / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"theirs")
    manifest["files"][name] = sha256(b"theirs")
    (codec_copy / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(CodecError, match="'files' are not at most 64 plain names"):
        existing.write_copy(Codec(codec_copy), mine, {}, {})
    assert not mine.exists()
    assert (tmp_path / "home/.bashrc").read_text(encoding="utf-8") == "mine"


def test_of_a_training_folder_files_alone_are_copied(codec_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("secret", encoding="utf-8")
    training = codec_copy / "training"
    (training / "link.csv").symlink_to(tmp_path / "secret.csv")
    (training / "zero.npz").symlink_to("/dev/zero")
    os.mkfifo(training / "pipe.csv")
    (training / "folder.csv").mkdir()
    (training / "run.sh").write_text("theirs", encoding="utf-8")
    out = existing.write_copy(Codec(codec_copy), tmp_path / "a", {}, {})
    assert {p.name for p in (out / "training").iterdir()} == {
        p.name for p in training.iterdir() if p.is_file() and not p.is_symlink() and p.suffix != ".sh"
    }
    assert (out / "training/qat.npz").read_bytes() == (training / "qat.npz").read_bytes()
    with (training / "vast.csv").open("wb") as handle:
        handle.truncate(1 << 40)
    with pytest.raises(CodecError, match=f"vast.csv: it has {1 << 40} bytes, expected at most"):
        existing.write_copy(Codec(codec_copy), tmp_path / "b", {}, {})
    training.rename(tmp_path / "elsewhere")
    training.symlink_to(tmp_path / "elsewhere")
    assert not (existing.write_copy(Codec(codec_copy), tmp_path / "c", {}, {}) / "training").exists()
