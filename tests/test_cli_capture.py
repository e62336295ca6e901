"""heliograph capture: its options, its unit for systemd, and the process under systemd's eyes."""

from __future__ import annotations

import configparser
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from heliograph.cli import build_parser, main
from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.thin import thin
from heliograph.commands import quantities
from heliograph.device.spool import Spool
from heliograph.device.systemd import quote


def test_pictures_are_captured_within_a_budget(
    tmp_path: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "capture",
        "--source",
        "synthetic:320x200",
        "--every",
        "0",
        "--count",
        "2",
        "--max-bytes",
        "900",
    ]
    assert main([*command, "--spool", str(tmp_path / "spool"), "--codec", str(codec_folder)]) == 0
    spool = Spool(tmp_path / "spool")
    names = spool.names()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == names
    assert all(": 320x200, " in line for line in lines)
    for name in names:
        data = spool.read(name)
        assert 0.8 * 900 < len(data) <= 900
        assert len(thin(data, 1)) < len(data)  # layers, at a size at which encode puts all in one segment


@pytest.mark.parametrize("options", [[], ["--base"]])
def test_a_stream_begins_with_a_base_if_it_shall(options: list[str], tmp_path: Path, shipped: Codec) -> None:
    command = ["capture", "--source", "synthetic:320x200", "--every", "0", "--count", "1", *options]
    assert main([*command, "--spool", str(tmp_path), "--codec", str(shipped.folder), "--no-memory"]) == 0
    (name,) = Spool(tmp_path).names()
    header = container.open(Spool(tmp_path).read(name)).header
    assert (header.level, header.base_level) == (623, 249 if options else None)


def test_the_spool_is_bounded(tmp_path: Path, codec_folder: Path) -> None:
    command = [
        "capture",
        "--source",
        "synthetic:320x200",
        "--every",
        "0",
        "--count",
        "6",
        "--max-bytes",
        "900",
    ]
    options = ["--spool", str(tmp_path / "spool"), "--codec", str(codec_folder), "--spool-bytes", "3k"]
    assert main([*command, *options]) == 0
    spool = Spool(tmp_path / "spool")
    assert sum(len(spool.read(n)) for n in spool.names()) <= 3000
    assert len(spool.names()) >= 3


def test_unchanged_pictures_are_skipped(
    tmp_path: Path, photo: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = tmp_path / "in"
    watched.mkdir()
    with Image.open(photo) as picture:
        for level, name in enumerate(("a", "b")):  # two files that show the same
            picture.save(watched / f"{name}.png", compress_level=1 + level)
    shutil.copy(Path(__file__).parents[1] / "README.md", watched / "no-picture.md")
    process = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "heliograph",
                "capture",
                "--source",
                f"folder:{watched}",
                "--every",
                "1s",
            ),
            *("--spool", str(tmp_path / "spool"), "--codec", str(codec_folder), "--skip-unchanged"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert ".helio: 97x61, " in process.stdout.readline()
    assert process.stdout.readline() == "unchanged, skipped\n"
    process.terminate()
    process.communicate(timeout=60)
    assert len(Spool(tmp_path / "spool").names()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "webcam"], "unknown source 'webcam': expected one of picamera, v4l2:/dev/video0"),
        (["--source", "synthetic", "--codec", "none"], "none"),
        (["--source", "synthetic", "--delegate", "none.so"], "cannot load delegate none.so"),
    ],
)
def test_what_cannot_work_is_said_at_once(
    options: list[str], message: str, tmp_path: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codec = [] if "--codec" in options else ["--codec", str(codec_folder)]
    assert main(["capture", "--spool", str(tmp_path / "spool"), *options, *codec]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("5", 5), ("250ms", 0.25), ("1.5s", 1.5), ("10m", 600), ("2h", 7200), ("1d", 86400)],
)
def test_durations(text: str, seconds: float) -> None:
    assert quantities.duration(text) == seconds


@pytest.mark.parametrize(
    "options",
    [
        ["--every", "-1s"],
        ["--every", "10 min"],
        ["--count", "0"],
        ["--spool-bytes", "0"],
        ["--spool-bytes", "1T"],
        ["--size", "big"],
        ["--skip-unchanged", "300"],
        ["--max-bytes", "5", "--bpp", "1"],
    ],
)
def test_bad_values_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(["capture", "--source", "synthetic", "--spool", "x", *options])
    assert caught.value.code == 2
    assert options[0] in capsys.readouterr().err


OPTIONS = [
    *("--source", "folder:in box", "--spool", "a $HOME 100%", "--every", "90s", "--count", "7"),
    *("--skip-unchanged", "--spool-bytes", "100M", "--port", "socket://[::1]:7000", "--max-bytes", "8000"),
    "--send-options=--rtscts --key-file 'a b'",
    *("--slices", "2", "--delegate", "libedgetpu.so.1", "--threads", "2", "--size", "1920x1080", "--fast"),
]


def unit(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["capture", *options, "--print-systemd-unit"]) == 0
    return capsys.readouterr().out


def test_the_units_command_does_what_was_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit(capsys, *OPTIONS))
    service = parser["Service"]
    # As systemd reads it: words in quotes, %% and $$ for % and $.
    words = [w.replace("%%", "%").replace("$$", "$") for w in shlex.split(service["ExecStart"])]
    assert words[:3] == [sys.executable, "-m", "heliograph"]
    found, asked = (vars(build_parser().parse_args(a)) for a in (words[3:], ["capture", *OPTIONS]))
    assert found["source"] == f"folder:{tmp_path}/in box"
    assert found["spool"] == tmp_path / "a $HOME 100%"
    assert found["send_options"] == ["--rtscts", "--key-file", "a b"]
    assert service["WorkingDirectory"] == str(tmp_path)
    same = {"source": "", "spool": ""}
    assert found | same == asked | same
    assert service["Restart"] == "on-failure"  # it ends after seven pictures, and that is well
    assert service["SupplementaryGroups"] == "dialout"
    assert not list(tmp_path.iterdir())  # nothing was done


def test_the_units_rate_is_the_one_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--source", "picamera", "--spool", "/srv/spool"]
    assert "--quality=50" in unit(capsys, *base)
    assert "--bpp=0.25" in unit(capsys, *base, "--bpp", "0.25")
    text = unit(capsys, *base, "--quality", "12.5", "--port", "/dev/ttyUSB0")
    assert "--quality=12.5" in text
    assert "--every=600s" in text
    assert "SupplementaryGroups=video dialout" in text
    assert "Restart=always" in text


def test_a_user_without_a_name_is_a_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 3_999_999)  # which no list of users has
    assert "User=3999999\n" in unit(capsys, "--source", "picamera", "--spool", "spool")


def test_systemd_finds_no_fault_with_the_unit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for options in (OPTIONS, ["--source", "picamera", "--spool", "/srv/spool"]):
        path = tmp_path / "heliograph.service"
        path.write_text(unit(capsys, *options), encoding="utf-8")
        done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_words_are_quoted_for_systemd() -> None:
    assert [quote(w) for w in ("plain", "", "a b", 'say "x"', "100%", "$HOME", "back\\slash")] == [
        "plain",
        '""',
        '"a b"',
        '"say \\"x\\""',
        "100%%",
        "$$HOME",
        '"back\\\\slash"',
    ]


def test_systemd_is_told_when_it_runs_lives_and_ends(tmp_path: Path, codec_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        done = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "heliograph",
                    "capture",
                    "--source",
                    "synthetic:32x32",
                    "--every",
                    "0",
                ),
                *("--count", "2", "--spool", str(tmp_path / "spool"), "--codec", str(codec_folder)),
            ],
            env={
                "PATH": "/usr/bin",
                "PYTHONPATH": ":".join(sys.path),
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        manager.settimeout(0.1)
        states: list[str] = []
        while not states or states[-1] != "STOPPING=1":
            states.append(manager.recv(100).decode())
    assert states[0] == "READY=1"
    assert states.count("WATCHDOG=1") >= 2
