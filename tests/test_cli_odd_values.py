"""Numbers out of all range and names that no disk takes: a line of error each, and the exit code 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliograph.cli import main

LONG = "n" * 300
NUMBER = "expected a number"
BYTES = "is no number of bytes, expected 1 or more; give such as 4096, 8k, 1.5M or 2G"
WHOLE = "is not in range, expected a whole number of 1 or more"
ABOVE = "is not in range, expected a number above 0"


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the last line of what a command says that exits with 2; no other exception leaves it."""
    try:
        code = main(words)
    except SystemExit as stopped:  # argparse
        code = int(stopped.code or 0)
    assert code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--quality", "100.9", "quality is 100.9, expected 0 to 100"),
        ("--quality", "-0.1", "quality is -0.1, expected 0 to 100"),
        ("--quality", "nan", NUMBER),
        ("--quality", "1e999", NUMBER),
        ("--quality", "fine", "invalid quality value: 'fine'"),
        ("--max-bytes", "0.5", BYTES),
        ("--max-bytes", "-5", BYTES),
        ("--max-bytes", "nan", BYTES),
        ("--max-bytes", "inf", BYTES),
        ("--bpp", "nan", NUMBER),
        ("--bpp", "inf", NUMBER),
        ("--bpp", "-1", "bpp is -1, expected bits per pixel above 0"),
        ("--threads", "0", WHOLE),
        ("--threads", "1.5", WHOLE),
        ("--threads", "9" * 30, WHOLE),
    ],
)
def test_a_value_that_is_none(
    option: str, value: str, said: str, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(["encode", str(photo), f"{option}={value}"], capsys)
    assert line.startswith(f"heliograph encode: error: argument {option}: ")
    assert said in line
    assert not photo.with_suffix(".helio").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--out", "x", "--minutes=nan"], ABOVE),
        (["train", "--out", "x", "--minutes=-3"], ABOVE),
        (["train", "--out", "x", "--stop-after=inf"], ABOVE),
        (["train", "--out", "x", "--steps=0"], WHOLE),
        (["train", "--out", "x", "--batch=-8"], WHOLE),
        (["train", "--out", "x", "--seed=-1"], "expected a whole number of 0 or more"),
        (["train", "--out", "x", "--learning-rate=inf"], ABOVE),
        (["calibrate", "--images", "x", "-o", "y", "--minutes=nan"], ABOVE),
        (["validate", "--jobs=-1"], WHOLE),
        (["validate", "--qualities=101"], "invalid choice: 101"),
        (["capture", "--source", "x", "--spool", "y", "--count=0"], WHOLE),
        (["capture", "--source", "x", "--spool", "y", "--spool-bytes=0"], BYTES),
        (["receive", "--quota=nan"], BYTES),
        (["send", "--baud=0"], WHOLE),
        (["decode", "x", "--max-megapixels=nan"], "is no number of megapixels"),
    ],
)
def test_siblings_of_it(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(words, capsys)
    assert line.startswith(f"heliograph {words[0]}: error: argument {words[-1].split('=')[0]}: ")
    assert said in line


def test_a_budget_of_less_than_a_header(
    photo: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(["encode", str(photo), "--bpp", "1e-320", "--codec", str(codec_folder)], capsys)
    assert line.endswith("bytes at least, the budget is 1; raise it")


def test_a_size_with_its_unit(photo: Path, codec_folder: Path) -> None:
    sizes = []
    for value in ("0.5k", "500"):
        assert main(["encode", str(photo), "-f", "--max-bytes", value, "--codec", str(codec_folder)]) == 0
        sizes.append(photo.with_suffix(".helio").stat().st_size)
    assert sizes[0] == sizes[1] <= 500


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_a_results_name_may_have_255_bytes_and_no_more(
    command: str,
    photo: Path,
    stream: Path,
    codec_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, suffix = (photo, ".helio") if command == "encode" else (stream, ".png")
    words = [command, str(source), "--codec", str(codec_folder)]
    words += ["--decoder", "preview"] if command == "decode" else []
    for size in (238, 255):
        out = tmp_path / ("ä" * ((size - len(suffix)) // 2) + suffix).rjust(
            size - (size - len(suffix)) // 2, "a"
        )
        assert len(os.fsencode(out.name)) == size
        assert main([*words, "-o", str(out)]) == 0
        assert out.stat().st_size > 0
    out = tmp_path / ("a" * (256 - len(suffix)) + suffix)
    assert "its name has 256 bytes, expected at most 255; give a shorter one" in refused(
        [*words, "-o", str(out)], capsys
    )
    assert "its name has 300 bytes, expected at most 255; give a shorter one" in refused(
        [*words, "-o", f"{tmp_path}/{LONG}/"], capsys
    )


@pytest.mark.parametrize(
    "words",
    [
        ["encode", LONG],
        ["encode", "{photo}", "--codec", LONG],
        ["decode", LONG],
        ["decode", "{photo}", "--codec", LONG],
        ["decode", "--list", LONG],
        ["info", LONG],
        ["inspect", LONG, "-o", "x"],
        ["inspect", "{stream}", "--codec", "{codec}", "-o", LONG],
        ["capture", "--source", "synthetic", "--spool", LONG, "--count", "1", "--codec", "{codec}"],
        ["capture", "--source", "synthetic", "--spool", "{out}", "--count", "1", "--codec", LONG],
        ["send", "--port", "/dev/null", "--spool", LONG],
        ["send", "--port", "/dev/null", "--spool", "{out}", "--key-file", LONG],
        ["send", "--new-key", LONG],
        ["receive", "--port", "/dev/null", "--out", LONG],
        ["receive", "--watch", LONG, "--pictures", "{out}"],
        ["serve", "--inbox", LONG],
        ["validate", "--images", LONG, "--codec", "{codec}"],
        ["validate", "--codec", LONG],
        ["train", "--out", "{out}/run", "--codec", LONG, "--stage", "decoder"],
        ["train", "--out", LONG],
        ["export", "--target", "cpu", "-o", LONG],
        ["export", "--target", "cpu", "-o", "{out}/new", "--codec", LONG],
    ],
    ids=lambda words: "-".join(word for word in words if word != LONG and word[0] not in "{/"),
)
def test_a_name_that_no_disk_takes(
    words: list[str], photo: Path, codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, stream = tmp_path / "out", photo.with_suffix(".helio")
    out.mkdir()
    if "{stream}" in words:
        assert main(["encode", str(photo), "--codec", str(codec_folder)]) == 0
    names = {"photo": photo, "stream": stream, "codec": codec_folder, "out": out}
    line = refused([word.replace(LONG, f"{out}/{LONG}").format(**names) for word in words], capsys)
    assert line.startswith("heliograph: error: ")
    assert LONG in line
    assert list((tmp_path / "out").iterdir()) == []


def test_links_are_followed_or_refused(
    photo: Path, codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link.helio"
    link.symlink_to("real.helio")
    words = ["encode", str(photo), "-o", str(link), "--codec", str(codec_folder)]
    assert "link.helio is a link that leads nowhere; use --force to write there" in refused(words, capsys)
    assert main([*words, "--force"]) == 0
    assert link.is_symlink()
    assert (tmp_path / "real.helio").read_bytes().startswith(b"HLO")
    assert "link.helio exists already; use --force" in refused(words, capsys)
