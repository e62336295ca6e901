"""The command line where all goes well, and where results would overwrite something."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.codec.codec import Codec
from heliograph.codec.pack import SHORT_BELOW, Packer
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder
from heliograph.export.needs import needs


def test_encode_names_the_stream_after_the_picture(photo: Path, codec_folder: Path) -> None:
    assert main(["encode", str(photo), "--codec", str(codec_folder)]) == 0
    assert photo.with_suffix(".helio").read_bytes().startswith(b"HLO")


def test_encode_prints_size_and_rate(
    photo: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encode", str(photo), "--codec", str(codec_folder), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    size = photo.with_suffix(".helio").stat().st_size
    assert (result["width"], result["height"], result["stream_bytes"]) == (97, 61, size)
    assert result["bits_per_pixel"] == pytest.approx(8 * size / (97 * 61))


def test_quality_sets_the_size(photo: Path, codec_folder: Path, tmp_path: Path) -> None:
    sizes = []
    for quality in (5, 50, 95):
        out = tmp_path / f"{quality}.helio"
        command = ["encode", str(photo), "-o", str(out), "--quality", str(quality)]
        assert main([*command, "--codec", str(codec_folder)]) == 0
        sizes.append(out.stat().st_size)
    assert sizes == sorted(set(sizes))


def test_several_inputs_go_to_a_new_folder(photo: Path, codec_folder: Path, tmp_path: Path) -> None:
    second = photo.with_name("second.jpg")
    Image.open(photo).save(second)
    out = tmp_path / "made" / "here"
    assert main(["encode", str(photo), str(second), "-o", str(out), "--codec", str(codec_folder)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["photo.helio", "second.helio"]


@pytest.mark.parametrize("budget", [300, 400])
def test_a_budget_of_bytes_is_kept(
    budget: int, photo: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["encode", str(photo), "--codec", str(codec_folder), "--max-bytes", str(budget), "--json"]
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out)
    assert 0.9 * budget < result["stream_bytes"] <= budget
    assert photo.with_suffix(".helio").stat().st_size == result["stream_bytes"]


def test_what_is_there_of_a_cut_stream_is_decoded(
    photo: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = photo.with_suffix(".helio")
    assert main(["encode", str(photo), "--quality", "100", "--codec", str(codec_folder)]) == 0
    assert stream.stat().st_size > SHORT_BELOW  # or nothing of it is of use when it is cut
    stream.write_bytes(stream.read_bytes()[:-40])
    out = stream.with_name("partial.png")
    command = ["decode", str(stream), "-o", str(out), "--codec", str(codec_folder), "--decoder", "preview"]
    assert main([*command, "--partial"]) == 0
    assert re.search(r"of \d+ segments .*cut", capsys.readouterr().err)
    with Image.open(out) as picture:
        assert picture.size == (97, 61)


@pytest.mark.parametrize("decoder", ["preview", "server"])
def test_decode_gives_a_picture_of_the_same_size(
    decoder: str, stream: Path, codec_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "decoded"
    command = ["decode", str(stream), "-o", f"{out}/", "--codec", str(codec_folder), "--decoder", decoder]
    assert main(command) == 0
    with Image.open(out / "photo.png") as picture:
        assert (picture.size, picture.mode) == ((97, 61), "RGB")


def test_server_decoder_resembles_the_picture(photo: Path, stream: Path, codec_folder: Path) -> None:
    out = photo.with_name("back.png")
    assert main(["decode", str(stream), "-o", str(out), "--codec", str(codec_folder)]) == 0
    before, after = (np.asarray(Image.open(path), np.float64) for path in (photo, out))
    assert np.square(after - before).mean() < before.var() / 4


def test_info_describes_a_stream(stream: Path, codec: Codec, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["info", str(stream)]) == 0
    text = capsys.readouterr().out
    assert "picture:         97x61" in text
    assert "quality:         50" in text
    assert codec.id.hex() in text


def test_a_referring_stream_says_so_and_is_not_decoded_without_its_reference(
    photo: Path, codec: Codec, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    latents = encoder.latents(np.asarray(Image.open(photo)))
    there = Packer(codec, latents, 97, 61).pack(Rate(quality=30)).as_reference()
    path = photo.with_name("referring.helio")
    path.write_bytes(Packer(codec, latents, 97, 61, reference=there).at(500))
    name = there.picture_id.hex()
    assert main(["info", str(path)]) == 0
    assert f"reference:       picture {name} of quality 30, depth 1" in capsys.readouterr().out
    assert main(["info", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["reference"], told["depth"]) == (name, 1)
    for command in (["decode", str(path), "-o", str(photo.with_name("x.png"))], ["inspect", str(path)]):
        assert main([*command, "--codec", str(codec.folder)]) == 2
        assert (
            f"refers to picture {name}, which is not here; give that picture's stream"
            in capsys.readouterr().err
        )
    assert not photo.with_name("x.png").exists()


def test_info_describes_a_codec_and_checks_its_files(
    codec: Codec, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(codec.folder / "manifest.json")]) == 0
    text = capsys.readouterr().out
    assert f"accelerator ({codec.id.hex()})" in text
    assert text.count("hash good") == len(codec.hashes)
    assert f"{codec.manifest['encoder']['kmac_per_pixel']} kMAC per pixel" in text
    assert re.search(r"RAM in C: +\d+ for 96x96, \d+ for 320x240, \d+ for 640x480: bytes in all", text)
    assert main(["info", str(codec.folder), "--json"]) == 0
    camera = json.loads(capsys.readouterr().out)["camera"]
    found = needs(codec)
    assert camera["flash_bytes"] == found.flash > found.network > 100_000
    # The state, one strip of latents, what codes a slice, the rows that the network keeps meanwhile, lengths, budget,
    # rounding; then the stack and a row of the camera.
    memory = 4528 + 8 * 6 * codec.outputs + found.coding + found.lines.bytes_at(96) + 16 + 16384 + 48
    assert camera["ram_bytes"]["96x96"] == memory + 2432 + 288


def test_info_accepts_a_device_copy_without_the_server_decoder(
    codec_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (codec_copy / "server_decoder.npz").unlink()
    assert main(["info", str(codec_copy)]) == 0
    assert "server_decoder.npz, not in this copy" in capsys.readouterr().out


def test_an_existing_result_is_kept_unless_forced(
    stream: Path, photo: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["encode", str(photo), "--codec", str(codec_folder)]
    before = stream.read_bytes()
    assert main([*command, "--quality", "5"]) == 2
    assert f"{stream} exists already; use --force to replace it" in capsys.readouterr().err
    assert stream.read_bytes() == before
    assert main([*command, "--quality", "5", "--force"]) == 0
    assert len(stream.read_bytes()) < len(before)


def test_an_existing_result_does_not_stop_the_others(
    stream: Path, photo: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = photo.with_name("second.png")
    second.write_bytes(photo.read_bytes())
    assert main(["encode", str(photo), str(second), "--codec", str(codec_folder)]) == 2
    assert f"{stream} exists already; use --force" in capsys.readouterr().err
    assert second.with_suffix(".helio").exists()


def test_two_inputs_of_one_stem_are_named_apart(photo: Path, codec_folder: Path) -> None:
    twin = photo.with_suffix(".jpg")
    Image.open(photo).save(twin)
    assert main(["encode", str(photo), str(twin), "--codec", str(codec_folder)]) == 0
    assert sorted(p.name for p in photo.parent.glob("*.helio")) == ["photo.jpg.helio", "photo.png.helio"]


def test_two_inputs_of_one_name_are_refused_one_by_one(
    photo: Path, codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin, other = tmp_path / "twin/photo.png", tmp_path / "other.png"
    twin.parent.mkdir()
    for path in (twin, other):
        path.write_bytes(photo.read_bytes())
    out = tmp_path / "out"
    command = ["encode", str(photo), str(twin), str(other), "-o", str(out), "--codec", str(codec_folder)]
    assert main(command) == 2
    assert f"error: {twin} would become {out}/photo.helio as another picture does" in capsys.readouterr().err
    assert sorted(p.name for p in out.iterdir()) == ["other.helio", "photo.helio"]


def test_an_input_is_never_overwritten(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = photo.read_bytes()
    assert main(["decode", str(photo), "-o", str(photo), "--force"]) == 2
    assert "is an input and would be overwritten" in capsys.readouterr().err
    assert photo.read_bytes() == before


def test_a_quality_out_of_range_is_refused(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["encode", str(photo), "--quality", "101"])
    assert stopped.value.code == 2
    assert "quality is 101, expected 0 to 100" in capsys.readouterr().err


def test_a_disk_that_takes_no_more_words_ends_a_batch_with_a_line(photo: Path, codec_folder: Path) -> None:
    program = "import sys; from heliograph.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "encode", str(photo), "--codec", str(codec_folder), "-f"]
    for more in ("-f", "--json"):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run([*command, more], stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.stderr == (
            "heliograph: error: cannot print results: No space left on device; free some space, or send standard "
            "output elsewhere\n"
        )
        assert done.returncode == 2
    assert photo.with_suffix(".helio").read_bytes().startswith(b"HLO")


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("usage: heliograph ")
    assert "pictures to .helio streams, on the device" in said.out
    assert said.err == ""


def test_a_reader_that_has_seen_enough_is_no_error(codec_folder: Path) -> None:
    program = "import sys; from heliograph.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program, "info", str(codec_folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
