"""Site memory: what it holds, what may be referred to, and that nothing a writer or a disk does makes it unusable."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.memory import Memory
from heliograph.codec.pack import Packed, Packer
from heliograph.codec.rate import Rate
from heliograph.codec.values import ReferencePicture, Values
from heliograph.errors import OutputError, ReferenceMissing

Latents = Callable[[int, int, int, float], Values]
SIDE = 96


@pytest.fixture
def make(random_codec: Codec, latents: Latents) -> Callable[..., Packed]:
    """Pack a picture by its number, with a reference or none."""

    def pack(number: int, reference: ReferencePicture | None = None, side: int = SIDE) -> Packed:
        maps = latents(number, -(-side // 16), -(-side // 16), 12.0)
        return Packer(random_codec, maps, side, side, reference=reference).pack(Rate(quality=40))

    return pack


def chain(make: Callable[..., Packed], count: int) -> list[Packed]:
    """Return so many pictures, each referring to the one before it."""
    packed = [make(0)]
    while len(packed) < count:
        packed.append(make(len(packed), packed[-1].as_reference()))
    return packed


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_added_is_there_under_its_picture_id(
    tmp_path: Path, random_codec: Codec, make: Callable[..., Packed]
) -> None:
    first = make(0)
    second = make(1, first.as_reference())
    memory = Memory(tmp_path / "new" / "memory", random_codec)
    memory.add(first.data)  # decoded here
    memory.add(second.data, second.as_reference())
    ids = [packed.as_reference().picture_id for packed in (first, second)]
    assert names(memory.folder) == [f"{n:08}-{name.hex()}.helio" for n, name in enumerate(ids, 1)]
    for again in (memory, Memory(memory.folder, random_codec)):  # from memory, and from the folder
        found = again.find(ids[1])
        assert found is not None
        assert np.array_equal(found.values, second.values)
        assert (found.level, found.depth) == (second.level, 1)
        assert [one.picture_id for one in again.candidates(SIDE, SIDE)] == ids[::-1]
        assert again.find(b"12345678") is None


def test_only_pictures_of_the_size_and_the_codec_and_below_the_depth_are_candidates(
    tmp_path: Path, random_codec: Codec, make: Callable[..., Packed]
) -> None:
    memory = Memory(tmp_path, random_codec, keep=6, max_depth=2)
    pictures = chain(make, 3)  # depths 0, 1, 2
    for packed in (*pictures, make(9, side=80)):
        memory.add(packed.data)
    # Nothing once the newest is as deep as may be: others would be referred to while they grow stale.
    assert memory.candidates(SIDE, SIDE) == []
    key = make(12)
    memory.add(key.data)
    ids = [packed.as_reference().picture_id for packed in (key, pictures[1], pictures[0])]
    assert [one.picture_id for one in memory.candidates(SIDE, SIDE)] == ids
    assert len(memory.candidates(80, 80)) == 1
    assert memory.candidates(80, 96) == []
    assert Memory(tmp_path, random_codec, max_depth=0).candidates(80, 80) == []


def test_trimming_keeps_the_newest_and_all_that_they_build_on(
    tmp_path: Path, random_codec: Codec, make: Callable[..., Packed]
) -> None:
    memory = Memory(tmp_path, random_codec, keep=1)
    pictures = [*chain(make, 4), make(10), make(11)]
    kept = []
    for packed in pictures:
        memory.add(packed.data)
        kept.append([int(name[:8]) for name in names(tmp_path)])
    assert kept == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [5], [6]]


def test_trimming_keeps_the_bound_in_bytes_with_what_is_referred_to(
    tmp_path: Path, random_codec: Codec, make: Callable[..., Packed]
) -> None:
    first, second, third = chain(make, 3)
    alone = make(8)
    bound = len(first.data) + len(second.data) + len(alone.data)
    memory = Memory(tmp_path, random_codec, keep=9, most_bytes=bound)
    for packed in (first, second, alone):
        memory.add(packed.data)
    assert [int(name[:8]) for name in names(tmp_path)] == [1, 2, 3]
    memory.add(third.data, third.as_reference())  # with its chain it fits, not with the picture alone
    assert [int(name[:8]) for name in names(tmp_path)] == (
        [1, 2, 4] if len(third.data) <= len(alone.data) else []
    )
    tight = Memory(tmp_path / "tight", random_codec, most_bytes=len(first.data) - 1)
    tight.add(first.data)
    assert names(tight.folder) == []
    assert tight.candidates(SIDE, SIDE) == []


def test_a_picture_that_is_there_is_not_kept_twice(
    tmp_path: Path, random_codec: Codec, make: Callable[..., Packed]
) -> None:
    memory = Memory(tmp_path, random_codec)
    for _ in range(3):
        memory.add(make(0).data)
    assert len(names(tmp_path)) == 1


@pytest.mark.parametrize("harm", ["cut", "flipped", "renamed", "empty", "removed"])
def test_a_damaged_file_and_what_builds_on_it_are_passed_over(
    harm: str,
    tmp_path: Path,
    random_codec: Codec,
    make: Callable[..., Packed],
    caplog: pytest.LogCaptureFixture,
) -> None:
    memory = Memory(tmp_path, random_codec, keep=3)
    first, second = chain(make, 2)
    alone = make(7)
    for packed in (first, second, alone):
        memory.add(packed.data)
    path = tmp_path / names(tmp_path)[0]
    data = path.read_bytes()
    if harm == "renamed":
        path.rename(tmp_path / "00000001-0123456789abcdef.helio")
    elif harm == "removed":
        path.unlink()
    else:
        path.write_bytes({"cut": data[:-9], "flipped": data[:-9] + b"x" + data[-8:], "empty": b""}[harm])
    again = Memory(tmp_path, random_codec, keep=3)
    with caplog.at_level(logging.WARNING):
        found = again.candidates(SIDE, SIDE)
        again.candidates(SIDE, SIDE)
    assert [one.picture_id for one in found] == [alone.as_reference().picture_id]
    assert again.find(second.as_reference().picture_id) is None
    if harm != "removed":
        assert len([record for record in caplog.records if path.name[:8] in record.getMessage()]) == 1
    more = make(8)
    again.add(more.data)  # goes on, and the damaged file goes
    assert {int(name[:8]) for name in names(tmp_path)} == {3, 4}
    assert again.candidates(SIDE, SIDE)[0].picture_id == more.as_reference().picture_id


def test_what_is_not_its_own_stays_and_is_no_candidate(
    tmp_path: Path, random_codec: Codec, make: Callable[..., Packed]
) -> None:
    memory = Memory(tmp_path, random_codec, keep=1)
    (tmp_path / "holiday.helio").write_bytes(make(3).data)
    (tmp_path / "00000009-0123456789abcdef.helio").mkdir()
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    for number in range(2):
        memory.add(make(number).data)
    assert {"holiday.helio", "notes", "00000009-0123456789abcdef.helio"} < set(names(tmp_path))
    assert len(names(tmp_path)) == 4
    assert len(memory.candidates(SIDE, SIDE)) == 1


def test_a_folder_that_cannot_be_used_is_one_error(tmp_path: Path, random_codec: Codec) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"cannot use the memory .*: File exists; check the disk"):
        Memory(tmp_path / "file" / "memory", random_codec)


def test_two_files_that_name_each_other_as_reference_end_the_search(
    tmp_path: Path, random_codec: Codec, make: Callable[..., Packed], forge: Callable[..., bytes]
) -> None:
    second = chain(make, 2)[1]
    a, b = b"a" * 8, b"b" * 8
    for number, (own, other) in enumerate([(a, b), (b, a)]):
        data = forge(second.data, reference=container.Referred(other, 100, 5))
        (tmp_path / f"0000000{number}-{own.hex()}.helio").write_bytes(data)
    memory = Memory(tmp_path, random_codec)
    assert memory.find(a) is None
    assert memory.candidates(SIDE, SIDE) == []


def test_a_stream_whose_reference_is_gone_is_an_error_to_add(
    tmp_path: Path, random_codec: Codec, make: Callable[..., Packed]
) -> None:
    memory = Memory(tmp_path, random_codec)
    with pytest.raises(ReferenceMissing):
        memory.add(chain(make, 2)[1].data)
    assert names(tmp_path) == []


@pytest.mark.parametrize("step", ["replace_whole", "sync_folder", "unlink"])
def test_whatever_a_writer_was_killed_in_all_that_is_there_can_be_decoded(
    step: str,
    tmp_path: Path,
    random_codec: Codec,
    make: Callable[..., Packed],
    run_python: Callable[..., object],
) -> None:
    """A process adds pictures and dies at the first, second, ... call of a step of writing or trimming."""
    pictures = [*chain(make, 3), make(5), *chain(make, 2)]
    for number, packed in enumerate(pictures):
        (tmp_path / f"{number}.bin").write_bytes(packed.data)
    program = f"""
import os, sys
from pathlib import Path
from heliograph import files
from heliograph.codec import memory
from heliograph.codec.codec import Codec
left = int(sys.argv[1])
def dying(step):
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os._exit(9)
        return step(*arguments, **options)
    return call
if {step!r} == "unlink":
    Path.unlink = dying(Path.unlink)
elif {step!r} == "replace_whole":
    Path.replace = dying(Path.replace)
else:
    files.sync_folder = memory.sync_folder = dying(files.sync_folder)
box = memory.Memory(Path(sys.argv[2]), Codec(Path(sys.argv[3])), keep=1)
for number in range({len(pictures)}):
    box.add(Path(sys.argv[4], f"{{number}}.bin").read_bytes())
"""
    deaths = 0
    for moment in (1, 2, 4, 5, 6):
        folder = tmp_path / f"memory{moment}"
        done = run_python(program, moment, folder, random_codec.folder, tmp_path)
        assert done.returncode in (0, 9), done.stderr  # type: ignore[attr-defined]
        deaths += done.returncode == 9  # type: ignore[attr-defined]
        memory = Memory(folder, random_codec, keep=1)
        for name in names(folder):
            if not name.startswith("."):
                assert memory.find(bytes.fromhex(name[9:25])) is not None, (step, moment)
        memory.add(pictures[3].data)  # and it goes on; what was unfinished is gone
        assert not [name for name in names(folder) if name.startswith(".")]
        assert memory.candidates(SIDE, SIDE)
        shutil.rmtree(folder)
    assert deaths >= 2
