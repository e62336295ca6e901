"""The spool: order, room, a full disk, several processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from heliograph.codec import container
from heliograph.codec.thin import thin
from heliograph.device import spool as module
from heliograph.device import spool_times as times
from heliograph.device.spool import Spool
from heliograph.errors import SpoolError

ROUND = re.compile(r"20\d{6}T\d{6}\.\d{6}Z-[0-9a-f]{8}\.helio")


def make_stream(seed: int, *sizes: int) -> bytes:
    """Return a stream of random payloads, one for each layer; the spool never looks into them."""
    r = random.Random(seed)
    header = container.Header(bytes(8), 64, 64, 500, len(sizes))
    return container.pack(header, [r.randbytes(n) for n in sizes])


@pytest.fixture
def small_disk(mount_disk: Callable[[int], Path]) -> Path:
    """A file system of 128 KiB."""
    return mount_disk(128)


def test_streams_come_back_in_the_order_they_were_added(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new" / "spool")
    streams = [make_stream(n, 30, 20) for n in range(5)]
    names = [spool.add(data) for data in streams]
    assert names == spool.names() == sorted(names)
    assert [spool.read(name) for name in names] == streams
    for name, data in zip(names, streams, strict=True):
        assert ROUND.fullmatch(name)
        assert name[24:32] == hashlib.sha256(data).hexdigest()[:8]
    assert Spool(tmp_path / "new" / "spool").names() == names


def test_the_same_bytes_twice_are_two_pictures(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.add(b"same") < spool.add(b"same")
    assert len(spool.names()) == 2


def test_what_was_removed_is_gone_and_may_be_removed_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    name = spool.add(b"a")
    spool.remove(name)
    spool.remove(name)
    assert spool.names() == []
    with pytest.raises(
        SpoolError, match=rf"{name} is not in the spool .* any more: it was removed, or dropped"
    ):
        spool.read(name)


@pytest.mark.parametrize("name", ["../a.helio", ".a.helio", "a.png", ".spool", ""])
def test_names_that_no_stream_in_a_spool_has_are_refused(name: str, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for use in (spool.read, spool.remove):
        with pytest.raises(SpoolError, match="is no name of a stream in a spool; take one from names"):
            use(name)
    assert (tmp_path / ".spool").exists()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "folder.helio").mkdir()
    spool = Spool(tmp_path, max_bytes=100)
    name = spool.add(bytes(80))
    assert spool.names() == [name]
    spool.add(bytes(90))
    assert (tmp_path / "notes.txt").exists()
    assert (tmp_path / "folder.helio").exists()


def test_streams_of_other_names_wait_too_and_no_room_is_made_of_them(tmp_path: Path) -> None:
    others = {"holiday.helio": make_stream(1, 30, 20), "IMG_0002.helio": bytes(200)}
    for name, data in others.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / ".holiday.helio").write_bytes(b"half")
    spool = Spool(tmp_path, max_bytes=100)
    first = spool.add(bytes(80))
    assert spool.names() == [first, "IMG_0002.helio", "holiday.helio"]
    second = spool.add(bytes(90))
    assert spool.names() == [second, "IMG_0002.helio", "holiday.helio"]
    assert {name: spool.read(name) for name in others} == others
    spool.remove("holiday.helio")
    assert spool.names() == [second, "IMG_0002.helio"]


class Clock:
    """Stands in for datetime.datetime in the spool: a board's clock, set by hand."""

    def __init__(self, moments: list[str]) -> None:
        self.moments = moments

    def now(self, zone: object) -> Clock:
        return self

    def strftime(self, form: str) -> str:
        return self.moments.pop(0)

    strptime = staticmethod(datetime.strptime)


@pytest.fixture(autouse=True)
def unsynchronised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing keeps the clock right, on whatever machine this runs."""
    monkeypatch.setattr(times, "is_synchronised", lambda: False)


def test_names_rise_when_the_clock_steps_back_even_over_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, early = "20300101T000000.999999Z", "20200101T000000.000000Z"
    monkeypatch.setattr(module, "datetime", Clock([late, early, early, "20300102T000000.000000Z"]))
    first = Spool(tmp_path).add(b"a")
    Spool(tmp_path).remove(first)  # even its name is not in the folder any more
    names = [Spool(tmp_path).add(b"a") for _ in range(3)]
    assert [n[:23] for n in (first, *names)] == [
        late,
        "20300101T000001.000000Z",
        "20300101T000001.000001Z",
        "20300102T000000.000000Z",
    ]


def test_a_clock_that_was_far_ahead_is_mended_and_order_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    true = "20261201T000000.000000Z"
    ahead = ["20990101T000000.000000Z", "20990101T001000.000000Z"]
    mended = "20270101T000000.000000Z"
    monkeypatch.setattr(module, "datetime", Clock([true, *ahead, mended, "20270101T001000.000000Z", true]))
    spool = Spool(tmp_path)
    datas = [bytes([n]) for n in range(6)]
    for data in datas[:4]:
        spool.add(data)
    assert [n[:23] for n in spool.names()] == [
        true,
        mended,
        "20270101T000000.000001Z",
        "20270101T000000.000003Z",
    ]
    assert [spool.read(n) for n in spool.names()] == datas[:4]
    assert len(caplog.records) == 1
    assert (
        f"the clock was ahead, at {ahead[1]}, and says {mended} now: names go on there, 2 streams were renamed"
        in caplog.text
    )
    assert Spool(tmp_path).add(datas[4])[:23] == "20270101T001000.000000Z"
    assert Spool(tmp_path).add(datas[5])[:23] == "20270101T001000.000001Z"
    assert [spool.read(n) for n in spool.names()] == datas


def test_a_power_cut_while_names_are_mended_keeps_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = [f"2099010{n}T000000.000000Z" for n in range(1, 4)]
    clock = Clock([*ahead, "20270101T000000.000000Z", "20270101T001000.000000Z"])
    monkeypatch.setattr(module, "datetime", clock)
    spool = Spool(tmp_path)
    for n in range(3):
        spool.add(bytes([n]))
    rename, left = Path.rename, [2]

    def cut(path: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(5, "as good as off")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", cut)
    with pytest.raises(SpoolError, match="as good as off"):
        spool.add(b"never")
    assert [spool.read(n) for n in spool.names()] == [b"\0", b"\1", b"\2"]
    monkeypatch.setattr(Path, "rename", rename)
    spool = Spool(tmp_path)
    spool.add(bytes([3]))
    assert [spool.read(n) for n in spool.names()] == [b"\0", b"\1", b"\2", b"\3"]
    assert all(n.startswith("20270101T00") for n in spool.names())


def test_a_clock_set_back_by_less_than_a_year_is_believed_while_this_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ahead, now, later = "20270301T000000.000000Z", "20270101T000000.000000Z", "20270101T000500.000000Z"
    monkeypatch.setattr(module, "datetime", Clock([ahead, now, later]))
    spool = Spool(tmp_path)
    for n in range(3):
        spool.add(bytes([n]))
    assert [n[:23] for n in spool.names()] == [now, "20270101T000000.000002Z", later]
    assert [spool.read(n) for n in spool.names()] == [b"\0", b"\1", b"\2"]
    (record,) = caplog.records
    assert f"the clock was ahead, at {ahead}, and says {now} now" in record.getMessage()


@pytest.mark.parametrize(("is_right", "expected"), [(True, "20270101"), (False, "20270301")])
def test_after_a_restart_only_a_clock_that_is_kept_right_is_believed(
    is_right: bool, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "datetime", Clock(["20270301T000000.000000Z", "20270101T000000.000000Z"]))
    monkeypatch.setattr(times, "is_synchronised", lambda: is_right)
    names = [Spool(tmp_path).add(bytes([n])) for n in range(2)]
    assert names[1][:8] == expected
    assert [Spool(tmp_path).read(n) for n in Spool(tmp_path).names()] == [b"\0", b"\1"]


@pytest.mark.parametrize("clock", ["20380119T031407.000000Z", "20270601T000000.000000Z"])
def test_an_empty_spool_goes_on_from_the_clock(
    clock: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [f"20261129T1{n}0000.000000Z" for n in range(3)]
    monkeypatch.setattr(module, "datetime", Clock([clock, *now]))
    spool = Spool(tmp_path)
    spool.remove(spool.add(b"a"))
    names = [Spool(tmp_path).add(b"b")[:23] for _ in range(3)]
    assert names == ["20261129T100000.000001Z", *now[1:]]
    (record,) = caplog.records
    assert (
        f"at {clock}, and says {now[0]} now: names go on there, 0 streams were renamed" in record.getMessage()
    )


def test_streams_from_before_the_clock_was_set_get_their_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    early = ["19700101T000100.000000Z", "19700101T000200.000000Z"]
    monkeypatch.setattr(module, "datetime", Clock([*early, "20261201T000300.000000Z"]))
    seconds = iter([60.0, 120.0, 180.0])
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    spool = Spool(tmp_path)
    for n in range(3):
        spool.add(bytes([n]))
    monkeypatch.undo()
    assert [n[:23] for n in spool.names()] == [f"20261201T000{n}00.000000Z" for n in (1, 2, 3)]
    assert [spool.read(n) for n in spool.names()] == [b"\0", b"\1", b"\2"]
    (record,) = caplog.records
    assert "2 streams were given their times" in record.getMessage()


def test_the_system_is_asked_whether_it_keeps_the_clock_right(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_python("from heliograph.device.spool_times import is_synchronised as f; print(f())")
    assert done.stdout in ("True\n", "False\n")
    assert done.returncode == 0


def test_a_clock_that_is_not_set_mends_nothing_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    early = "19700101T000013.000000Z"
    monkeypatch.setattr(module, "datetime", Clock(["20301201T000000.000000Z", early, early]))
    spool = Spool(tmp_path)
    names = [spool.add(b"a") for _ in range(3)]
    assert [n[:23] for n in names] == [
        "20301201T000000.000000Z",
        "20301201T000000.000001Z",
        "20301201T000000.000002Z",
    ]
    (record,) = caplog.records
    assert f"the clock says {early}, and names go on from 20301201T000000.000000Z" in record.getMessage()


@pytest.mark.parametrize(
    "moment", ["99991231T235959.999999Z", "99991231T235959.999998Z", "99999999T999999.999999Z"]
)
def test_a_name_from_the_end_of_time_stops_nothing(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{moment}-01234567.helio").write_bytes(b"put there")
    now = "20270101T000000.000000Z"
    monkeypatch.setattr(module, "datetime", Clock([now, now, now]))
    names = [Spool(tmp_path).add(b"a")[:18] for _ in range(3)]
    assert names == [now[:18]] * 3


def test_a_lost_or_damaged_file_of_the_last_time_is_made_from_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, early = "20300101T000000.000005Z", "20200101T000000.000000Z"
    monkeypatch.setattr(module, "datetime", Clock([late, early]))
    Spool(tmp_path).add(b"a")
    (tmp_path / ".spool").write_bytes(b"\xff\0garbage")
    assert Spool(tmp_path).add(b"b")[:23] == "20300101T000000.000006Z"


def test_room_is_made_by_thinning_the_oldest_before_dropping_any(tmp_path: Path) -> None:
    streams = [make_stream(n, 100, 200, 300) for n in range(4)]
    size = len(streams[0])  # 600 bytes of payload and about 40 of header and checksums
    spool = Spool(tmp_path, max_bytes=3 * size)
    names = [spool.add(data) for data in streams[:3]]
    assert [spool.read(n) for n in names] == streams[:3]

    names.append(spool.add(streams[3]))  # 640 bytes needed: both layers of the first and one of the second
    assert spool.names() == names
    assert [spool.read(n) for n in names] == [thin(streams[0], 1), thin(streams[1], 2), *streams[2:]]

    while len(spool.names()) == len(names):  # until the first is dropped, each holds at least its base
        streams.append(make_stream(len(streams), 100, 200, 300))
        names.append(spool.add(streams[-1]))
        held = [spool.read(n) for n in spool.names()]
        assert sum(map(len, held)) <= 3 * size
    bases = [len(thin(data, 1)) for data in streams]
    assert held == [thin(data, 1) for data in streams[1:]]  # the first is gone, all others are at their base
    assert sum(bases) > 3 * size  # and it had to go


def test_the_new_stream_is_thinned_before_an_old_base_is_dropped(tmp_path: Path) -> None:
    old, new = make_stream(0, 400, 10), make_stream(1, 100, 400)
    spool = Spool(tmp_path, max_bytes=700)
    names = [spool.add(old), spool.add(new)]
    assert [spool.read(n) for n in names] == [thin(old, 1), thin(new, 1)]


def test_what_cannot_be_thinned_is_kept_or_dropped_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1000)
    first = spool.add(make_stream(0, 400))
    damaged = bytearray(make_stream(1, 100, 100, 100))
    damaged[-300] ^= 1  # in its base: no good checksum may be put on it
    second = spool.add(bytes(damaged))
    third = spool.add(make_stream(2, 100))
    assert [spool.read(n) for n in (first, second, third)] == [
        make_stream(0, 400),
        bytes(damaged),
        make_stream(2, 100),
    ]
    fourth = spool.add(make_stream(3, 300))
    assert spool.names() == [second, third, fourth]
    assert spool.read(second) == bytes(damaged)


def test_a_stream_larger_than_the_spool_is_refused_and_nothing_is_given_up(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1000)
    name = spool.add(make_stream(0, 300, 300))
    with pytest.raises(
        SpoolError, match=r"of 1\d\d\d bytes, 1\d\d\d in its base layer, is more than .* 1000"
    ):
        spool.add(make_stream(1, 1000, 100))
    assert spool.read(name) == make_stream(0, 300, 300)
    with pytest.raises(SpoolError, match="a spool of 0 bytes can hold nothing"):
        Spool(tmp_path, max_bytes=0)


def test_a_smaller_bound_takes_effect_with_the_next_stream(tmp_path: Path) -> None:
    for n in range(5):
        Spool(tmp_path).add(make_stream(n, 100, 100))
    spool = Spool(tmp_path, max_bytes=500)
    spool.add(make_stream(9, 100))
    assert sum(len(spool.read(n)) for n in spool.names()) <= 500


def test_everything_is_flushed_before_it_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order a power cut asks for: the file's bytes, its name, the folder. A kill cannot show this."""
    spool = Spool(tmp_path)
    done: list[str] = []

    def record(name: str) -> None:
        real = getattr(os, name)

        def call(descriptor: int) -> None:
            target = Path(f"/proc/self/fd/{descriptor}").readlink()
            done.append(f"{name} {'folder' if target == tmp_path else target.suffix or target.name}")
            real(descriptor)

        monkeypatch.setattr(os, name, call)

    record("fsync")
    record("fdatasync")
    real_replace, real_unlink = Path.replace, Path.unlink

    def replace(path: Path, target: Path) -> Path:
        done.append("rename")
        return real_replace(path, target)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        done.append("unlink")
        real_unlink(path, missing_ok)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(Path, "unlink", unlink)
    name = spool.add(b"a")
    assert done == ["fdatasync .spool", "fsync .partial", "rename", "fsync folder"]
    done.clear()
    spool.remove(name)
    assert done == ["unlink", "fsync folder"]


def test_a_full_disk_gives_up_the_oldest_of_a_bounded_spool(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool", max_bytes=1 << 30)
    streams = [make_stream(n, 5000, 9000) for n in range(20)]  # 16 KiB of blocks each: 8 fit at most
    names = [spool.add(data) for data in streams]
    left = spool.names()
    assert left == names[-len(left) :]
    assert len(left) >= 8
    held = [spool.read(n) for n in left]
    assert held[-1] == streams[-1]
    for data, whole in zip(held, streams[-len(left) :], strict=True):
        assert data in (whole, thin(whole, 1))


def test_a_full_disk_on_which_nothing_can_be_thinned_drops_for_the_bound(small_disk: Path) -> None:
    streams = [make_stream(n, 9000, 9000) for n in range(4)]
    spool = Spool(small_disk / "spool", max_bytes=4 * len(streams[0]))
    names = [spool.add(data) for data in streams]
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as handle:
        while handle.write(bytes(4096)):
            pass
    new = make_stream(9, 9000, 3000)  # the first would be thinned for it, and there is no room to write that
    names.append(spool.add(new))
    assert spool.names() == names[1:]
    assert [spool.read(n) for n in names[1:]] == [*streams[1:], new]


def test_a_full_disk_makes_an_unbounded_spool_refuse_and_lose_nothing(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool")
    streams = [make_stream(n, 5000, 9000) for n in range(20)]
    names: list[str] = []

    def fill() -> None:
        for data in streams:
            names.append(spool.add(data))

    full = r"the disk of the spool .* is full: no room for 14\d\d\d bytes after \d+ layers and 0 "
    with pytest.raises(SpoolError, match=full):
        fill()
    assert spool.names() == names
    assert len(names) >= 7
    for name, whole in zip(names, streams, strict=False):
        assert spool.read(name) in (whole, thin(whole, 1))
    assert [p for p in spool.folder.iterdir() if p.name.endswith(".partial")] == []
    spool.remove(names[0])
    spool.remove(names[1])
    names.append(spool.add(streams[-1]))
    assert spool.names() == names[2:]


def test_a_disk_filled_by_another_program_does_not_eat_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, max_bytes=1 << 20)
    names = [spool.add(bytes(10_000)) for _ in range(20)]

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "replace_whole", full)
    with pytest.raises(SpoolError, match="no room for 1000 bytes after 0 layers and 2 streams were given up"):
        spool.add(bytes(1000))
    assert spool.names() == names[2:]


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SpoolError, match=r"cannot open the spool .*file.*; check the disk"):
        Spool(tmp_path / "file" / "spool")


def test_threads_with_spools_of_their_own_do_not_disturb_each_other(tmp_path: Path) -> None:
    """As capture and send do from two processes: one adds and thins, one reads and removes."""
    size = len(make_stream(0, 100, 200))
    taken: dict[str, bytes] = {}
    added: dict[str, bytes] = {}
    is_over = threading.Event()

    def send() -> None:
        spool = Spool(tmp_path, max_bytes=20 * size)
        while not is_over.is_set() or spool.names():
            for name in spool.names()[:1]:
                try:
                    data = spool.read(name)
                except SpoolError:
                    continue  # dropped meanwhile
                assert name not in taken
                taken[name] = data
                spool.remove(name)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        spool = Spool(tmp_path, max_bytes=20 * size)
        for n in range(100):
            data = make_stream(n, 100, 200)
            added[spool.add(data)] = data
    finally:
        is_over.set()
        sender.join()
    assert taken.keys() <= added.keys()
    assert len(taken) >= 20
    for name, data in taken.items():
        assert data in (added[name], thin(added[name], 1))


def kill_writers(folder: Path, *arguments: int) -> dict[str, int]:
    program = Path(__file__).with_name("kill_writers.py")
    command = [sys.executable, str(program), str(folder), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_killed_writers_leave_whole_streams_and_all_that_were_acknowledged(tmp_path: Path) -> None:
    assert kill_writers(tmp_path / "spool", 24, 1)["acknowledged"] >= 8


def test_killed_writers_and_senders_of_a_full_spool_keep_its_promises(tmp_path: Path) -> None:
    found = kill_writers(tmp_path / "spool", 24, 2, 60_000)
    assert found["acknowledged"] >= 8


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [(600, 3), (600, 4, 60_000)], ids=["unbounded", "full"])
def test_killed_hundreds_of_times(arguments: tuple[int, ...], tmp_path: Path) -> None:
    found = kill_writers(tmp_path / "spool", *arguments)
    assert found["acknowledged"] >= 200
    assert found["leftovers removed"] >= 20
    if len(arguments) > 2:
        assert found["thinned seen"] >= 20
        assert found["dropped for room"] >= 1


def foreign(folder: Path) -> dict[str, Path]:
    """Put things that are no plain files under names of streams, older than any; return what they are."""
    names = {
        what: f"20200101T000000.00000{n}Z-0badcafe.helio" for n, what in enumerate(("link", "folder", "pipe"))
    }
    (folder / names["link"]).symlink_to("/dev/zero")
    (folder / names["folder"]).mkdir()
    os.mkfifo(folder / names["pipe"])
    (folder / ".x.partial").mkdir()
    (folder / ".y.partial").symlink_to("/etc/passwd")
    return {what: folder / name for what, name in names.items()}


def test_links_folders_and_pipes_are_passed_by(tmp_path: Path) -> None:
    put = foreign(tmp_path)
    spool = Spool(tmp_path, max_bytes=2000)
    names = [spool.add(make_stream(n, 200, 300)) for n in range(8)]
    assert spool.names() == names[-len(spool.names()) :]
    assert sum(len(spool.read(name)) for name in spool.names()) <= 2000
    assert Spool(tmp_path).names() == spool.names()
    assert put["link"].is_symlink()
    assert put["folder"].is_dir()
    assert put["pipe"].is_fifo()
    assert (tmp_path / ".y.partial").is_symlink()
    with pytest.raises(SpoolError, match="is a link, which is never followed; remove it"):
        spool.read(put["link"].name)


def test_a_full_disk_passes_them_by_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = foreign(tmp_path)
    spool = Spool(tmp_path, max_bytes=1 << 20)
    names = [spool.add(bytes(10_000)) for _ in range(4)]

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "replace_whole", full)
    with pytest.raises(SpoolError, match="and 2 streams were given up"):
        spool.add(bytes(1000))
    assert spool.names() == names[2:]
    assert all(os.path.lexists(path) for path in put.values())


def test_a_link_in_place_of_the_last_time_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"a file of somebody else")
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool/.spool").symlink_to(tmp_path / "mine")
    with pytest.raises(
        SpoolError, match=r"cannot open the spool .*\.spool is a link, which is never followed; remove"
    ):
        Spool(tmp_path / "spool")
    assert (tmp_path / "mine").read_bytes() == b"a file of somebody else"
    (tmp_path / "spool/.spool").unlink()
    os.mkfifo(tmp_path / "spool/.spool")
    with pytest.raises(SpoolError, match=r"\.spool is no plain file; remove it"):
        Spool(tmp_path / "spool")
