"""What a camera's next picture may refer to: only what the other end has, whatever happens on the way there."""

from __future__ import annotations

import hashlib
import logging
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packed
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.codec.thin import thin
from heliograph.device import kept
from heliograph.device.acknowledged import Acknowledged
from heliograph.device.encoder import Encoder
from heliograph.device.spool import Spool

Picture = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 97, 61


@pytest.fixture
def view(paint: Callable[[int, int], Picture]) -> Callable[[int], Picture]:
    """Return the picture of a number: one scene, with another noise each time."""

    def picture(number: int) -> Picture:
        noise = np.random.default_rng(number).normal(0, 2, (HEIGHT, WIDTH, 3))
        return np.clip(paint(WIDTH, HEIGHT) + noise, 0, 255).astype(np.uint8)

    return picture


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def layered(codec: Codec) -> Encoder:
    return Encoder(codec, layered=True, base=True)


def open_memory(spool: Spool, codec: Codec, key_every: int | None = None) -> Acknowledged:
    return Acknowledged(spool.folder, codec, keep=2, max_depth=16, key_every=key_every)


def capture(encoder: Encoder, memory: Acknowledged, spool: Spool, picture: Picture) -> tuple[str, Packed]:
    """Do what a capture loop does with a picture."""
    packed = encoder.pack(picture, Rate(quality=40), memory.candidates(WIDTH, HEIGHT))
    memory.made(packed)
    return spool.add(packed.data), packed


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def reference(packed: Packed) -> bytes | None:
    referred = container.open(packed.data).header.reference
    return None if referred is None else referred.picture_id


def test_only_what_was_confirmed_is_referred_to(
    spool: Spool, codec: Codec, layered: Encoder, view: Callable[[int], Picture]
) -> None:
    memory = open_memory(spool, codec)
    first_name, first = capture(layered, memory, spool, view(0))
    _, second = capture(layered, memory, spool, view(0))
    assert (reference(first), reference(second)) == (None, None)
    spool.remove(first_name, digest(first.data))
    assert not (spool.folder / first_name).exists()
    # The very same picture; a codec trained for a few steps makes little of what the other end has.
    _, third = capture(layered, memory, spool, view(0))
    assert reference(third) == first.as_reference().picture_id
    assert len(third.data) < 0.7 * len(first.data)
    values = {first.as_reference().picture_id: first.values}
    assert np.array_equal(decode_stream(third.data, codec, references=values).values, third.values)
    again = open_memory(spool, codec)  # the device was off: from the folder
    assert [one.picture_id for one in again.candidates(WIDTH, HEIGHT)] == [first.as_reference().picture_id]


def test_what_was_thinned_on_the_way_is_referred_to_as_it_arrived(
    spool: Spool, codec: Codec, layered: Encoder, view: Callable[[int], Picture]
) -> None:
    memory = open_memory(spool, codec)
    name, packed = capture(layered, memory, spool, view(0))
    lighter = thin(packed.data, 1)
    (spool.folder / name).write_bytes(lighter)
    spool.remove(name, digest(lighter))
    (there,) = memory.candidates(WIDTH, HEIGHT)
    decoded = decode_stream(lighter, codec)
    assert there.picture_id == decoded.picture_id != packed.as_reference().picture_id
    assert np.array_equal(there.values, decoded.values)


def test_a_version_that_the_other_end_does_not_have_is_not_kept(
    spool: Spool, codec: Codec, layered: Encoder, view: Callable[[int], Picture]
) -> None:
    memory = open_memory(spool, codec)
    name, packed = capture(layered, memory, spool, view(0))
    (spool.folder / name).write_bytes(thin(packed.data, 1))  # after the whole one had been confirmed
    spool.remove(name, digest(packed.data))
    other, _ = capture(layered, memory, spool, view(1))
    spool.remove(other)
    assert spool.names() == []
    assert memory.candidates(WIDTH, HEIGHT) == []


def test_where_no_memory_is_what_was_confirmed_is_removed(spool: Spool) -> None:
    name = spool.add(b"stream")
    spool.remove(name, digest(b"stream"))
    spool.remove(name, digest(b"stream"))
    assert [path.name for path in spool.folder.iterdir()] == [".spool"]


def test_what_nobody_takes_is_bounded(spool: Spool, monkeypatch: pytest.MonkeyPatch, codec: Codec) -> None:
    open_memory(spool, codec)
    monkeypatch.setattr(kept, "MOST", 3)
    monkeypatch.setattr(kept, "MOST_BYTES", 1000)
    names = [spool.add(bytes([n]) * 300) for n in range(5)]
    for n, name in enumerate(names):
        spool.remove(name, digest(bytes([n]) * 300))
    confirmed = kept.Kept(spool.folder / kept.CONFIRMED)
    assert confirmed.names() == names[2:]
    large = spool.add(b"x" * 800)
    spool.remove(large, digest(b"x" * 800))
    assert confirmed.names() == [large]


def test_what_is_no_picture_of_this_camera_is_told_of_and_gone(
    spool: Spool,
    codec: Codec,
    layered: Encoder,
    view: Callable[[int], Picture],
    caplog: pytest.LogCaptureFixture,
) -> None:
    memory = open_memory(spool, codec)
    for data in (b"no stream", layered.packer(view(0)).at(600)[:-5]):
        spool.remove(spool.add(data), digest(data))
    name, packed = capture(layered, memory, spool, view(0))
    spool.remove(name, digest(packed.data))
    with caplog.at_level(logging.WARNING):
        assert len(memory.candidates(WIDTH, HEIGHT)) == 1
    assert [text.split(" ")[1:6] for text in caplog.messages] == [["is", "not", "taken", "into", "the"]] * 2
    assert list((spool.folder / kept.CONFIRMED).iterdir()) == []


def test_a_memory_that_cannot_be_used_stops_no_camera(
    spool: Spool,
    codec: Codec,
    layered: Encoder,
    view: Callable[[int], Picture],
    caplog: pytest.LogCaptureFixture,
) -> None:
    memory = open_memory(spool, codec)
    name, packed = capture(layered, memory, spool, view(0))
    spool.remove(name, digest(packed.data))
    (spool.folder / "memory").rmdir()
    (spool.folder / "memory").write_text("a file", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert memory.candidates(WIDTH, HEIGHT) == []
    assert len(caplog.messages) == 1
    assert "pictures refer to no earlier ones: cannot use the memory" in caplog.text
    (spool.folder / "memory").unlink()
    (spool.folder / "memory").mkdir()
    assert len(memory.candidates(WIDTH, HEIGHT)) == 1  # it was kept until there was a place for it


def test_where_nobody_answers_pictures_refer_to_the_last_key_picture_that_was_sent(
    spool: Spool, codec: Codec, layered: Encoder, view: Callable[[int], Picture]
) -> None:
    memory = open_memory(spool, codec, key_every=3)
    depths, references, ids = [], [], []
    for number in range(7):
        name, packed = capture(layered, memory, spool, view(0))
        spool.remove(name, digest(packed.data), is_confirmed=False)
        depths.append(container.open(packed.data).header.depth)
        references.append(reference(packed))
        ids.append(packed.as_reference().picture_id)
        if number == 4:  # begins anew after a restart: with a key picture
            memory = open_memory(spool, codec, key_every=3)
    assert depths == [0, 1, 1, 0, 1, 0, 1]
    assert [references[n] for n in (1, 2, 4, 6)] == [ids[0], ids[0], ids[3], ids[5]]
    assert not (spool.folder / kept.CONFIRMED).exists()


def test_a_key_picture_that_waits_is_not_referred_to(
    spool: Spool, codec: Codec, layered: Encoder, view: Callable[[int], Picture]
) -> None:
    memory = open_memory(spool, codec, key_every=9)
    packed = [capture(layered, memory, spool, view(0))[1] for _ in range(3)]
    assert [reference(one) for one in packed] == [None, None, None]


@pytest.mark.parametrize("moment", range(1, 7))
def test_killed_between_two_steps_every_stream_is_in_one_place(
    moment: int,
    spool: Spool,
    codec: Codec,
    layered: Encoder,
    view: Callable[[int], Picture],
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """A process confirms a picture and takes it into the memory, and dies in the n-th change of a folder."""
    name = spool.add(layered.packer(view(0)).at(600))
    data = spool.read(name)
    program = """
import os, sys, hashlib
from pathlib import Path
from heliograph.codec.codec import Codec
from heliograph.device.acknowledged import Acknowledged
from heliograph.device.spool import Spool
left = int(sys.argv[1])
def dying(step):
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os._exit(9)
        return step(*arguments, **options)
    return call
spool, codec = Spool(Path(sys.argv[2])), Codec(Path(sys.argv[3]))
memory = Acknowledged(spool.folder, codec, keep=2, max_depth=16)
Path.replace, Path.unlink, os.fsync = dying(Path.replace), dying(Path.unlink), dying(os.fsync)
spool.remove(sys.argv[4], hashlib.sha256(spool.read(sys.argv[4])).digest())
assert len(memory.candidates(97, 61)) == 1
"""
    done = run_python(program, moment, spool.folder, codec.folder, name)
    assert done.returncode == 9, done.stderr
    places = [path for path in spool.folder.rglob("*.helio") if path.read_bytes() == data]
    assert places
    again = open_memory(Spool(spool.folder), codec)
    if (spool.folder / name).exists():
        spool.remove(name, digest(data))
    assert len(again.candidates(WIDTH, HEIGHT)) == 1
    assert len(list(spool.folder.rglob("*.helio"))) == 1
    assert len(list((spool.folder / "memory").iterdir())) == 1


def test_a_picture_that_is_missed_waits_again_and_one_that_is_gone_is_built_on_no_more(
    spool: Spool, codec: Codec, layered: Encoder, view: Callable[[int], Picture]
) -> None:
    memory = Acknowledged(spool.folder, codec, keep=1, max_depth=16)
    made: list[Packed] = []
    for _ in range(3):
        name, packed = capture(layered, memory, spool, view(len(made)))
        spool.remove(name, digest(packed.data))
        made.append(packed)
        memory.candidates(WIDTH, HEIGHT)
    ids = [one.as_reference().picture_id for one in made]
    assert [reference(one) for one in made] == [None, *ids[:2]]
    again = spool.again(ids[1])
    assert again is not None
    assert again == spool.again(ids[1]) == spool.names()[0]
    assert spool.read(again) == made[1].data
    there = sorted((spool.folder / "memory").iterdir())
    spool.remove(again, digest(made[1].data))
    assert [one.picture_id for one in memory.candidates(WIDTH, HEIGHT)] == [ids[2]]
    assert sorted((spool.folder / "memory").iterdir()) == there  # it was there
    waiting, _ = capture(layered, memory, spool, view(3))  # refers to the third
    spool.forget(ids[1])
    assert [path.name[9:-6] for path in (spool.folder / "memory").iterdir()] == [ids[0].hex()]
    assert [one.picture_id for one in memory.candidates(WIDTH, HEIGHT)] == [ids[0]]
    spool.remove(waiting, digest(spool.read(waiting)))
    assert [one.picture_id for one in memory.candidates(WIDTH, HEIGHT)] == [ids[0]]
    assert (spool.again(ids[2]), spool.again(bytes(8))) == (None, None)
    spool.forget(ids[0])
    assert memory.candidates(WIDTH, HEIGHT) == []
    _, alone = capture(layered, memory, spool, view(4))
    assert reference(alone) is None


def test_a_spool_without_a_memory_has_nothing_to_send_again(spool: Spool) -> None:
    assert spool.again(bytes(8)) is None
    spool.forget(bytes(8))
    assert sorted(path.name for path in spool.folder.iterdir()) == [".spool"]
