"""`heliograph send` and `receive` as real processes on a simulated line: kept alive, killed, timed.

Also `sz`, `rz`, `sx` and `rx` of lrzsz on the same line, to compare with.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from heliograph.device.spool import Spool
from heliograph.link.port import BITS_PER_BYTE

DEVICE = "camera"


class SimulatedLine:
    """A `heliograph.link.simulate.pty_line` process; `ends` are its two devices."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "heliograph.link.simulate.pty_line", *options]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.ends = tuple(self._process.stdout.readline().split())

    def __enter__(self) -> SimulatedLine:
        return self

    def __exit__(self, *reason: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def command_of(name: str, port: str, folder: Path, *options: str) -> list[str]:
    """Return the command of an end: `folder` holds spool/ and out/."""
    where = (
        ["--spool", str(folder / "spool"), "--device", DEVICE]
        if name == "send"
        else ["--out", str(folder / "out")]
    )
    return [sys.executable, "-m", "heliograph", name, "--port", port, *where, *options]


def fill(folder: Path, count: int, size: int, seed: int) -> dict[str, bytes]:
    """Add streams of random bytes to the spool and return them by name."""
    draw, spool = random.Random(seed), Spool(folder / "spool")
    streams = (draw.randbytes(size) for _ in range(count))
    return {spool.add(data): data for data in streams}


def received(folder: Path) -> dict[str, bytes]:
    """Return the whole streams that arrived, by name, wherever below out/ they are."""
    return {path.name: path.read_bytes() for path in (folder / "out").glob("*/*.helio")}


@dataclass(frozen=True)
class Survival:
    """What became of a transfer whose ends were killed."""

    sent: int
    whole: int
    twice: int
    left: int
    kills: int
    seconds: float

    @property
    def is_perfect(self) -> bool:
        """Whether all arrived, byte-identical, none twice, nothing left over."""
        return self.whole == self.sent and not self.twice and not self.left


class Kept:
    """A process that is started again whenever it is killed, with its children; what it says is in a file."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._command, self._log = command, log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()


def survive(
    folder: Path,
    *,
    pictures: int,
    size: int,
    kills: int,
    cuts: int,
    baud: int,
    seed: int,
    faults: Sequence[str] = (),
    options: Sequence[str] = (),
    limit: float,
) -> Survival:
    """Send pictures while either end is killed (SIGKILL) at random moments and the line is cut.

    The pictures arrive in the spool little by little, so that the spool is never empty before the last kill.
    """
    draw = random.Random(seed)
    everything = [draw.randbytes(draw.randint(size // 2, size * 3 // 2)) for _ in range(pictures)]
    spool = Spool(folder / "spool")
    sent: dict[str, bytes] = {}
    line_options = ["--baud", str(baud), "--seed", str(seed), *faults]
    line_options += ["--cuts", str(cuts), "--cut-every", "0.9", "--cut-for", "0.4"]
    began = time.monotonic()
    with SimulatedLine(*line_options) as line:
        ends = [
            Kept(command_of(name, port, folder, "--json", *options), folder / f"{name}.log")
            for name, port in zip(("send", "receive"), line.ends, strict=True)
        ]
        try:
            for n in range(kills):
                for data in everything[len(sent) : (n + 1) * pictures // kills]:
                    sent[spool.add(data)] = data
                time.sleep(draw.uniform(0.2, 2.6))  # from before the handshake to the middle of a transfer
                victims = draw.choice(([0], [1], [0, 1]))
                for victim in victims:
                    ends[victim].kill()
                for victim in victims:
                    ends[victim].start()
            for data in everything[len(sent) :]:
                sent[spool.add(data)] = data
            while spool.names() and time.monotonic() - began < limit:
                time.sleep(0.2)
        finally:
            for end in ends:
                end.end()
    streams = received(folder)
    digests = [hashlib.sha256(data).digest() for data in streams.values()]
    left = len(spool.names()) + len(
        [p for p in (folder / "out").glob("*/*") if p.suffix in (".partial", ".state")]
    )
    events = [
        json.loads(line) for line in (folder / "receive.log").read_text().splitlines() if line[:1] == "{"
    ]
    told = [event["name"] for event in events if event["event"] == "received"]
    twice = len(digests) - len(set(digests)) + len(told) - len(set(told))
    whole = sum(streams.get(name) == data for name, data in sent.items())
    return Survival(len(sent), whole, twice, left, kills, time.monotonic() - began)


@dataclass(frozen=True)
class Timed:
    """A timed transfer: `goodput` as a share of the line's rate, 0 if it did not arrive; `cpu` as a share of a core."""

    arrived: bool
    seconds: float
    goodput: float
    cpu: float = 0.0


def time_ours(baud: int, *, count: int, size: int, faults: Sequence[str] = (), limit: float) -> Timed:
    """Time our own transfer of a spool, from the open session to the sender's end with everything confirmed."""
    with tempfile.TemporaryDirectory() as name, SimulatedLine("--baud", str(baud), *faults) as line:
        folder = Path(name)
        streams = fill(folder, count, size, seed=1)
        command = command_of("receive", line.ends[1], folder)
        receiver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        command = command_of("send", line.ends[0], folder, "--once", "--json")
        sender = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        watch = Timer(limit, sender.kill)
        watch.start()
        began, before = time.monotonic(), _cpu_seconds(sender.pid)
        assert sender.stdout is not None
        for text in sender.stdout:
            if b'"connected"' in text:
                began, before = time.monotonic(), _cpu_seconds(sender.pid)
                break
        sender.stdout.read()
        sender.stdout.close()
        _, _, used = os.wait4(sender.pid, 0)
        seconds = time.monotonic() - began
        sender.returncode = 0
        watch.cancel()
        receiver.terminate()
        receiver.wait()
        arrived = received(folder) == streams
    share = count * size * BITS_PER_BYTE / baud / seconds if arrived else 0.0
    return Timed(arrived, seconds, share, (used.ru_utime + used.ru_stime - before) / seconds)


def _cpu_seconds(process: int) -> float:
    """Return what a running process has used, in user and system mode."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def time_lrzsz(
    sender: Sequence[str],
    receiver: Sequence[str],
    baud: int,
    *,
    size: int,
    faults: Sequence[str] = (),
    limit: float,
) -> Timed | None:
    """Time a transfer of one file by lrzsz's programs, until an end knows it is there; None if not installed."""
    if not shutil.which(sender[0]) or not shutil.which(receiver[0]):
        return None
    with tempfile.TemporaryDirectory() as name, SimulatedLine("--baud", str(baud), *faults) as line:
        folder = Path(name)
        (folder / "in").mkdir()
        (folder / "out").mkdir()
        data = random.Random(1).randbytes(size)
        (folder / "in/file").write_bytes(data)
        commands = ([*receiver], folder / "out"), ([*sender, str(folder / "in/file")], folder)
        ends = []
        for (command, where), device in zip(commands, line.ends[::-1], strict=True):
            with Path(device).open("r+b", buffering=0) as port:
                ends.append(
                    subprocess.Popen(command, stdin=port, stdout=port, stderr=subprocess.DEVNULL, cwd=where)
                )
        file, began, arrived = folder / "out/file", time.monotonic(), False
        while (seconds := time.monotonic() - began) < limit:
            running = sum(end.poll() is None for end in ends)
            # One end that has ended knows that all is there; the other may wait long for a last word.
            if running < 2 and (arrived := file.exists() and file.read_bytes()[:size] == data):
                break  # XMODEM pads its last block
            if not running:
                break
            time.sleep(0.02)
        for end in ends:
            end.kill()
            end.wait()
    return Timed(arrived, seconds, size * BITS_PER_BYTE / baud / seconds if arrived else 0.0)
