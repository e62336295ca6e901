"""Decoding many streams on the command line: folders, lists, going on, one bad among many."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.codec import container


@pytest.fixture
def folder(stream: Path, tmp_path: Path) -> Path:
    """A folder of five streams, two in a folder of their own with a name that is there twice, and other files."""
    place = tmp_path / "streams"
    (place / "cam2").mkdir(parents=True)
    for name in ("a", "b", "c", "cam2/a", "cam2/d"):
        shutil.copy(stream, place / f"{name}.helio")
    shutil.copy(stream, place / "e.helio.partial")
    shutil.copy(stream, place / ".hidden.helio")
    return place


@pytest.fixture
def command(codec_folder: Path) -> list[str]:
    return ["decode", "--codec", str(codec_folder), "--decoder", "preview"]


def made(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*.png"))


def test_pictures_of_a_folder_keep_their_places(
    folder: Path, tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pictures"
    assert main([*command, str(folder), "-o", str(out)]) == 0
    assert made(out) == ["a.png", "b.png", "c.png", "cam2/a.png", "cam2/d.png"]
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 5
    assert printed.err == "heliograph: 5 decoded\n"
    with Image.open(out / "cam2/d.png") as picture:
        assert picture.size == (97, 61)


def test_an_interrupted_folder_goes_on(
    folder: Path, tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pictures"
    assert main([*command, str(folder), "-o", str(out)]) == 0
    (out / "c.png").unlink()
    kept = (out / "a.png").stat().st_mtime_ns
    capsys.readouterr()
    assert main([*command, str(folder), "-o", str(out)]) == 0
    assert (out / "a.png").stat().st_mtime_ns == kept
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert "1 decoded; 4 left out because their pictures exist (--force decodes them again)" in printed.err
    assert main([*command, str(folder), "-o", str(out), "--force"]) == 0
    assert (out / "a.png").stat().st_mtime_ns > kept


def test_one_bad_stream_among_many_is_named(
    folder: Path, tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "b.helio").write_bytes((folder / "b.helio").read_bytes()[:-5])
    assert main([*command, str(folder), "-o", str(tmp_path / "out"), "--json"]) == 2
    printed = capsys.readouterr()
    assert {json.loads(line)["width"] for line in printed.out.splitlines()} == {97}
    assert f"heliograph: error: {folder}/b.helio: stream is cut" in printed.err
    assert printed.err.endswith(f"heliograph: 4 decoded; 1 failed: {folder}/b.helio\n")
    assert made(tmp_path / "out") == ["a.png", "c.png", "cam2/a.png", "cam2/d.png"]


def test_a_list_names_streams_and_two_of_one_name_do_not_overwrite_each_other(
    folder: Path,
    tmp_path: Path,
    command: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [folder / "a.helio", folder / "cam2/d.helio", folder / "cam2/a.helio"]
    text = "\n".join(map(str, names))
    (tmp_path / "list").write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    assert main([*command, "--list", str(tmp_path / "list"), "-o", str(out)]) == 2
    assert made(out) == ["a.png", "d.png"]
    assert (
        f"{names[2]} would become {out}/a.png as another stream does; rename one" in capsys.readouterr().err
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert main([*command, "--list", "-"]) == 0  # beside the streams
    assert made(folder) == ["a.png", "cam2/a.png", "cam2/d.png"]


def test_nothing_to_decode_is_an_error(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in (
        ([], "no streams: give files, a folder, or --list FILE"),
        ([str(tmp_path)], f"no streams in {tmp_path}: expected files ending in .helio"),
        (["--list", str(tmp_path / "none")], f"cannot read the list {tmp_path}/none: No such file"),
    ):
        assert main([*command, *words]) == 2
        assert message in capsys.readouterr().err


def test_a_terminal_shows_how_far_it_is(folder: Path, tmp_path: Path, command: list[str]) -> None:
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("4H", 24, 120, 0, 0))
    run = [sys.executable, "-m", "heliograph", *command, str(folder), "-o", str(tmp_path / "out")]
    done = subprocess.run(run, stderr=inner, stdout=subprocess.DEVNULL, timeout=60)
    os.close(inner)
    shown = b""
    try:
        while part := os.read(outer, 65536):
            shown += part
    except OSError:
        pass  # the terminal's other end is closed, and all was read
    os.close(outer)
    assert done.returncode == 0
    assert b"5/5 [" in shown
    assert b"pictures/s, " in shown
    assert b"megapixels/s, 0 failed" in shown


def test_of_a_folder_vast_pictures_are_left_undecoded_and_named_ones_are_not(
    stream: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codec_id = container.open(stream.read_bytes()).header.codec_id
    stream.with_suffix(".png").unlink()
    stream.write_bytes(container.pack(container.Header(codec_id, 33_000, 1000, 500, 1), [b""]))
    options = ["--codec", str(codec_folder), "--decoder", "preview"]
    assert main(["decode", str(stream.parent), *options]) == 2
    error = capsys.readouterr().err
    assert f"{stream}: 33000x1000 is too large: 33.0 megapixels, expected at most 32; if" in error
    assert main(["decode", str(stream.parent), *options, "--max-megapixels", "33"]) == 0
    stream.with_suffix(".png").unlink()
    assert main(["decode", str(stream), *options, "--max-megapixels", "0.01"]) == 2
    assert "expected at most 0.01; if" in capsys.readouterr().err
    assert main(["decode", str(stream), *options]) == 0
    for wrong in ("0", "-1", "nan", "inf", "many"):
        with pytest.raises(SystemExit):
            main(["decode", str(stream), "--max-megapixels", wrong])
