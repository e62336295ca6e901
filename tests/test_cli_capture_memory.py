"""Capture, send and receive as real processes: pictures refer to what was confirmed, and all that arrived decodes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("serial")
pytest.importorskip("cobs")
pytest.importorskip("cryptography")

from heliograph.bench.link_processes import DEVICE, SimulatedLine, command_of
from heliograph.cli import build_parser, main
from heliograph.codec import container
from heliograph.device.spool import Spool


@pytest.fixture
def line() -> Iterator[SimulatedLine]:
    with SimulatedLine("--baud", "460800") as made:
        yield made


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.05)
    assert condition()


def capture(folder: Path, codec_folder: Path, *options: str) -> list[int]:
    """Take a picture of the synthetic camera, and return the depths of what waits."""
    command = ["capture", "--source", "synthetic:97x61", "--every", "0", "--count", "1"]
    assert main([*command, "--spool", str(folder / "spool"), "--codec", str(codec_folder), *options]) == 0
    spool = Spool(folder / "spool")
    return [container.open(spool.read(name)).header.depth for name in spool.names()]


def send(port: str, folder: Path, *options: str) -> None:
    command = command_of("send", port, folder, "--once", *options)
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def test_what_was_confirmed_is_referred_to_and_all_that_arrived_decodes(
    tmp_path: Path, codec_folder: Path, line: SimulatedLine
) -> None:
    command = command_of("receive", line.ends[1], tmp_path, "--json")
    receiving = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    depths = []
    for _ in range(4):
        depths += capture(tmp_path, codec_folder, "--max-depth", "2")
        send(line.ends[0], tmp_path)
        assert Spool(tmp_path / "spool").names() == []
    waiting = [capture(tmp_path, codec_folder) for _ in range(2)][-1]  # nothing is confirmed in between
    send(line.ends[0], tmp_path)
    receiving.send_signal(signal.SIGTERM)
    receiving.communicate(timeout=20)
    # Each process begins with the camera's first picture: what is there costs next to nothing. Equal values are one
    # picture, so depths need not rise.
    assert depths[0] == 0
    assert all(1 <= depth <= 2 for depth in depths[1:])
    assert len(waiting) == 2
    assert waiting[0] == waiting[1] >= 1
    arrived = tmp_path / "out" / DEVICE
    assert len(list(arrived.glob("*.helio"))) == 6
    command = ["decode", str(arrived), "-o", str(tmp_path / "pictures"), "--codec", str(codec_folder)]
    assert main([*command, "--decoder", "preview"]) == 0
    assert len(list((tmp_path / "pictures").iterdir())) == 6


def test_a_picture_that_the_receiver_has_lost_comes_again_and_what_refers_to_it_is_decoded_then(
    tmp_path: Path, codec_folder: Path, line: SimulatedLine
) -> None:
    pictures, arrived = tmp_path / "pictures" / DEVICE, tmp_path / "out" / DEVICE
    options = ["--pictures", str(tmp_path / "pictures"), "--codec", str(codec_folder), "--decoder", "preview"]
    command = command_of("receive", line.ends[1], tmp_path, "--json", *options)
    sender = command_of("send", line.ends[0], tmp_path, "--json")

    def end(process: subprocess.Popen[str]) -> list[dict[str, object]]:
        process.send_signal(signal.SIGTERM)
        return [json.loads(text) for text in process.communicate(timeout=20)[0].splitlines()]

    receiving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert capture(tmp_path, codec_folder) == [0]
    sending = subprocess.Popen(sender, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(pictures.glob("*.png"))) == 1)
    end(receiving)  # while it runs it knows the picture
    (first,) = arrived.glob("*.helio")
    lost = first.read_bytes()
    first.unlink()
    wait_for(lambda: capture(tmp_path, codec_folder)[-1] == 1)
    made = len(Spool(tmp_path / "spool").names())
    receiving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(pictures.glob("*.png"))) == 2 + made, 90)  # and the one that came again
    told = end(sending)
    events = end(receiving)
    streams = [path.read_bytes() for path in arrived.glob("*.helio")]
    assert lost in streams
    assert len(streams) == 1 + made
    for ended in (events, told):
        assert [str(event["event"]) for event in ended].count("wanted") == 1
    early = {event["name"] for event in events if event["event"] == "undecoded"}
    assert early
    assert early <= {event["name"] for event in events if event["event"] == "decoded"}


def test_where_nobody_answers_nothing_is_referred_to_unless_asked_for(
    tmp_path: Path, codec_folder: Path, line: SimulatedLine
) -> None:
    options = ["--one-way", "--baud", "460800"]
    for _ in range(2):
        assert capture(tmp_path, codec_folder) == [0]
        send(line.ends[0], tmp_path, *options)
    assert not list((tmp_path / "spool").rglob("*.helio"))
    # A process begins with a key picture, so one takes all.
    command = ["capture", "--source", "synthetic:97x61", "--every", "0", "--count", "3", "--key-every", "3"]
    assert main([*command, "--spool", str(tmp_path / "keys"), "--codec", str(codec_folder)]) == 0
    assert (tmp_path / "keys" / "sent").is_dir()
    spool = Spool(tmp_path / "keys")
    assert [container.open(spool.read(name)).header.depth for name in spool.names()] == [
        0,
        0,
        0,
    ]  # none sent yet


def test_without_a_memory_nothing_is_kept(tmp_path: Path, codec_folder: Path, line: SimulatedLine) -> None:
    command = command_of("receive", line.ends[1], tmp_path)
    receiving = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(2):
        assert capture(tmp_path, codec_folder, "--no-memory") == [0]
        send(line.ends[0], tmp_path)
    receiving.send_signal(signal.SIGTERM)
    receiving.communicate(timeout=20)
    assert sorted(path.name for path in (tmp_path / "spool").iterdir()) == [".capture", ".spool"]


def test_the_unit_of_systemd_has_the_memory_s_options(
    tmp_path: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["capture", "--source", "synthetic", "--spool", str(tmp_path), "--codec", str(codec_folder)]
    for options, words in (
        (["--no-memory", "--base"], ["--no-memory", "--base", "--max-depth=32"]),
        (
            ["--key-every", "8", "--max-depth", "3", "--keep", "4"],
            ["--key-every=8", "--max-depth=3", "--keep=4"],
        ),
    ):
        assert main([*command, *options, "--print-systemd-unit", "--json"]) == 0
        (start,) = [
            line
            for line in json.loads(capsys.readouterr().out)["unit"].splitlines()
            if line.startswith("ExecStart=")
        ]
        assert set(words) <= set(start.split())
        again = build_parser(["capture"]).parse_args(start.split()[3:])
        assert (again.no_memory, again.base) == ("--no-memory" in options, "--base" in options)
    with pytest.raises(SystemExit):
        main([*command, "--no-memory", "--key-every", "3"])
    assert sys.executable in start
