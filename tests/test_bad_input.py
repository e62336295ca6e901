"""Bad input on the command line: one line that says what and what next, exit code 2, nothing left behind."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.codec.codec import ENCODER, ENTROPY
from heliograph.codec.stream import decode_stream
from heliograph.errors import StreamError

Fails = Callable[..., str]
Forge = Callable[..., bytes]


@pytest.fixture
def fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Fails:
    """Run a command that must fail and leave the folder as it was; return its one line of error."""

    def run(*command: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        assert main([str(word) for word in command]) == 2
        assert sorted(tmp_path.rglob("*")) == before
        lines = [
            line for line in capsys.readouterr().err.splitlines() if line.startswith("heliograph: error:")
        ]
        assert len(lines) == 1
        return lines[0].removeprefix("heliograph: error: ")

    return run


def test_not_a_picture(fails: Fails, tmp_path: Path, codec_folder: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("not a picture", encoding="utf-8")
    message = fails("encode", path, "--codec", codec_folder)
    assert message.startswith(f"{path} is not a picture: expected one of")
    assert message.endswith("check the file")


def test_no_such_picture(fails: Fails, tmp_path: Path, codec_folder: Path) -> None:
    message = fails("encode", tmp_path / "none.jpg", "--codec", codec_folder)
    assert message == f"cannot read picture {tmp_path}/none.jpg: No such file or directory; check the file"


def test_a_cut_picture(fails: Fails, photo: Path, codec_folder: Path) -> None:
    photo.write_bytes(photo.read_bytes()[:3000])
    assert "cannot read picture" in fails("encode", photo, "--codec", codec_folder)


def test_a_folder_without_pictures(fails: Fails, tmp_path: Path) -> None:
    assert fails("encode", tmp_path) == (
        f"no pictures in {tmp_path}: expected files ending in .avif, .bmp, .gif, .j2k, .jfif, .jp2, .jpe, .jpeg, .jpf, "
        ".jpg, .jpx, .mpo, .pbm, .pgm, .png, .pnm, .ppm, .tif, .tiff, .webp; check the path"
    )


def test_one_bad_picture_does_not_stop_the_others(
    photo: Path, codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    out = tmp_path / "out"
    assert main(["encode", str(bad), str(photo), "-o", str(out), "--codec", str(codec_folder)]) == 2
    assert [p.name for p in out.iterdir()] == ["photo.helio"]
    assert str(bad) in capsys.readouterr().err


def test_a_picture_larger_than_a_stream_can_be(fails: Fails, tmp_path: Path, codec_folder: Path) -> None:
    path = tmp_path / "vast.png"
    Image.new("1", (70_000, 1000)).save(path)
    message = fails("encode", path, "--codec", codec_folder)
    assert message.startswith(f"{path}: picture is 70000x1000: a side must be 1 to 65535")
    assert message.endswith("scale it down or cut it first")


def test_a_truncated_stream(fails: Fails, stream: Path, codec_folder: Path) -> None:
    stream.write_bytes(stream.read_bytes()[:-7])
    message = fails("decode", stream, "-o", stream.with_name("x.png"), "--codec", codec_folder)
    assert "stream is cut" in message
    assert message.endswith("fetch the file again")


def test_a_flipped_bit(fails: Fails, stream: Path, codec_folder: Path) -> None:
    data = bytearray(stream.read_bytes())
    data[len(data) // 2] ^= 0x10
    stream.write_bytes(data)
    message = fails("decode", stream, "-o", stream.with_name("x.png"), "--codec", codec_folder)
    assert "corrupt" in message
    assert message.endswith("fetch the file again")


def test_not_a_stream(fails: Fails, photo: Path) -> None:
    assert "not a .helio stream" in fails("decode", photo, "-o", photo.with_name("x.png"))
    assert "not a .helio stream" in fails("info", photo)


def test_an_unknown_codec_id(fails: Fails, forge: Forge, stream: Path) -> None:
    stream.write_bytes(forge(stream.read_bytes(), codec_id=bytes(range(8))))
    message = fails("decode", stream, "-o", stream.with_name("x.png"))
    assert message.startswith("stream was made by codec 0001020304050607, known here:")
    assert message.endswith("give its folder with --codec")


def test_an_unknown_codec_name(fails: Fails, photo: Path) -> None:
    message = fails("encode", photo, "--codec", "heliostat")
    assert message.startswith("no codec named 'heliostat': shipped are")


@pytest.mark.parametrize("name", [ENCODER, ENTROPY])
def test_a_changed_codec_file(fails: Fails, name: str, photo: Path, codec_copy: Path) -> None:
    data = bytearray((codec_copy / name).read_bytes())
    data[-1] ^= 1
    (codec_copy / name).write_bytes(data)
    message = fails("encode", photo, "--codec", codec_copy)
    assert f"{codec_copy / name} was changed: SHA-256 is" in message
    assert message.endswith("copy the codec folder again")


def test_a_codec_whose_files_were_exchanged_with_their_hashes(
    fails: Fails, photo: Path, codec_copy: Path
) -> None:
    text = json.loads((codec_copy / "manifest.json").read_text(encoding="utf-8"))
    text["id"] = "0" * 16
    (codec_copy / "manifest.json").write_text(json.dumps(text), encoding="utf-8")
    assert "has id 0000000000000000 but its files make another" in fails(
        "encode", photo, "--codec", codec_copy
    )


def test_a_folder_that_is_no_codec(fails: Fails, photo: Path, tmp_path: Path) -> None:
    message = fails("encode", photo, "--codec", tmp_path)
    assert message == f"no codec in {tmp_path}: manifest.json is missing; give a codec's name or its folder"


def test_a_folder_whose_name_no_codec_can_have(fails: Fails, tmp_path: Path) -> None:
    message = fails("calibrate", "--images", tmp_path, "-o", tmp_path / "north*")
    assert message.startswith(
        "name is 'north*', expected a letter or digit and up to 99 letters, digits, spaces"
    )
    assert message.endswith("give another")


@pytest.mark.parametrize(("width", "height"), [(65_535, 65_535), (65_535, 2049)])
def test_a_header_that_claims_too_many_pixels(
    fails: Fails, forge: Forge, width: int, height: int, stream: Path, codec_folder: Path
) -> None:
    stream.write_bytes(forge(stream.read_bytes(), width=width, height=height, is_short=False))
    message = fails("decode", stream, "-o", stream.with_name("x.png"), "--codec", codec_folder)
    assert f"{width}x{height}" in message
    assert message.startswith("stream header is corrupt")


def test_a_header_that_claims_more_than_its_payload_holds(
    fails: Fails, forge: Forge, stream: Path, codec_folder: Path
) -> None:
    stream.write_bytes(forge(stream.read_bytes(), width=11_000, height=11_000, is_short=False))
    tracemalloc.start()
    message = fails("decode", stream, "-o", stream.with_name("x.png"), "--codec", codec_folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "corrupt" in message
    assert peak < 64 << 20  # the picture would take 363 MB, its values 181 MB


def test_any_change_of_any_byte_is_noticed(stream: Path, codec_folder: Path) -> None:
    data = stream.read_bytes()
    rng = np.random.default_rng(1)
    for place in rng.integers(len(data), size=200):
        changed = bytearray(data)
        changed[place] ^= int(rng.integers(1, 256))
        with pytest.raises(StreamError):
            decode_stream(bytes(changed))
