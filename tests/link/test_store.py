"""The receiver's disk: a cut at any moment leaves whole streams whole, and partial ones as acknowledged."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from heliograph.errors import NotNowError, OutputError
from heliograph.link.transfer.ledger import Held, Ledger
from heliograph.link.transfer.store import Shelf, Store

DATA = bytes(range(256)) * 8
DIGEST = hashlib.sha256(DATA).digest()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path, "cam")


def test_a_partial_stream_is_found_again(shelf: Shelf) -> None:
    partial = shelf.open("a.helio", len(DATA), DIGEST)
    for start, stop in ((0, 100), (100, 300), (1000, 1200)):
        partial.write(start, DATA[start:stop])
    assert list(partial.held) == []  # not before it is on the disk
    partial.sync()
    again = shelf.open("a.helio", len(DATA), DIGEST)
    assert list(again.held) == list(partial.held) == [(0, 300), (1000, 1200)]
    assert partial.data_path.read_bytes()[:300] == DATA[:300]
    again.write(300, DATA[300:])
    again.sync()
    assert again.is_whole
    assert shelf.finish(again)
    assert sorted(p.name for p in shelf.folder.iterdir()) == [".received", "a.helio"]
    assert (shelf.folder / "a.helio").read_bytes() == DATA
    assert shelf.holds("a.helio") == Held.of(DATA)


def test_any_cut_of_the_state_loses_the_end_only(shelf: Shelf) -> None:
    partial = shelf.open("a.helio", len(DATA), DIGEST)
    for start in (0, 500, 1500):
        partial.write(start, DATA[start : start + 100])
        partial.sync()
    state, data = partial.state_path.read_bytes(), partial.data_path.read_bytes()
    for size in range(len(state)):
        partial.state_path.write_bytes(state[:size])
        partial.data_path.write_bytes(data)
        found = shelf.open("a.helio", len(DATA), DIGEST)
        assert list(found.held) == [(0, 100), (500, 600), (1500, 1600)][: max(0, (size - 40) // 12)]
        found.write(200, DATA[200:300])  # goes on after a torn record
        found.sync()
        assert shelf.open("a.helio", len(DATA), DIGEST).held.covers(200, 300)


def test_bytes_that_are_not_on_the_disk_do_not_count(shelf: Shelf) -> None:
    partial = shelf.open("a.helio", len(DATA), DIGEST)
    partial.write(0, DATA)
    partial.sync()
    data = partial.data_path.read_bytes()
    for damaged in (data[:-1], data[:50] + bytes([data[50] ^ 1]) + data[51:], b""):
        partial.data_path.write_bytes(damaged)
        assert not shelf.open("a.helio", len(DATA), DIGEST).held.total


def test_another_version_starts_with_nothing(shelf: Shelf) -> None:
    partial = shelf.open("a.helio", len(DATA), DIGEST)
    partial.write(0, DATA[:1000])
    partial.sync()
    other = b"other" * 100
    second = shelf.open("a.helio", len(other), hashlib.sha256(other).digest())
    assert not second.held.total
    second.write(0, other)
    second.sync()
    assert shelf.finish(second)
    assert (shelf.folder / "a.helio").read_bytes() == other


def test_wrong_bytes_never_get_the_name(shelf: Shelf) -> None:
    partial = shelf.open("a.helio", len(DATA), DIGEST)
    partial.write(0, DATA[:-1] + b"\x00")
    partial.sync()
    assert partial.is_whole
    assert not shelf.finish(partial)
    assert [p.name for p in shelf.folder.iterdir()] == [".received"]
    assert shelf.holds("a.helio") is None


def test_what_was_moved_away_is_remembered_and_a_torn_line_forgotten(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "cam")
    for name in ("a.helio", "b.helio"):
        partial = shelf.open(name, len(DATA), DIGEST)
        partial.write(0, DATA)
        partial.sync()
        shelf.finish(partial)
        (shelf.folder / name).unlink()
    shelf.close()
    ledger = tmp_path / "cam/.received"
    ledger.write_bytes(ledger.read_bytes()[:-5])
    shelf = Shelf(tmp_path, "cam")
    assert shelf.holds("a.helio") == Held.of(DATA)
    assert shelf.holds("b.helio") is None
    assert ledger.read_bytes().endswith(b"a.helio\n")
    (shelf.folder / "c.helio").write_bytes(DATA)  # the power went between its name and its line
    assert shelf.holds("c.helio") == Held.of(DATA)
    shelf.close()


def test_what_is_remembered_is_bounded_while_a_process_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.link.transfer.ledger._REMEMBERED", 3)
    ledger = Ledger(tmp_path)
    for n in range(11):
        ledger.note(f"{n}.helio", Held.of(b"%d" % n))
        assert sum(f"{m}.helio" in ledger for m in range(11)) <= 6
    # Six at the most: at the 7th and at the 11th those before the last three are let go.
    assert [n for n in range(11) if f"{n}.helio" in ledger] == [8, 9, 10]
    lines = (tmp_path / ".received").read_text().splitlines()
    assert [line.split()[2] for line in lines] == ["8.helio", "9.helio", "10.helio"]
    with pytest.raises(NotNowError, match="in use by another"):
        Ledger(tmp_path)  # the new file is locked, too
    ledger.close()
    ledger = Ledger(tmp_path)
    assert ledger.get("9.helio") == Held.of(b"9")
    ledger.close()


def keep(store: Store, device: str) -> None:
    partial = store.open(device, "a.helio", len(DATA), DIGEST)
    partial.write(0, DATA)
    store.sync(device, partial)


def test_one_receiver_at_a_time(tmp_path: Path) -> None:
    first = Store(tmp_path)
    keep(first, "cam")
    second = Store(tmp_path)
    with pytest.raises(NotNowError, match="is in use by another heliograph receive; stop it"):
        second.shelf("cam")
    keep(second, "other")
    first.close()
    keep(second, "cam")


def test_a_device_gets_its_folder_with_its_first_bytes(tmp_path: Path) -> None:
    store = Store(tmp_path / "out")
    assert store.shelf("cam") is None
    partial = store.open("cam", "a.helio", len(DATA), DIGEST)
    store.sync("cam", partial)
    assert not (tmp_path / "out").exists()
    keep(store, "cam")
    assert store.shelf("cam") is not None


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"cannot keep .*file: File exists; move away what is there"):
        keep(Store(tmp_path / "file"), "cam")


def test_many_devices_do_not_use_up_descriptors(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for n in range(100):
        keep(store, f"cam-{n}")
    assert len(store._shelves) == 64
    keep(store, "cam-0")
    store.close()


def test_what_a_kill_left_of_a_whole_stream_is_removed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "cam")
    for name in ("a.helio", "b.helio", "c.helio"):
        partial = shelf.open(name, len(DATA), DIGEST)
        partial.write(0, DATA)
        partial.sync()
    (shelf.folder / "a.helio.partial").rename(shelf.folder / "a.helio")  # killed before its line was written
    state = (shelf.folder / "b.helio.state").read_bytes()
    assert shelf.finish(shelf.open("b.helio", len(DATA), DIGEST))
    (shelf.folder / "b.helio.state").write_bytes(state)  # killed before it was removed
    shelf.close()
    shelf = Shelf(tmp_path, "cam")
    assert sorted(p.name for p in shelf.folder.iterdir()) == [
        ".received",
        "a.helio",
        "b.helio",
        "c.helio.partial",
        "c.helio.state",
    ]
    assert shelf.open("c.helio", len(DATA), DIGEST).is_whole
    shelf.close()
