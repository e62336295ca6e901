"""The catalogue of a receiver's folder: which picture each stream is, found from the files whatever happens to it."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.link.hostile import Speaker

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packed
from heliograph.codec.registry import Registry
from heliograph.link.transfer.quota import Quotas
from heliograph.link.transfer.receiver import Receiver
from heliograph.link.transfer.store import Store
from heliograph.link.wire.messages import Announce, Data, Done, Reject
from heliograph.server import catalogue as module
from heliograph.server.catalogue import Catalogue
from heliograph.server.catalogue_file import NAME, VERSION

Make = Callable[[], Catalogue]
NAMES = [f"2026010{n + 1}T120000.500000Z-0000000{n}.helio" for n in range(4)]
NOON = 1767268800.5  # of the first of these names


@pytest.fixture
def make(tmp_path: Path, codec: Codec) -> Make:
    """Make a catalogue of the folder `in`, as another process would."""
    (tmp_path / "in/cam").mkdir(parents=True)
    return lambda: Catalogue(tmp_path / "in", Registry([codec]))


def put(folder: Path, number: int, packed: list[Packed], device: str = "cam") -> Path:
    path = folder / "in" / device / NAMES[number]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(packed[number].data)
    return path


def rows(folder: Path, columns: str) -> list[tuple[object, ...]]:
    """Return what is in the file, by another connection."""
    database = sqlite3.connect(folder / "in" / NAME)
    try:
        return database.execute(f"SELECT {columns} FROM streams ORDER BY device, name").fetchall()
    finally:
        database.close()


def ids(packed: list[Packed]) -> list[bytes]:
    return [one.as_reference().picture_id for one in packed]


def test_a_reference_is_found_with_all_that_it_builds_on_and_is_decoded_once(
    make: Make, tmp_path: Path, packed: list[Packed], codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        put(tmp_path, number, packed)
    header = container.open(packed[3].data).header
    file = tmp_path / "in/cam" / NAMES[3]
    found = make().find(header, file)
    assert found is not None
    assert (found.picture_id, found.depth) == (ids(packed)[2], 2)
    assert np.array_equal(found.values, packed[2].values)
    assert [picture for (picture,) in rows(tmp_path, "picture")] == [*ids(packed)[:3], None]
    decoded: list[Path] = []
    read = module._read
    monkeypatch.setattr(module, "_read", lambda path: decoded.append(path) or read(path))  # type: ignore[func-returns-value]
    assert make().find(header, file) is not None
    assert [path.name for path in decoded] == [NAMES[2], NAMES[1], NAMES[0]]  # no other is tried
    columns = "device, name, taken, codec, width, height, level, depth, reference, missing"
    first, *_, last = rows(tmp_path, columns)
    assert first == ("cam", NAMES[0], NOON, codec.id, 97, 61, packed[0].level, 0, None, 0)
    assert last == (
        "cam",
        NAMES[3],
        NOON + 3 * 86400,
        codec.id,
        97,
        61,
        packed[3].level,
        3,
        ids(packed)[2],
        0,
    )


def test_what_is_missing_is_noted_and_found_when_it_comes_whatever_comes_first(
    make: Make, tmp_path: Path, packed: list[Packed]
) -> None:
    catalogue = make()
    for number in (3, 2):
        path = put(tmp_path, number, packed)
        assert catalogue.find(container.open(packed[number].data).header, path) is None
    assert catalogue.missing() == {("cam", NAMES[2]), ("cam", NAMES[3])}
    assert make().missing() == {("cam", NAMES[2]), ("cam", NAMES[3])}
    assert sorted(catalogue.lacks("cam")) == sorted([ids(packed)[1], ids(packed)[2]])
    assert catalogue.lacks("another") == []
    put(tmp_path, 1, packed)
    assert ("cam", NAMES[2]) in catalogue.missing()  # now that one waits for the first
    put(tmp_path, 0, packed)
    assert catalogue.missing() == set()
    assert make().lacks("cam") == []
    (tmp_path / "in/cam" / NAMES[1]).unlink()
    again = make()
    assert again.find(container.open(packed[2].data).header, tmp_path / "in/cam" / NAMES[2]) is None
    assert again.missing() == {("cam", NAMES[2])}


def test_a_receiver_that_has_not_begun_lacks_nothing(tmp_path: Path, codec: Codec) -> None:
    catalogue = Catalogue(tmp_path / "none", Registry([codec]))
    assert (catalogue.missing(), catalogue.lacks("cam")) == (set(), [])
    assert not (tmp_path / "none").exists()
    (tmp_path / "none/cam").mkdir(parents=True)
    catalogue.missing()
    assert (tmp_path / "none" / NAME).is_file()


@pytest.mark.parametrize(
    "harm", ["gone", "text", "older", "torn", "empty", "deleted while open", "torn while open"]
)
def test_a_catalogue_that_is_gone_damaged_or_older_is_made_anew(
    harm: str, make: Make, tmp_path: Path, packed: list[Packed]
) -> None:
    for number in range(4):
        put(tmp_path, number, packed)
    header, file = container.open(packed[3].data).header, tmp_path / "in/cam" / NAMES[3]
    catalogue, path = make(), tmp_path / "in" / NAME
    assert catalogue.find(header, file) is not None
    whole = path.read_bytes()
    if harm == "text":
        path.write_text("not a database, but as long as one would be\n" * 100)
    elif harm == "older":
        database = sqlite3.connect(path)
        database.executescript(f"DROP TABLE folders; PRAGMA user_version = {VERSION - 1}")
        database.close()
    elif harm.startswith("torn"):
        path.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    elif harm == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    if not harm.endswith("open"):
        catalogue = make()
    put(tmp_path, 0, packed, "other")
    catalogue.look()
    found = catalogue.find(header, file)
    assert found is not None
    assert found.picture_id == ids(packed)[2]
    again = make()
    assert again.find(header, file) is not None
    assert len(rows(tmp_path, "name")) == 5


def test_what_the_catalogue_says_is_checked(make: Make, tmp_path: Path, packed: list[Packed]) -> None:
    for number in range(4):
        put(tmp_path, number, packed)
    make().look()
    database = sqlite3.connect(tmp_path / "in" / NAME)
    database.execute("UPDATE streams SET picture = ? WHERE name = ?", (ids(packed)[2], NAMES[0]))
    database.commit()
    database.close()
    header, file = container.open(packed[3].data).header, tmp_path / "in/cam" / NAMES[3]
    found = make().find(header, file)
    assert found is not None
    assert np.array_equal(found.values, packed[2].values)
    assert rows(tmp_path, "picture")[0] == (ids(packed)[0],)


def test_files_that_changed_or_are_none_are_followed(
    make: Make, tmp_path: Path, packed: list[Packed]
) -> None:
    catalogue = make()
    path = put(tmp_path, 0, packed)
    catalogue.learn(ids(packed)[0], path)
    assert rows(tmp_path, "name, picture") == [(NAMES[0], ids(packed)[0])]
    other = path.with_name("other")
    other.write_bytes(packed[1].data)
    other.replace(path)
    (tmp_path / "in/cam/link.helio").symlink_to(path)
    (tmp_path / "in/cam/bad.helio").write_bytes(b"nothing")
    os.mkfifo(tmp_path / "in/cam/pipe.helio")
    (tmp_path / "in/.hidden").mkdir()
    (tmp_path / "in/.hidden" / NAMES[0]).write_bytes(packed[0].data)
    catalogue.look()
    assert rows(tmp_path, "name, picture, depth") == [(NAMES[0], None, 1), ("bad.helio", None, None)]
    for file in (path, tmp_path / "in/cam/bad.helio"):
        file.unlink()
    catalogue.look()
    assert rows(tmp_path, "name") == []
    put(tmp_path, 0, packed, "gone")
    catalogue.look()
    assert rows(tmp_path, "device") == [("gone",)]
    (tmp_path / "in/gone" / NAMES[0]).unlink()
    (tmp_path / "in/gone").rmdir()
    catalogue.look()
    assert rows(tmp_path, "device") == []


def test_a_damaged_candidate_is_tried_once_and_hides_no_other(
    make: Make, tmp_path: Path, packed: list[Packed], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = put(tmp_path, 0, packed)
    damaged = bytearray(packed[0].data)
    damaged[-1] ^= 1
    (good.parent / "20260101T130000.000000Z-bad.helio").write_bytes(damaged)
    header, file = container.open(packed[1].data).header, put(tmp_path, 1, packed)
    catalogue = make()
    assert catalogue.find(header, file) is not None
    assert [d for (d,) in rows(tmp_path, "damaged")] == [0, 1, 0]


def test_a_candidate_whose_codec_is_not_here_yet_is_tried_when_the_catalogue_is_opened_again(
    make: Make, tmp_path: Path, packed: list[Packed]
) -> None:
    put(tmp_path, 0, packed)
    header, file = container.open(packed[1].data).header, put(tmp_path, 1, packed)
    assert Catalogue(tmp_path / "in", Registry()).find(header, file) is None
    assert rows(tmp_path, "damaged")[0] == (2,)
    found = make().find(header, file)
    assert found is not None
    assert found.picture_id == ids(packed)[0]


def test_where_nothing_can_be_written_it_is_kept_in_memory(
    make: Make, tmp_path: Path, packed: list[Packed], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in" / NAME).mkdir()
    put(tmp_path, 0, packed)
    with caplog.at_level(logging.WARNING):
        catalogue = make()
        assert catalogue.find(container.open(packed[1].data).header, put(tmp_path, 1, packed)) is not None
        catalogue.look()
    assert len(caplog.messages) == 1
    assert "is kept in memory: " in caplog.messages[0]


def test_a_stream_that_claims_to_build_on_itself_ends(
    make: Make, tmp_path: Path, packed: list[Packed]
) -> None:
    # Where nothing has changed a picture's values, and so its id, are those of what it refers to.
    still = tmp_path / "in/cam" / NAMES[2]
    put(tmp_path, 0, packed)
    put(tmp_path, 1, packed).rename(still)
    catalogue = make()
    catalogue.look()
    database = sqlite3.connect(tmp_path / "in" / NAME)
    database.execute("UPDATE streams SET picture = ?", (ids(packed)[0],))
    database.commit()
    database.close()
    found = catalogue.find(container.open(packed[1].data).header, still)
    assert found is not None
    assert found.picture_id == ids(packed)[0]


def test_processes_share_a_catalogue(
    make: Make, tmp_path: Path, packed: list[Packed], codec_folder: Path
) -> None:
    for number in range(1, 4):
        put(tmp_path, number, packed)
    script = """
import sys
from pathlib import Path
from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.registry import Registry
from heliograph.server.catalogue import Catalogue
folder = Path(sys.argv[1])
catalogue = Catalogue(folder, Registry([Codec(Path(sys.argv[2]))]))
for _ in range(20):
    for path in sorted(folder.glob("cam/*.helio"), reverse=True):
        header = container.open(path.read_bytes()).header
        if header.reference:
            catalogue.find(header, path)
    catalogue.missing()
"""
    command = [sys.executable, "-c", script, str(tmp_path / "in"), str(codec_folder)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    catalogue = make()
    put(tmp_path, 0, packed)
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert catalogue.missing() == set()
    assert [picture for (picture,) in rows(tmp_path, "picture")][:3] == ids(packed)[:3]


def test_a_full_quota_refuses_what_comes_and_removes_nothing_that_others_refer_to(
    make: Make, tmp_path: Path, packed: list[Packed]
) -> None:
    receiver = Receiver(Store(tmp_path / "in", Quotas(device=3 * 4096 + 100)))
    speaker, heard = Speaker(receiver, "cam"), []
    for number, one in enumerate(packed):
        digest = hashlib.sha256(one.data).digest()
        speaker.say(Announce(number + 1, len(one.data), digest, NAMES[number]), Data(number + 1, 0, one.data))
        heard += [message for message in speaker.hear() if isinstance(message, Done | Reject)]
    assert [type(message) for message in heard] == [Done, Done, Done, Reject]
    whole = {path.name: path.read_bytes() for path in (tmp_path / "in/cam").glob("*.helio")}
    assert whole == {name: one.data for name, one in zip(NAMES[:3], packed, strict=False)}
    catalogue = make()
    for number in (2, 1):
        header = container.open(packed[number].data).header
        assert catalogue.find(header, tmp_path / "in/cam" / NAMES[number]) is not None


def test_one_search_decodes_a_bounded_number_and_others_go_on_with_the_rest(
    make: Make, tmp_path: Path, packed: list[Packed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    good = put(tmp_path, 0, packed)
    damaged = bytearray(packed[0].data)
    damaged[-1] ^= 1
    for number in range(9):
        good.with_name(f"20260101T13000{number}.000000Z-bad.helio").write_bytes(damaged)
    path, catalogue = put(tmp_path, 1, packed), make()
    header = container.open(packed[1].data).header
    assert catalogue.find(header, path) is None
    assert catalogue.lacks("cam") == []  # nobody knows yet
    looks = 0
    while catalogue.missing():
        looks += 1
    assert looks == 3  # after 3 of 10: 2 each, the right one last
    assert catalogue.find(header, path) is not None
