"""Odd names, closed folders and what is no file: a line for that one, and the others are done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.cli import main


@pytest.fixture
def folder(stream: Path, tmp_path: Path) -> Path:
    """A folder with two streams, between which the odd ones come."""
    place = tmp_path / "in"
    place.mkdir()
    for name in ("a.helio", "z.helio"):
        shutil.copy(stream, place / name)
    return place


def decode(*words: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own, under a locale of UTF-8, as a user who may not read everything."""
    program = "import sys; from heliograph.cli import main; sys.exit(main())"
    command = [os.fsencode(word) for word in words]
    environment = os.environ | {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
    return subprocess.run(
        [os.fsencode(sys.executable), b"-c", program.encode(), b"decode", b"--decoder", b"preview", *command],
        input=given,
        capture_output=True,
        env=environment,
        timeout=120,
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def errors(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    """Return the lines of errors; there is no traceback."""
    text = done.stderr.decode()
    assert "Traceback" not in text
    return [line for line in text.splitlines() if line.startswith("heliograph: error:")]


def test_a_name_that_is_not_utf_8_is_decoded_and_shown_somehow(
    folder: Path, codec_folder: Path, tmp_path: Path
) -> None:
    odd = os.fsencode(folder) + b"/m\xff\n.helio"
    os.rename(os.fsencode(folder / "a.helio"), odd)  # noqa: PTH104 - pathlib has no names of bytes
    done = decode(folder, "-o", tmp_path / "out", "--codec", codec_folder)
    assert errors(done) == []
    assert done.returncode == 0
    assert names(tmp_path / "out") == [os.fsdecode(b"m\xff\n.png"), "z.png"]
    assert b"m\\udcff\n.helio -> " in done.stdout


def test_a_list_of_odd_names(folder: Path, codec_folder: Path, tmp_path: Path) -> None:
    good, many = os.fsencode(folder / "a.helio"), b"\0".join([b"x" * 50, b"y"] * 100)
    lines = [b"q\xff.helio", b"/", many, b"n" * 5000 + b".helio", os.fsencode(folder), good]
    for given in ("-", tmp_path / "list"):
        (tmp_path / "list").write_bytes(b"\n".join(lines))
        out = tmp_path / f"out{len(str(given))}"
        done = decode(
            "--list", given, "-o", out, "--codec", codec_folder, given=(tmp_path / "list").read_bytes()
        )
        assert done.returncode == 2
        found = errors(done)
        assert len(found) == 5
        assert f"'/' in {given} names no stream; give one path a line, without NULs between them" in found[0]
        assert "xxxxxxxxxx\\x00y\\x00" in found[1]
        assert len(found[1]) < 300
        assert any("cannot read q\\udcff.helio: No such file" in line for line in found)
        assert any("nnn.helio: File name too long; check the path" in line for line in found)
        assert any(f"cannot read {folder}: Is a directory; check the path" in line for line in found)
        assert names(out) == ["a.png"]


def test_a_pipe_and_a_device_named_as_streams(
    folder: Path, codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(folder / "pipe.helio")
    (folder / "zero.helio").symlink_to("/dev/zero")
    (folder / "loop.helio").symlink_to(folder / "loop.helio")
    with (folder / "vast.helio").open("wb") as handle:
        handle.truncate(1 << 40)
    out = tmp_path / "out"
    assert (
        main(["decode", str(folder), "-o", str(out), "--decoder", "preview", "--codec", str(codec_folder)])
        == 2
    )
    said = capsys.readouterr().err
    for name in ("pipe", "zero"):
        assert (
            f"cannot read {folder}/{name}.helio: it is a pipe, a socket or a device, not a file; check"
            in said
        )
    assert "loop.helio: Too many levels of symbolic links" in said
    assert f"vast.helio: it has {1 << 40} bytes, expected at most {1 << 30}; check the path" in said
    assert "2 decoded; 4 failed: " in said
    assert names(out) == ["a.png", "z.png"]


def test_a_folder_that_may_not_be_read_is_one_line(
    folder: Path,
    codec_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "m").mkdir()
    scan = os.scandir

    def closed(path: str | Path) -> object:  # root may read every folder
        if Path(path).name == "m":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    out = tmp_path / "out"
    command = ["decode", "--decoder", "preview", "--codec", str(codec_folder), "-o", str(out)]
    assert main([*command, str(folder)]) == 2
    said = capsys.readouterr().err
    assert f"error: cannot read folder {folder}/m: Permission denied; check who may read it" in said
    assert "2 decoded; 1 failed: " in said
    assert names(out) == ["a.png", "z.png"]
    assert main([*command, str(folder / "m")]) == 2
    assert "cannot read folder" in capsys.readouterr().err
