"""The commands that print figures, run on a small codec and a small picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from heliograph.bench import entropy, masking, prefixes, rdoq, runtimes, still
from heliograph.codec.codec import ENTROPY, Codec
from heliograph.measure.curves import Point
from heliograph.samples import sample_pictures

_PREFIX = re.compile(r"(\d+) bytes ([\d.]+) / ([\d.]+)")


def test_the_entropy_report_prints_every_part(
    codec_folder: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entropy.main([str(codec_folder), str(photo)]) == 0
    out = capsys.readouterr().out
    for title in ("Bytes", "Speed", "Budgets", "Layers and slices"):
        assert f"\n{title}\n" in out
    used = [float(share) for share in re.findall(r"kB +\S+ +\d+ +([\d.]+)%", out)]
    assert used
    assert max(used) <= 100


def test_the_entropy_report_names_what_it_cannot_read(
    codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    assert entropy.main([str(codec_folder), str(bad)]) == 2
    assert f"{bad} is not a picture" in capsys.readouterr().err


def test_runtimes_are_timed(
    codec_folder: Path, photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["runtimes", "--images", str(photo.parent), "--codec", str(codec_folder)]
    monkeypatch.setattr("sys.argv", command)
    assert runtimes.main() == 0
    out = capsys.readouterr().out
    times = [float(t) for t in re.findall(r"([\d.]+) ms per megapixel", out)]
    assert len(times) >= 6
    assert min(times) > 0


def test_what_rdoq_saves_is_printed_for_every_strength(
    codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = next(path for path in sample_pictures(colour_only=True) if path.name == "astronaut.png")
    assert rdoq.main([str(codec_folder), str(photo), "--strengths", "6", "20"]) == 0
    out = capsys.readouterr().out
    rows = re.findall(r"^ +(\d+) ((?: +[+-][\d.]+%){7})$", out, re.MULTILINE)
    assert [strength for strength, _ in rows] == ["6", "20"]
    assert all(abs(float(share)) < 100 for _, shares in rows for share in re.findall(r"[+-][\d.]+", shares))
    assert len(re.findall(r"takes [\d.]+ times the time of the dead zone's", out)) == 2


def test_what_masking_is_worth_is_printed_for_every_strength(
    codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = next(path for path in sample_pictures(colour_only=True) if path.name == "astronaut.png")
    assert masking.main([str(codec_folder), str(photo), "--strengths", "1"]) == 0
    out = capsys.readouterr().out
    rows = re.findall(r"^ +(\S+) ((?: +[+-][\d.]+%){3})$", out, re.MULTILINE)
    assert [strength for strength, _ in rows] == ["1"]


def test_a_strength_changes_masking_and_nothing_else(codec_folder: Path, tmp_path: Path) -> None:
    codec = Codec(codec_folder)
    even = masking.with_strength(codec, 0, tmp_path / "even")
    assert not even.coder.model.masking.strength.any()
    assert even.id != codec.id
    assert {name for name in codec.hashes if even.read(name) != codec.read(name)} == {ENTROPY}
    whole = masking.with_strength(codec, 1, tmp_path / "whole")
    assert whole.id == codec.id


def test_equal_curves_save_nothing_and_half_the_bits_half() -> None:
    curve = [Point(0.1 * 2**n, 25 + 3.0 * n) for n in range(5)]
    assert rdoq.saved(curve, curve) == pytest.approx([0] * 5)
    halves = [Point(p.bpp / 2, p.db) for p in curve]
    assert rdoq.saved(curve, halves) == pytest.approx([-0.5] * 5)


def test_a_still_scene_gets_better_within_its_budget(
    codec_folder: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        str(photo),
        "--codec",
        str(codec_folder),
        "--max-bytes",
        "2000",
        "--pictures",
        "3",
        "--noise",
        "0",
    ]
    assert still.main(command) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [int(row[0]) for row in rows] == [1, 2, 3]
    assert all(0 < int(row[1]) <= 2000 for row in rows)
    assert int(rows[0][3]) == 0
    assert float(rows[2][2]) >= float(rows[0][2])  # the quality
    assert still.main(["missing.png"]) == 2
    assert "missing.png" in capsys.readouterr().err


def test_prefixes_are_told_beside_streams_of_their_size(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = sample_pictures(colour_only=True)[0]
    assert prefixes.main([str(large), "--decoder", "preview", "--max-bytes", "9000"]) == 0
    name, based, plain = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"{large.name}: a base costs -?\d+\.\d% of the bytes", name)
    rows = [[(int(n), float(a), float(b)) for n, a, b in _PREFIX.findall(row)] for row in (based, plain)]
    assert [len(row) for row in rows] == [5, 4]
    assert rows[0][0][0] < rows[1][0][0] / 2  # the base is much smaller than the first layer
    for row in rows:
        assert [size for size, _, _ in row] == sorted(size for size, _, _ in row)
        assert row[-1][0] <= 9000
    assert prefixes.main([str(photo), "--codec", str(photo)]) == 2
    assert capsys.readouterr().err.startswith("prefixes: ")
