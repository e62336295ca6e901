"""The soak of the receivers: small ones run, and what breaks a promise is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("serial")
pytest.importorskip("cobs")
pytest.importorskip("cryptography")

from heliograph.bench.soak import main, options_of
from heliograph.bench.soak_field import Device, Picture
from heliograph.bench.soak_plan import Plan
from heliograph.bench.soak_receivers import Ballast, ReceiverProcess, Sample, small_disk
from heliograph.bench.soak_report import Run

PLAN = Plan.of(options_of(["--minutes", "10", "--devices", "4", "--lines", "2", "--fills", "1"]))


def test_a_small_soak_keeps_its_promises(capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--minutes", "0.06", "--devices", "3", "--lines", "1", "--fills", "0"]
    pace = ["--every", "1", "--cut-every", "300", "--flood-every", "0.5", "--baud", "460800"]
    assert main([*size, *pace]) == 0
    out = capsys.readouterr().out
    found = re.search(
        r"(\d+) pictures made, (\d+) confirmed, (\d+) on the disk bit for bit, 0 confirmed", out
    )
    assert found is not None
    assert len({*found.groups()}) == 1
    assert int(found[1]) >= 3  # in 3.6 s, each device about every second
    assert "All promises were kept." in out
    floods = re.search(r"(\d+) floods", out)
    assert floods is not None
    assert int(floods[1]) >= 1


@pytest.mark.slow
def test_a_soak_without_keys_on_a_disk_that_fills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with small_disk(tmp_path, 1 << 20) as is_mounted:
        pass
    if not is_mounted:
        pytest.skip("mounting a small file system needs root")
    size = ["--minutes", "1", "--devices", "8", "--lines", "2", "--fills", "1", "--full-for", "8"]
    assert main([*size, "--every", "4", "--cut-every", "20", "--flood-every", "5"]) == 0
    out = capsys.readouterr().out
    assert "All promises were kept." in out
    refused = re.search(r"paused (\d+)", out)
    assert refused is not None
    assert int(refused[1]) > 0


def test_the_bound_is_the_sum_of_what_may_hold_a_picture_up() -> None:
    """Ten minutes, the disk full for 90 s from 240 s on; two devices share 11520 bytes a second, half for floods."""
    usual = {"a look": 1, "cuts": 3 * (8 + 15 + 25 + 5), "floods": 3 * 10, "others": 2 * 12200 * 4 / 5760}
    early, near = PLAN.terms(0.0, is_keyed=True), PLAN.terms(240.0, is_keyed=True)
    assert sum(early.values()) == pytest.approx(sum(usual.values()))
    gathered = 2 * (90 + 160) / 60 * 12200 * 4 / 5760
    assert sum(near.values()) == pytest.approx(sum(usual.values()) + 90 + (100 + 60) + gathered)
    assert sum(PLAN.terms(0.0, is_keyed=False).values()) == pytest.approx(sum(usual.values()) + 10 + 20)
    assert [PLAN.is_full(at) for at in (239, 241, 329, 331)] == [False, True, True, False]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Ten minutes of a device with a picture that arrived, and of a receiver that took the same all the time."""
    whole = b"a picture"
    (tmp_path / "out/cam-00").mkdir(parents=True)
    (tmp_path / "out/cam-00/a.helio").write_bytes(whole)
    device = Device("cam-00", bytes(32), every=60, cut_every=60, now=0.0, seed=1)
    receiver = ReceiverProcess("keyed-0", 9, tmp_path / "out", tmp_path / "log")
    (digest,) = receiver.kept()["cam-00"]
    device.pictures["a.helio"] = Picture(digest, len(whole), made=100.0, confirmed=105.0)
    device.told["paused"] = 1
    receiver.samples = [Sample(float(at), 50_000_000, 10, 10 * at) for at in range(0, 601, 10)]
    receiver.end()
    return Run(PLAN, 0.0, [device], [], [receiver])


def test_a_run_without_fault_breaks_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.show() == []
    assert (
        "1 pictures made, 1 confirmed, 1 on the disk bit for bit, 0 confirmed and lost"
        in capsys.readouterr().out
    )


def test_what_is_lost_or_late_breaks_a_promise(run: Run) -> None:
    (device,), (receiver,) = run.devices, run.receivers
    device.pictures["a.helio"].confirmed = 100.0 + 900.0
    assert run.show() == ["a picture of cam-00 was confirmed after 900.0 s"]
    path = receiver.out / "cam-00/a.helio"
    (receiver.out / "cam-00/b.helio").write_bytes(path.read_bytes())
    assert "1 there twice" in run.show()[0]
    (receiver.out / "cam-00/b.helio").unlink()
    path.write_bytes(b"b picture")
    assert "0 on the disk bit for bit, 1 confirmed and lost" in run.show()[0]
    device.pictures["a.helio"].confirmed = None
    assert "1 never confirmed" in run.show()[0]
    device.told.clear()
    assert "no device was told so" in run.show()[1]


def test_a_receiver_that_grows_or_ends_breaks_a_promise(run: Run) -> None:
    (receiver,) = run.receivers
    for n in (-1, -2):
        receiver.samples[n] = Sample(600.0, 55_000_000, 19, 6000 + 2 * PLAN.most_log)
    receiver.has_died = True
    assert [text.split(":")[0] for text in run.show()] == [
        "receiver keyed-0 ended",
        "memory of keyed-0 grew by 10.0%",
        "keyed-0 had 19 files open, expected 18 at most",
        f"keyed-0 logged {6000 + 2 * PLAN.most_log - 5400} bytes in a minute",
    ]


def test_a_receiver_process_is_sampled_and_ended(tmp_path: Path) -> None:
    receiver = ReceiverProcess("plain-0", 9, tmp_path / "out", tmp_path / "log")
    receiver.sample(1.0)
    (sample,) = receiver.samples
    assert sample.memory > 0
    assert sample.files >= 3
    receiver.process.kill()
    receiver.process.wait()
    receiver.end()
    assert receiver.has_died


def test_ballast_takes_a_small_disk_and_frees_it(tmp_path: Path) -> None:
    with small_disk(tmp_path, 1 << 20) as is_mounted:
        if not is_mounted:
            pytest.skip("mounting a small file system needs root")
        ballast = Ballast(tmp_path / "ballast")
        ballast.fill()
        assert (tmp_path / "ballast").stat().st_size == 1 << 20
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "more").write_bytes(bytes(4096))
        ballast.empty()
        (tmp_path / "more").write_bytes(bytes(4096))
    assert not tmp_path.is_mount()


def test_a_line_without_devices_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--devices", "2", "--lines", "3"]) == 2
    assert "give each line a device" in capsys.readouterr().err
