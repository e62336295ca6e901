"""`heliograph send` and `heliograph receive` as real processes on pseudo-terminals."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("serial")
pytest.importorskip("cobs")
pytest.importorskip("cryptography")

from heliograph.bench.link_processes import DEVICE, SimulatedLine, command_of, fill, received, survive
from heliograph.cli import main
from heliograph.device.spool import Spool


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Spool(tmp_path / "spool")
    return tmp_path


@pytest.fixture
def line() -> Iterator[SimulatedLine]:
    with SimulatedLine("--baud", "460800", "--bit-error", "1e-5") as made:
        yield made


class Receiving:
    """A `heliograph receive` process whose events are read at its end."""

    def __init__(self, port: str, folder: Path, *options: str) -> None:
        command = command_of("receive", port, folder, "--json", *options)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_until_open(self, *ports: str) -> None:
        """Wait until the process has the ports open: on a one-way line nobody waits for the receiver."""
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            found = Path(f"/proc/{self.process.pid}/fd").iterdir()
            if set(ports) <= {str(entry.readlink()) for entry in found if entry.is_symlink()}:
                return
            time.sleep(0.1)
        raise AssertionError(f"{ports} were not opened")

    def end(self) -> tuple[int, list[dict[str, object]], str]:
        self.process.send_signal(signal.SIGTERM)
        out, errors = self.process.communicate(timeout=20)
        return self.process.returncode, [json.loads(text) for text in out.splitlines()], errors


def send(port: str, folder: Path, *options: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    command = command_of("send", port, folder, "--once", *options)
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


@pytest.mark.parametrize("is_keyed", [False, True])
def test_a_spool_arrives(folder: Path, line: SimulatedLine, is_keyed: bool) -> None:
    options = ["--key-file", str(folder / "key")] if is_keyed else []
    if is_keyed:
        assert main(["send", "--new-key", str(folder / "key")]) == 0
    streams = fill(folder, 10, 5000, seed=1)
    receiving = Receiving(line.ends[1], folder, *options)
    done = send(line.ends[0], folder, *options)
    code, events, errors = receiving.end()
    assert (done.returncode, code, errors) == (0, 0, "")
    assert done.stdout.count("sent: name ") == 10
    assert received(folder) == streams
    assert Spool(folder / "spool").names() == []
    assert sorted(str(e["name"]) for e in events if e["event"] == "received") == sorted(streams)


def test_streams_that_encode_wrote_are_sent_and_others_are_told_of(
    folder: Path, line: SimulatedLine, photo: Path, codec_folder: Path
) -> None:
    names = ["IMG_0001", "b", "two words"]
    pictures = [shutil.copy(photo, folder / f"{name}.png") for name in names]
    command = ["encode", *map(str, pictures), "-o", str(folder / "spool"), "--codec", str(codec_folder)]
    assert main(command) == 0
    streams = {path.name: path.read_bytes() for path in (folder / "spool").glob("*.helio")}
    left = streams.pop("two words.helio")
    receiving = Receiving(line.ends[1], folder)
    done = send(line.ends[0], folder)
    receiving.end()
    assert done.returncode == 0
    assert [text.split(",")[0] for text in done.stdout.splitlines()] == [
        "sent: name IMG_0001.helio",
        "sent: name b.helio",
    ]
    assert (
        "skipped: name two words.helio, reason its name or size cannot go over the link: up to 96"
        in done.stderr
    )
    assert received(folder) == streams
    assert {p.name: p.read_bytes() for p in (folder / "spool").glob("*.helio")} == {"two words.helio": left}


def test_an_empty_spool_is_told_of(folder: Path, line: SimulatedLine) -> None:
    done = send(line.ends[0], folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"heliograph: empty: spool {folder}/spool, reason no files ending in .helio\n"


def test_another_key_ends_with_a_clear_error(folder: Path, line: SimulatedLine) -> None:
    for name in ("a", "b"):
        assert main(["send", "--new-key", str(folder / name)]) == 0
    fill(folder, 1, 100, seed=1)
    receiving = Receiving(line.ends[1], folder, "--key-file", str(folder / "a"))
    done = send(line.ends[0], folder, "--key-file", str(folder / "b"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "heliograph: error: the receiver refuses: its key is another one; use the same key file at both ends"
    )
    plain = send(line.ends[0], folder)
    assert plain.returncode == 2
    assert "it takes keyed devices only; give --key-file here too" in plain.stderr
    code, events, _ = receiving.end()
    assert code == 0
    assert any("its key is not the one here" in str(e.get("reason")) for e in events)
    assert not (folder / "out").exists()
    assert len(Spool(folder / "spool").names()) == 1


def test_a_quota_is_said_at_both_ends_and_loses_nothing(folder: Path, line: SimulatedLine) -> None:
    streams = fill(folder, 4, 9000, seed=1)
    receiving = Receiving(line.ends[1], folder, "--device-quota", "32k")
    done = send(line.ends[0], folder)
    code, events, errors = receiving.end()
    assert (done.returncode, code, errors) == (2, 0, "")
    assert done.stderr.splitlines()[-1] == (
        "heliograph: error: the receiver cannot keep it now: no room on its disk or in a quota, or no folder for this "
        "device; make room there, then send again: what waits is kept"
    )
    assert any("of 32000 bytes (--device-quota)" in str(e.get("reason")) for e in events)
    whole = received(folder)
    assert 1 <= len(whole) < 4
    assert sorted([*whole, *Spool(folder / "spool").names()]) == sorted(streams)


@pytest.mark.parametrize("is_keyed", [False, True])
def test_one_way(folder: Path, is_keyed: bool) -> None:
    options = ["--one-way", "--baud", "460800"]
    if is_keyed:
        assert main(["send", "--new-key", str(folder / "key")]) == 0
        options += ["--key-file", str(folder / "key")]
    streams = fill(folder, 3, 4000, seed=1)
    with SimulatedLine("--baud", "460800") as line:
        receiving = Receiving(line.ends[1], folder, *options)
        receiving.wait_until_open(line.ends[1])
        done = send(line.ends[0], folder, *options)
        time.sleep(1.5)
        code, _, errors = receiving.end()
    assert (done.returncode, code, errors) == (0, 0, "")
    assert received(folder) == streams
    assert Spool(folder / "spool").names() == []


def test_two_receivers_of_one_device_add_up(folder: Path, tmp_path: Path) -> None:
    """The same packets on two lines, each of which loses about two of five."""
    streams = fill(folder, 3, 4000, seed=2)
    (folder / "spool/.next-picture").write_text("200000000\n")
    shutil.copytree(folder / "spool", folder / "other/spool")
    bad = ["--baud", "460800", "--burst", "0.0015"]
    options = ["--one-way", "--baud", "460800"]
    with SimulatedLine(*bad, "--seed", "1") as first, SimulatedLine(*bad, "--seed", "2") as second:
        receiving = Receiving(first.ends[1], folder, *options, "--port", second.ends[1])
        receiving.wait_until_open(first.ends[1], second.ends[1])
        for line, place in ((first, folder), (second, folder / "other")):
            assert send(line.ends[0], place, *options, "--loss", "0.3").returncode == 0
        time.sleep(1.5)
        code, _, errors = receiving.end()
    assert (code, errors) == (0, "")
    assert received(folder) == streams


def test_signals_end_it_at_once_and_nothing_is_lost(folder: Path) -> None:
    streams = fill(folder, 3, 12000, seed=1)
    with SimulatedLine("--baud", "115200") as line:
        receiving = Receiving(line.ends[1], folder)
        command = command_of("send", line.ends[0], folder, "--json")
        sender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert sender.stdout is not None
        assert json.loads(sender.stdout.readline())["event"] == "connected"
        deadline = time.monotonic() + 10
        while not list((folder / "out" / DEVICE).glob("*.partial")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        began = time.monotonic()
        sender.terminate()
        sender.communicate(timeout=10)
        assert sender.returncode == 0
        assert time.monotonic() - began < 3
        assert sorted(Spool(folder / "spool").names()) == sorted(streams)
        assert list((folder / "out" / DEVICE).glob("*.partial"))
        assert send(line.ends[0], folder).returncode == 0
        receiving.end()
    assert received(folder) == streams


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["send"], "--port and --spool missing"),
        (["receive", "--port", "x"], "--out missing"),
        (
            ["receive", "--port", "x", "--port", "y", "--out", "{}"],
            "several ports add up with --one-way only",
        ),
        (["send", "--port", "x", "--spool", "{}", "--one-way", "--packet-bytes", "9"], "packets of 9 bytes"),
        (["send", "--port", "x", "--spool", "/does/not/exist"], "spool /does/not/exist is not a folder"),
        (["send", "--port", "/dev/none", "--spool", "{}", "--once"], "cannot open port /dev/none: "),
        (["send", "--port", "x", "--spool", "{}", "--device", "../x"], "device name '../x' cannot be used"),
        (
            ["receive", "--port", "x", "--out", "{}/file"],
            "file is no folder that this user can write to; give another",
        ),
        (["receive", "--port", "x", "--out", "{}", "--key-file", "/none"], "cannot read key file /none"),
    ],
)
def test_errors(arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert main([argument.format(tmp_path) for argument in arguments]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("heliograph: error: ")
    assert said in errors
    assert errors.count("\n") == 1


def test_ends_that_are_killed_lose_nothing(tmp_path: Path) -> None:
    found = survive(tmp_path, pictures=12, size=3000, kills=3, cuts=3, baud=460800, seed=5, limit=60)
    assert found.is_perfect, found


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_two_hundred_pictures_fifty_cuts_fifty_kills(tmp_path: Path, seed: int) -> None:
    faults = ["--bit-error", "1e-5", "--burst", "1e-5"]
    found = survive(
        tmp_path, pictures=200, size=6000, kills=50, cuts=50, baud=460800, seed=seed, faults=faults, limit=400
    )
    assert found.is_perfect, found
