"""Standard input and output as "-", JPEG results, and what a picture says of itself; in processes of their own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import heliograph
from heliograph.cli import main
from heliograph.codec import container
from heliograph.codec.codec import PREVIEW, Codec

PROGRAM = "import sys; from heliograph.cli import main; sys.exit(main())"


def run(
    *words: str | Path, given: bytes = b"", folder: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    return subprocess.run(command, input=given, capture_output=True, timeout=200, cwd=folder)


def test_a_pipe_from_a_picture_to_a_picture(
    photo: Path, stream: Path, codec_folder: Path, tmp_path: Path
) -> None:
    encoded = run("encode", "-", "--codec", codec_folder, given=photo.read_bytes(), folder=tmp_path)
    assert encoded.stdout == stream.read_bytes()
    assert encoded.stderr.decode().startswith("- -> -: 97x61, ")
    told = run("info", "-", "--json", given=encoded.stdout)
    assert json.loads(told.stdout)["width"] == 97
    decoded = run(
        "decode", "-", "--codec", codec_folder, "--decoder", "preview", given=encoded.stdout, folder=tmp_path
    )
    assert decoded.returncode == 0, decoded.stderr
    with Image.open(io.BytesIO(decoded.stdout)) as picture:
        assert (picture.format, picture.size) == ("PNG", (97, 61))
    assert not (tmp_path / "-").exists()
    assert not list(tmp_path.glob("-*"))


def test_files_to_standard_output_and_standard_input_to_files(
    photo: Path, stream: Path, codec_folder: Path, tmp_path: Path
) -> None:
    done = run("encode", photo, "-o", "-", "--codec", codec_folder, "--json")
    assert done.stdout == stream.read_bytes()
    assert json.loads(done.stderr)["output"] == "-"
    assert run("encode", photo, "-o", "-", "--codec", codec_folder, "--quiet").stderr == b""
    out = tmp_path / "new.helio"
    assert run("encode", "-", "-o", out, "--codec", codec_folder, given=photo.read_bytes()).returncode == 0
    assert out.read_bytes() == stream.read_bytes()
    (tmp_path / "place").mkdir()
    done = run("encode", "-", "-o", tmp_path / "place", "--codec", codec_folder, given=photo.read_bytes())
    assert (tmp_path / "place/stdin.helio").read_bytes() == stream.read_bytes(), done.stderr


def test_a_file_of_that_name_is_dot_slash(photo: Path, codec_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "-").write_bytes(photo.read_bytes())
    assert run("encode", "./-", "--codec", codec_folder, folder=tmp_path).returncode == 0
    assert (tmp_path / "-.helio").exists()


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (["encode", "-"], b"no picture", "standard input is not a picture: expected one of"),
        (["encode", "-"], b"", "standard input is not a picture: expected one of"),
        (["decode", "-", "--decoder", "preview"], b"no stream", "not a .helio stream"),
        (["info", "-"], b"", "not a .helio stream"),
        (["encode", "-", "{photo}"], b"", "standard input and output take one picture"),
        (["encode", "{photo}", "{photo}", "-o", "-"], b"", "standard input and output take one picture"),
        (
            ["encode", "{photo}", "-o", "-", "--with-digest"],
            b"",
            "--with-digest writes a file beside the stream",
        ),
    ],
    ids=["picture", "nothing", "stream", "info", "two inputs", "two outputs", "digest"],
)
def test_errors(
    words: list[str], given: bytes, said: str, photo: Path, codec_folder: Path, tmp_path: Path
) -> None:
    words = [word.format(photo=photo) for word in words]
    codec = [] if words[0] == "info" else ["--codec", str(codec_folder)]
    done = run(*words, *codec, given=given, folder=tmp_path)
    assert done.returncode == 2
    assert done.stdout == b""
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize(
    "words", [["encode", "{photo}", "-o", "-"], ["encode", "{photo}"], ["info", "{stream}"]]
)
def test_a_full_standard_output_is_a_line(
    words: list[str], photo: Path, stream: Path, codec_folder: Path
) -> None:
    full = [word.format(photo=photo, stream=stream) for word in words]
    full += [] if words[0] == "info" else ["--codec", str(codec_folder), "--force"]
    with Path("/dev/full").open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *full], stdout=out, stderr=subprocess.PIPE, timeout=200
        )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"free some space, or send" in done.stderr


def test_a_picture_whose_name_is_not_utf_8(photo: Path, codec_folder: Path, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/m\xff\n.png"
    Path(os.fsdecode(odd)).write_bytes(photo.read_bytes())
    command = [
        os.fsencode(sys.executable),
        b"-c",
        PROGRAM.encode(),
        b"encode",
        odd,
        b"--codec",
        os.fsencode(codec_folder),
    ]
    for option in ([], [b"--json", b"--force"]):
        done = subprocess.run(
            [*command, *option], capture_output=True, timeout=200, env=os.environ | {"LC_ALL": "C.UTF-8"}
        )
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
    assert Path(os.fsdecode(odd.replace(b".png", b".helio"))).exists()


def test_a_result_in_a_folder_that_may_not_be_listed(photo: Path, codec_folder: Path, tmp_path: Path) -> None:
    """The root user may list all folders, so a user without rights does it."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    place = tmp_path / "drop"
    place.mkdir()
    place.chmod(0o733)
    program = (
        "import os, sys; from pathlib import Path; from heliograph.files import write_whole; import heliograph.errors;"
        "os.setgid(65534); os.setuid(65534); write_whole(Path(sys.argv[1]), b'all')"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/") and folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o001)
    done = subprocess.run([sys.executable, "-c", program, str(place / "a")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (place / "a").read_bytes() == b"all"


def decode(stream: Path, codec_folder: Path, *words: str | Path) -> int:
    return main(
        ["decode", str(stream), "--codec", str(codec_folder), "--decoder", "preview", *map(str, words)]
    )


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.png", "plain"])
def test_a_result_is_what_its_name_says(name: str, stream: Path, codec_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / name
    assert decode(stream, codec_folder, "-o", out) == 0
    with Image.open(out) as picture:
        assert picture.format == ("JPEG" if "j" in name.lower() else "PNG")
        assert picture.size == (97, 61)


def test_jpeg_of_a_quality(stream: Path, codec_folder: Path, tmp_path: Path) -> None:
    sizes = []
    for quality in ("20", "95"):
        out = tmp_path / quality
        assert decode(stream, codec_folder, "-o", f"{out}/", "--jpeg", quality) == 0
        (made,) = out.iterdir()
        assert made.name == "photo.jpg"
        sizes.append(made.stat().st_size)
    assert sizes[0] < sizes[1]
    assert decode(stream, codec_folder, "-o", tmp_path / "png.png") == 0
    with Image.open(tmp_path / "png.png") as exact, Image.open(tmp_path / "95/photo.jpg") as jpeg:
        assert np.abs(np.asarray(exact).astype(int) - np.asarray(jpeg)).mean() < 3


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("a.webp", [], "says .webp, and pictures are written as .png or .jpg; give such a name"),
        ("a.tif", [], "says .tif, and pictures are written as .png or .jpg"),
        ("a.helio", [], "says .helio, and pictures are written as .png or .jpg"),
        ("a.png", ["--jpeg"], "says PNG, and --jpeg asks for JPEG; leave one out"),
    ],
)
def test_other_names_are_refused(
    name: str, words: list[str], said: str, stream: Path, codec_folder: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert decode(stream, codec_folder, "-o", tmp_path / name, *words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_a_picture_says_what_made_it(
    stream: Path, photo: Path, codec: Codec, codec_folder: Path, tmp_path: Path
) -> None:
    for name in ("a.png", "a.jpg"):
        assert decode(stream, codec_folder, "-o", tmp_path / name) == 0
    with Image.open(tmp_path / "a.png") as picture:
        picture.load()
        told = dict(picture.info)
    assert told["Software"].startswith("Heliograph ")
    assert told["Codec"] == f"{codec.name} {codec.id.hex()}"
    assert told["Decoder"] == f"{PREVIEW} {codec.hashes[PREVIEW][:16]}"
    assert told["Description"].startswith(
        "Reconstruction: a neural network's picture of a compressed stream of quality 50."
    )
    assert "Loss" not in told
    with Image.open(tmp_path / "a.jpg") as picture:
        comment = picture.info["comment"].decode()
    assert f"Codec: {codec.name} {codec.id.hex()}\n" in comment
    data = heliograph.encode(photo, quality=100, codec=codec)  # large enough for a part to be of use
    cut = tmp_path / "cut.helio"
    cut.write_bytes(data[: len(data) // 2 + container.open(data).segments[0][0]])
    assert decode(cut, codec_folder, "--partial") == 0
    with Image.open(tmp_path / "cut.png") as picture:
        picture.load()
        assert picture.info["Loss"]


def test_a_quality_below_0_is_shown_alike(
    photo: Path, codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.helio"
    assert (
        main(
            [
                "encode",
                str(photo),
                "-o",
                str(out),
                "--max-bytes",
                "70",
                "--keep-scale",
                "--codec",
                str(codec_folder),
                "--json",
            ]
        )
        == 0
    )
    quality = json.loads(capsys.readouterr().out)["quality"]
    assert quality < 0
    assert decode(out, codec_folder) == 0
    assert f"quality {quality:g}, " in capsys.readouterr().out
    assert main(["info", str(out)]) == 0
    assert f"quality:         {quality:g}\n" in capsys.readouterr().out
    with Image.open(tmp_path / "small.png") as picture:
        picture.load()
        assert f"of quality {quality:g}." in picture.info["Description"]
