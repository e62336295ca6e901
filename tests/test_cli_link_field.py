"""`heliograph send` and `receive` in the field: nobody there, folders removed, no power, killed decoders."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("serial")
pytest.importorskip("cobs")
pytest.importorskip("cryptography")

from heliograph.bench.link_processes import DEVICE, SimulatedLine, command_of, fill, received
from heliograph.device.spool import Spool
from heliograph.link.simulate.pty_line import open_terminal

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start an end of a link, its standard error in a file beside its folder; it is ended after the test."""
    processes: list[subprocess.Popen[str]] = []

    def begin(verb: str, port: str, folder: Path, *options: str) -> subprocess.Popen[str]:
        folder.mkdir(exist_ok=True)
        with (folder / f"{verb}.log").open("a") as log:
            command = command_of(verb, port, folder, *options)
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, text=True))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.1)
    assert condition()


@pytest.mark.parametrize("is_read", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_nobody_at_the_other_end_is_said_within_half_a_minute(
    is_read: bool, tmp_path: Path, start: Start
) -> None:
    outer, inner, path = open_terminal()
    streams = fill(tmp_path, 2, 3000, seed=1)
    os.set_blocking(outer, False)
    sender = start("send", path, tmp_path, "--once")
    began = time.monotonic()
    while sender.poll() is None and time.monotonic() < began + 80:
        time.sleep(0.1)
        if is_read:
            with contextlib.suppress(BlockingIOError):
                os.read(outer, 65536)
    took = time.monotonic() - began
    os.close(outer)
    os.close(inner)
    assert sender.returncode == 2
    assert took < 60  # 25 s, and the start of a busy machine
    (said,) = (tmp_path / "send.log").read_text().splitlines()
    assert said.startswith(
        f"heliograph: error: nobody has answered on {path} for 25 s; start heliograph receive"
    )
    assert sorted(streams) == Spool(tmp_path / "spool").names()


@pytest.mark.slow
def test_a_line_that_takes_nothing_ends_a_one_way_sender_that_was_to_end(
    tmp_path: Path, start: Start
) -> None:
    outer, inner, path = open_terminal()
    fill(tmp_path, 2, 30000, seed=1)
    sender = start("send", path, tmp_path, "--once", "--one-way", "--baud", "921600")
    wait_for(lambda: sender.poll() is not None, 80)
    os.close(outer)
    os.close(inner)
    assert sender.returncode == 2
    assert (
        "the line takes no bytes for 25 s; check cable, flow control" in (tmp_path / "send.log").read_text()
    )
    assert Spool(tmp_path / "spool").names()


@pytest.mark.slow
def test_a_sender_that_stays_says_once_that_nobody_answers_and_goes_on(tmp_path: Path, start: Start) -> None:
    streams = fill(tmp_path, 2, 3000, seed=1)
    with SimulatedLine("--baud", "460800") as line:
        sender = start("send", line.ends[0], tmp_path)
        wait_for(lambda: "unanswered: reason nobody has answered" in (tmp_path / "send.log").read_text())
        time.sleep(3)
        start("receive", line.ends[1], tmp_path)
        wait_for(lambda: received(tmp_path) == streams)
        wait_for(lambda: not Spool(tmp_path / "spool").names())
        assert sender.poll() is None
    assert (tmp_path / "send.log").read_text().count("unanswered") == 1


def test_a_sender_outlives_its_spool(tmp_path: Path, start: Start) -> None:
    first = fill(tmp_path, 1, 3000, seed=1)
    with SimulatedLine("--baud", "460800") as line:
        start("receive", line.ends[1], tmp_path)
        sender = start("send", line.ends[0], tmp_path)
        wait_for(lambda: received(tmp_path) == first)
        shutil.rmtree(tmp_path / "spool")  # on a stick that was pulled out
        wait_for(lambda: "spool: reason cannot read the spool" in (tmp_path / "send.log").read_text())
        second = fill(tmp_path, 2, 3000, seed=2)
        wait_for(lambda: received(tmp_path) == first | second)
        assert sender.poll() is None


@pytest.mark.parametrize("what", [f"out/{DEVICE}", pytest.param("out", marks=pytest.mark.slow)])
def test_a_receiver_outlives_its_folder(what: str, tmp_path: Path, start: Start) -> None:
    with SimulatedLine("--baud", "115200") as line:
        receiver = start("receive", line.ends[1], tmp_path)
        sender = start("send", line.ends[0], tmp_path)
        first = fill(tmp_path, 1, 4000, seed=1)
        wait_for(lambda: received(tmp_path) == first)
        second = fill(tmp_path, 3, 60000, seed=2)
        wait_for(lambda: bool(list((tmp_path / "out" / DEVICE).glob("*.partial"))))
        shutil.rmtree(tmp_path / what)
        wait_for(lambda: received(tmp_path) == second, 120)
        wait_for(lambda: not Spool(tmp_path / "spool").names())
        shutil.rmtree(tmp_path / what)  # and while nothing comes
        third = fill(tmp_path, 1, 4000, seed=3)
        wait_for(lambda: received(tmp_path) == third)
        assert receiver.poll() is None
        assert sender.poll() is None
    assert "Traceback" not in (tmp_path / "receive.log").read_text()


def test_a_folder_that_was_moved_away_is_no_reason_to_write_there(tmp_path: Path, start: Start) -> None:
    with SimulatedLine("--baud", "460800") as line:
        start("receive", line.ends[1], tmp_path)
        start("send", line.ends[0], tmp_path)
        first = fill(tmp_path, 2, 4000, seed=1)
        wait_for(lambda: received(tmp_path) == first)
        (tmp_path / "out" / DEVICE).rename(tmp_path / "archive")
        second = fill(tmp_path, 2, 4000, seed=2)
        wait_for(lambda: received(tmp_path) == second)
    assert len((tmp_path / "archive/.received").read_text().splitlines()) == 2
    assert len((tmp_path / "out" / DEVICE / ".received").read_text().splitlines()) == 2


@pytest.mark.parametrize("options", [(), pytest.param(("--one-way",), marks=pytest.mark.slow)])
def test_two_receivers_of_one_folder_live_both_and_the_second_takes_over(
    options: tuple[str, ...], tmp_path: Path, start: Start
) -> None:
    more = [*options, "--baud", "460800"]
    with SimulatedLine("--baud", "460800") as line, SimulatedLine("--baud", "460800") as another:
        first = start("receive", line.ends[1], tmp_path, *more)
        streams = fill(tmp_path, 2, 4000, seed=1)
        if options:
            time.sleep(4)  # nobody waits for the receiver on such a line
        start("send", line.ends[0], tmp_path, *more)
        wait_for(lambda: received(tmp_path) == streams)
        second = start("receive", another.ends[1], tmp_path, *more)
        other = tmp_path / "other"
        if options:
            time.sleep(4)
        (tmp_path / "other").mkdir()
        later = fill(other, 2, 4000, seed=2)
        (other / "out").symlink_to(tmp_path / "out")
        start("send", another.ends[0], other, *more)  # of the same name, over another line
        wait_for(lambda: "in use by another heliograph receive" in (tmp_path / "receive.log").read_text())
        assert (first.poll(), second.poll()) == (None, None)
        if not options:
            first.terminate()
            wait_for(lambda: received(tmp_path) == streams | later, 120)
            assert second.poll() is None
    assert "Traceback" not in (tmp_path / "receive.log").read_text()


def test_what_ends_one_of_several_ports_ends_the_receiver_with_a_line(
    tmp_path: Path, start: Start, mount_disk: Callable[[int], Path]
) -> None:
    disk = mount_disk(1024)
    fill(tmp_path, 2, 4000, seed=1)
    with SimulatedLine("--baud", "460800") as line, SimulatedLine("--baud", "460800") as another:
        options = ["--one-way", "--baud", "460800"]
        receiver = start(
            "receive", line.ends[1], tmp_path, "--port", another.ends[1], "--out", str(disk), *options
        )
        time.sleep(5)  # nobody waits for the receiver on such a line
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        start("send", another.ends[0], tmp_path, *options)
        wait_for(lambda: receiver.poll() is not None)
    assert receiver.returncode == 2
    said = (tmp_path / "receive.log").read_text()
    assert "Traceback" not in said
    assert (
        "Read-only file system; check the disk, then start heliograph receive again" in said.splitlines()[-1]
    )


SILENT = """
    import socket, subprocess, sys, time
    from heliograph.errors import LinkError
    from heliograph.link import port as module
    from heliograph.link.port import Port
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    module.TCP_IDLE, module.TCP_AGAIN, module.TCP_MOST = 1, 1, 2000
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = Port(f"socket://127.0.0.1:{server.getsockname()[1]}")
        other, _ = server.accept()
        subprocess.run(["ip", "link", "set", "lo", "down"], check=True)  # no FIN and no answer, as without power
        began = time.monotonic()
        try:
            while time.monotonic() < began + 30:
                port.wait(0.2, to_write=False)
                port.read()
        except LinkError as error:
            print(f"{time.monotonic() - began:.0f} s: {error}")
"""


def test_a_server_that_lost_its_power_is_noticed() -> None:
    command = ["unshare", "-rn", sys.executable, "-c", textwrap.dedent(SILENT)]
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare and ip")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr:
        pytest.skip("this user may make no network of his own")
    assert done.returncode == 0, done.stderr
    seconds, said = done.stdout.split(" s: ")
    assert int(seconds) <= 10
    assert "was lost: " in said


BACK = """
    import socket, subprocess, sys, time
    def link(state):
        subprocess.run(["ip", "link", "set", "lo", state], check=True)
    link("up")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "heliograph", "receive", "--port", port, "--out", sys.argv[1]]
        receiver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        first, _ = server.accept()
        link("down")
        began = time.monotonic()
        print(receiver.stderr.readline(), end="")
        link("up")
        server.settimeout(60)
        server.accept()
        print(f"again after {time.monotonic() - began:.0f} s")
        receiver.kill()
"""


@pytest.mark.slow
def test_a_receiver_is_there_again_within_two_minutes(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare and ip")
    command = ["unshare", "-rn", sys.executable, "-c", textwrap.dedent(BACK), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    if "unshare" in done.stderr:
        pytest.skip("this user may make no network of his own")
    assert done.returncode == 0, done.stderr
    lost, again = done.stdout.splitlines()
    assert "was lost: " in lost
    assert int(again.split()[2]) <= 120


def test_the_time_until_that_is_noticed_leaves_two_minutes_to_be_there_again() -> None:
    from heliograph.link import drive, port

    with socket.create_server(("127.0.0.1", 0)) as server:
        opened = port.Port(f"socket://127.0.0.1:{server.getsockname()[1]}")
        kept = opened._port._socket
        assert kept.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle = kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        again = kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
        most = kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000
        opened.close()
    connecting = 5  # seconds that pySerial waits for a connection
    assert (idle, again, most) == (30, 10, 60)
    assert max(idle + 3 * again, most) + drive.LAST_RETRY + connecting <= 120


def test_a_decoder_outlives_the_folders_too(
    stream: Path, tmp_path: Path, codec_folder: Path, start: Start
) -> None:
    spool = Spool(tmp_path / "spool")
    decode = ["--pictures", str(tmp_path / "pictures"), "--codec", str(codec_folder), "--decoder", "preview"]
    with SimulatedLine("--baud", "460800") as line:
        receiver = start("receive", line.ends[1], tmp_path, *decode)
        start("send", line.ends[0], tmp_path)
        for removed in ("out", "pictures", f"out/{DEVICE}"):
            name = spool.add(stream.read_bytes())
            made = (tmp_path / "pictures" / DEVICE / name).with_suffix(".png")
            wait_for(made.exists)
            shutil.rmtree(tmp_path / removed, ignore_errors=True)  # what is at work there may be quicker
        name = spool.add(stream.read_bytes())
        made = (tmp_path / "pictures" / DEVICE / name).with_suffix(".png")
        wait_for(made.exists)
        assert receiver.poll() is None
    said = (tmp_path / "receive.log").read_text()
    assert "Traceback" not in said
    assert "restart" not in said


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_decoder_that_is_killed_is_started_again(
    number: signal.Signals, stream: Path, tmp_path: Path, codec_folder: Path, start: Start
) -> None:
    spool = Spool(tmp_path / "spool")
    decode = ["--pictures", str(tmp_path / "pictures"), "--codec", str(codec_folder), "--decoder", "preview"]
    log = tmp_path / "receive.log"
    with SimulatedLine("--baud", "460800") as line:
        receiver = start("receive", line.ends[1], tmp_path, *decode)
        start("send", line.ends[0], tmp_path)
        first = spool.add(stream.read_bytes())
        wait_for(lambda: f"name {first}" in log.read_text() and "decoded" in log.read_text())
        (child,) = _children(receiver.pid)
        os.kill(child, number)
        second = spool.add(stream.read_bytes())
        made = (tmp_path / "pictures/camera" / second).with_suffix(".png")
        wait_for(made.exists)
        wait_for(lambda: log.read_text().count("decoded: ") == 2)
        assert len(_children(receiver.pid)) == 1
        assert receiver.poll() is None
        receiver.terminate()
        assert receiver.wait(20) == 0
    said = log.read_text()
    reason = "was ended by signal 9" if number == signal.SIGKILL else "ended with exit code 0"
    assert f"restart: reason the decoder {reason}; streams are still received" in said
    assert said.count("restart: ") == 1
    assert "Traceback" not in said


def _children(process: int) -> list[int]:
    """Return the decoding children of a process, without what multiprocessing runs beside them."""
    text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    named = ((int(one), Path(f"/proc/{one}/cmdline").read_bytes()) for one in text.split())
    return [one for one, command in named if b"spawn_main" in command]
