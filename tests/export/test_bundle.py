"""A bundle is written whole or not at all, and its manifest tells a changed file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from heliograph.codec.codec import Codec
from heliograph.errors import ExportError, OutputError
from heliograph.export import bundle as bundles
from heliograph.export.bundle import MEASURED, Bundle, Figure, check_bundle, text_table, write_bundle
from heliograph.files import write_whole


@pytest.fixture
def bundle(codec: Codec) -> Bundle:
    """A bundle of the small codec."""
    made = Bundle("cpu", codec, files={"src/a.c": b"int a;\n", "run": b"#!/bin/sh\n"}, programs={"run"})
    made.add_codec()
    made.figures.append(Figure("flash, bytes", "7", MEASURED, "size"))
    made.tables.append(("Table", [("a", "b"), ("1", "2")]))
    return made


def test_it_is_written_with_hashes(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_bundle(bundle, out)
    check_bundle(out)
    told = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert told["target"] == "cpu"
    assert told["codec"]["id"] == bundle.codec.id.hex()
    assert told["files"]["src/a.c"]["bytes"] == 7
    assert (out / "run").stat().st_mode & 0o111
    assert not (out / "src/a.c").stat().st_mode & 0o111
    readme = (out / "README.md").read_text(encoding="utf-8")
    assert "| flash, bytes | 7 | measured | size |" in readme
    assert "| a | b |\n|---|---|\n| 1 | 2 |" in readme
    assert list(tmp_path.iterdir()) == [out]


def test_the_codec_in_it_is_a_codec(bundle: Bundle, tmp_path: Path) -> None:
    write_bundle(bundle, tmp_path / "out")
    copy = Codec(tmp_path / "out/codec")
    assert copy.encoder == bundle.codec.encoder
    assert copy.coder.model.channels == bundle.codec.channels


def test_a_changed_file_is_told(bundle: Bundle, tmp_path: Path) -> None:
    write_bundle(bundle, tmp_path / "out")
    (tmp_path / "out/src/a.c").write_text("int b;\n", encoding="utf-8")
    with pytest.raises(ExportError, match=r"src/a\.c was changed since it was exported"):
        check_bundle(tmp_path / "out")
    (tmp_path / "out/src/a.c").unlink()
    with pytest.raises(ExportError, match="is no whole bundle"):
        check_bundle(tmp_path / "out")


def test_what_exists_is_kept(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("precious", encoding="utf-8")
    with pytest.raises(OutputError, match="exists already"):
        write_bundle(bundle, out)
    with pytest.raises(OutputError, match="is not a bundle, so --force does not replace it"):
        write_bundle(bundle, out, force=True)
    assert (out / "mine").read_text(encoding="utf-8") == "precious"


def test_what_is_no_manifest_is_not_waited_for_nor_read_whole(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("pipe", "device", "vast", "deep"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe/manifest.json")
    (tmp_path / "device/manifest.json").symlink_to("/dev/zero")
    with (tmp_path / "vast/manifest.json").open("wb") as handle:
        handle.truncate(1 << 40)
    (tmp_path / "deep/manifest.json").write_text("[" * 100_000, encoding="utf-8")
    for folder in tmp_path.iterdir():
        with pytest.raises(OutputError, match="is not a bundle, so --force does not replace it"):
            write_bundle(bundle, folder, force=True)
        with pytest.raises(ExportError, match="is no whole bundle"):
            check_bundle(folder)
    write_bundle(bundle, tmp_path / "out")
    (tmp_path / "out/run").unlink()
    os.mkfifo(tmp_path / "out/run")
    with pytest.raises(ExportError, match="is no whole bundle"):
        check_bundle(tmp_path / "out")


def test_a_folders_name_may_be_as_long_as_the_disk_takes(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / ("n" * 255)
    write_bundle(bundle, out)
    write_bundle(bundle, out, force=True)
    check_bundle(out)
    assert list(tmp_path.iterdir()) == [out]


def test_force_replaces_an_earlier_bundle(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_bundle(bundle, out)
    del bundle.files["src/a.c"]
    write_bundle(bundle, out, force=True)
    check_bundle(out)
    assert not (out / "src").exists()
    assert list(tmp_path.iterdir()) == [out]


def test_a_failure_leaves_nothing(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    def full(path: Path, data: bytes) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise OutputError(f"cannot write {path}: No space left on device")
        write_whole(path, data)

    monkeypatch.setattr(bundles, "write_whole", full)
    with pytest.raises(OutputError, match="No space left"):
        write_bundle(bundle, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_columns_line_up() -> None:
    assert text_table([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"
