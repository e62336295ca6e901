"""Decoding of what comes, where disks fill, files cannot be read for a while, and streams kill their decoder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import Codec
from heliograph.errors import OutputError
from heliograph.pauses import Pauses
from heliograph.server import watch as watching
from heliograph.server.attempts import ASIDE, Attempts
from heliograph.server.decoders import Decoder
from heliograph.server.watch import Watch, Watched

Arrive = Callable[..., Path]
NAMES = [f"20260101T00000{n}.000000Z-0000000{n}.helio" for n in range(8)]


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.05)
    assert condition()


@pytest.fixture
def data(stream: Path) -> bytes:
    return stream.read_bytes()


def test_what_failed_is_tried_again_after_growing_pauses(
    tmp_path: Path, arrive: Arrive, data: bytes, codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(tmp_path / "in", "cam", NAMES[0], data, [(0, len(data))])
    write, now, is_full = watching.write_picture, 0.0, True

    def full(target: Path, picture: npt.NDArray[np.uint8], told: Mapping[str, str] | None = None) -> None:
        if is_full:
            raise OutputError("cannot write: No space left on device")
        write(target, picture, told)

    monkeypatch.setattr(watching, "write_picture", full)
    watch = Watch(tmp_path / "in", tmp_path / "out", Decoder(codec, "preview"))
    watch._pauses = Pauses(5.0, clock=lambda: now)
    pauses = []
    for _ in range(3):
        found: list[Watched] = [*watch.step(), *watch.step()]
        pauses += [(str(one.outcome.error), one.pause) for one in found]
        now += found[0].pause
    assert pauses == [("cannot write: No space left on device", pause) for pause in (5.0, 10.0, 20.0)]
    is_full = False
    (one,) = watch.step()
    assert (one.outcome.error, one.pause) == (None, 0.0)
    assert list(watch.step()) == []
    assert not (tmp_path / "out/.decoding").exists()


def test_what_is_wrong_with_a_stream_is_final(tmp_path: Path, data: bytes, codec: Codec) -> None:
    (tmp_path / "in/cam").mkdir(parents=True)
    (tmp_path / "in/cam" / NAMES[0]).write_bytes(b"no stream")
    watch = Watch(tmp_path / "in", tmp_path / "out", Decoder(codec, "preview"))
    (one,) = watch.step()
    assert "not a .helio stream" in str(one.outcome.error)
    assert one.pause == 0.0
    assert list(watch.step()) == []


def test_a_full_disk_of_pictures_is_waited_for(
    tmp_path: Path, data: bytes, codec_folder: Path, mount_disk: Callable[[int], Path]
) -> None:
    disk = mount_disk(64)
    (disk / "ballast").write_bytes(bytes(60 << 10))
    (tmp_path / "in/cam").mkdir(parents=True)
    command = [sys.executable, "-m", "heliograph", "receive", "--watch", str(tmp_path / "in"), "--json"]
    command += ["--pictures", str(disk), "--codec", str(codec_folder), "--decoder", "preview"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    (tmp_path / "in/cam" / NAMES[0]).write_bytes(data)
    told = json.loads(process.stdout.readline())
    assert (told["event"], told["again_in"]) == ("undecoded", 5.0)
    assert "No space left on device" in told["reason"]
    (disk / "ballast").unlink()
    assert json.loads(process.stdout.readline())["event"] == "decoded"
    assert [path.suffix for path in (disk / "cam").iterdir()] == [".png"]
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


KILLED = """
import os, signal, sys
from pathlib import Path
from heliograph.codec.codec import Codec
from heliograph.server.decoders import Decoder
from heliograph.server.watch import Watch

class Dying(Decoder):
    def values(self, stream, *, partial=False, file=None):
        if Path(file).name == sys.argv[4]:
            os.kill(os.getpid(), signal.SIGKILL)  # as the system does when memory ends
        return super().values(stream, partial=partial, file=file)

watch = Watch(Path(sys.argv[1]), Path(sys.argv[2]), Dying(Codec(Path(sys.argv[3])), "preview"))
while seen := list(watch.step()):
    print(*(one.stream.name for one in seen), flush=True)
"""


def test_a_stream_that_kills_its_decoder_costs_no_other(
    tmp_path: Path,
    arrive: Arrive,
    data: bytes,
    codec_folder: Path,
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    for name in NAMES[:5]:
        arrive(tmp_path / "in", "cam", name, data, [(0, len(data))])
    arguments = (tmp_path / "in", tmp_path / "out", codec_folder, NAMES[2])
    done = [run_python(KILLED, *arguments) for _ in range(2)]
    assert [one.returncode for one in done] == [-signal.SIGKILL] * 2
    last = run_python(KILLED, *arguments)
    assert last.returncode == 0, last.stderr
    assert f"set aside: {tmp_path}/in/cam/{NAMES[2]} was being decoded each time" in last.stderr
    made = {path.name for path in (tmp_path / "out/cam").glob("*.png")}
    assert made == {name.replace(".helio", ".png") for name in NAMES[:5] if name != NAMES[2]}
    arrive(tmp_path / "in", "cam", NAMES[5], data, [(0, len(data))])
    again = run_python(KILLED, *arguments)
    assert again.stdout.split() == [NAMES[5]]


def test_who_was_in_hand_is_noted_and_set_aside_ever_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = ("cam", "a.helio"), ("cam", "b.helio")
    attempts = Attempts(tmp_path)
    with attempts.of([one]):
        first = (tmp_path / ".decoding").read_bytes()
    assert not (tmp_path / ".decoding").exists()
    (tmp_path / ".decoding").write_bytes(first)  # as a process leaves it that is killed meanwhile
    attempts = Attempts(tmp_path)
    assert (attempts.is_suspect(one), attempts.is_due(one), attempts.aside()) == (True, True, [])
    with attempts.of([one]):
        second = (tmp_path / ".decoding").read_bytes()
    assert not attempts.is_suspect(one)
    (tmp_path / ".decoding").write_bytes(second)
    attempts = Attempts(tmp_path)
    assert (attempts.aside(), attempts.is_due(one), attempts.is_due(other)) == ([one], False, True)
    assert attempts._pauses.failed(one) == 2 * ASIDE
    with attempts.of([other]):  # who is set aside is not forgotten
        pass
    assert Attempts(tmp_path).aside() == [one]
    (tmp_path / ".decoding").write_bytes(b"[1, damaged")
    assert Attempts(tmp_path).aside() == []
