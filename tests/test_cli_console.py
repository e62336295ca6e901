"""What every command has: --json, --quiet and --verbose, and nothing but JSON on standard output with --json."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from heliograph import progress
from heliograph.cli import COMMANDS, main

NAMES = list(COMMANDS)


@pytest.mark.parametrize("name", NAMES)
def test_help_lists_them(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--json", "-q, --quiet", "--verbose"))


@dataclass(frozen=True)
class Case:
    """A command, its words, and what its first object holds."""

    name: str
    words: tuple[str, ...]
    keys: frozenset[str]


ENCODED = frozenset({"input", "output", "width", "stream_bytes", "bits_per_pixel"})
CASES = (
    Case("encode", ("{photo}", "-o", "{out}/", "--codec", "{codec}"), ENCODED),
    Case("decode", ("{stream}", "-o", "{out}/", "--codec", "{codec}", "--decoder", "preview"), ENCODED),
    Case("info", ("{stream}",), frozenset({"stream", "codec_id", "width", "damaged_segments"})),
    Case("info", ("{codec}",), frozenset({"codec", "codec_id", "tile", "files"})),
    Case("inspect", ("{stream}", "--codec", "{codec}"), frozenset({"stream", "layer_bytes", "layer_psnr"})),
    Case(
        "capture",
        (
            "--source",
            "synthetic:64x64",
            "--every",
            "0",
            "--count",
            "2",
            "--spool",
            "{out}",
            "--codec",
            "{codec}",
        ),
        frozenset({"name", "width", "stream_bytes", "quality", "seconds"}),
    ),
    Case("send", ("--new-key", "{out}.key"), frozenset({"key_file"})),
    Case(
        "export", ("--target", "cpu", "--codec", "{codec}", "-o", "{out}"), frozenset({"target", "figures"})
    ),
    Case("doctor", (), frozenset({"heliograph", "roles", "runtimes"})),
)


def filled(case: Case, photo: Path, stream: Path, codec: Path, tmp_path: Path) -> list[str]:
    places = {"photo": photo, "stream": stream, "codec": codec, "out": tmp_path / "result"}
    return [case.name, *(word.format(**places) for word in case.words)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_json_is_all_that_is_printed(
    case: Case,
    photo: Path,
    stream: Path,
    codec_folder: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    command = filled(case, photo, stream, codec_folder, tmp_path)
    capfd.readouterr()
    assert main([*command, "--json"]) == 0
    objects = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert objects
    assert case.keys <= objects[0].keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_quiet_prints_nothing(
    case: Case,
    photo: Path,
    stream: Path,
    codec_folder: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    command = filled(case, photo, stream, codec_folder, tmp_path)
    capfd.readouterr()
    assert main([*command, "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")


def test_a_bar_is_not_shown_where_quiet_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        progress.be_quiet(True)
        progress.bar(2, "work", disable=False).close()
        assert capsys.readouterr().err == ""
    finally:
        progress.be_quiet(False)
    progress.bar(2, "work", disable=False).close()
    assert "work" in capsys.readouterr().err


def test_the_page_prints_its_address(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    command = [sys.executable, "-m", "heliograph", "serve", "--inbox", str(tmp_path), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert json.loads(first)["url"].startswith("http://127.0.0.1:")
    assert rest == ""


def stub(monkeypatch: pytest.MonkeyPatch, modules: dict[str, dict[str, object]]) -> None:
    """Put modules that take hours in place of others."""
    before = importlib.import_module

    def load(name: str) -> types.ModuleType:
        return types.SimpleNamespace(**modules[name]) if name in modules else before(name)  # type: ignore[return-value]

    monkeypatch.setattr(importlib, "import_module", load)


def test_training_prints_its_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The options go where they belong; the training itself has tests of its own."""
    made: Callable[..., Path] = lambda training, minutes, **options: training["folder"] / "codec"  # noqa: E731
    stub(
        monkeypatch,
        {
            "heliograph.train.stages": {"train": made},
            "heliograph.train.run": {"Run": dict},
            "heliograph.train.loop": {"Paused": KeyError},
            "heliograph.train.networks": {"ENCODERS": {"accelerator": None}},
            "heliograph.server.decoder": {},
            "heliograph.server.network": {"DECODERS": {"medium": None}},
        },
    )
    command = ["train", "--photos", str(tmp_path), "--out", str(tmp_path)]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"codec": os.fspath(tmp_path / "codec"), "paused": None}
    assert main([*command, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
