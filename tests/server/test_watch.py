"""Pictures of what comes into a folder: latest first, arriving streams anew, on where it was ended."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.server import watch as watching
from heliograph.server.decoders import Decoder
from heliograph.server.preview import PreviewDecoder
from heliograph.server.watch import Watch

Arrive = Callable[..., Path]
NAMES = [f"20260101T00000{n}.000000Z-0000000{n}.helio" for n in range(8)]


@pytest.fixture(scope="module")
def layered(encoder: Encoder, paint: Callable[[int, int], npt.NDArray[np.uint8]]) -> bytes:
    return Encoder(encoder.codec, layered=True, base=True).encode(paint(97, 61), Rate(quality=90))


@pytest.fixture
def make(tmp_path: Path, codec: Codec) -> Callable[[], Watch]:
    return lambda: Watch(tmp_path / "in", tmp_path / "out", Decoder(codec, "preview"))


def steps(watch: Watch) -> list[tuple[str, str]]:
    """Look until nothing is new; return names and states."""
    found = []
    while seen := [
        (w.stream.name, w.outcome.loss or str(w.outcome.error or "complete")) for w in watch.step()
    ]:
        found += seen
    return found


def test_an_arriving_stream_is_decoded_anew(
    make: Callable[[], Watch], tmp_path: Path, arrive: Arrive, layered: bytes, codec: Codec
) -> None:
    stream, watch = container.open(layered), make()
    first = stream.segments[1][0]
    arrive(tmp_path / "in", "cam", NAMES[0], layered, [(0, 9)])
    assert steps(watch) == []  # nothing can be shown, and that is no error
    arrive(tmp_path / "in", "cam", NAMES[0], layered, [(9, first)])
    ((name, state),) = steps(watch)
    assert (name, "missing" in state) == (NAMES[0], True)
    partial = (tmp_path / "out/cam" / NAMES[0]).with_suffix(".partial.png")
    with Image.open(partial) as picture:
        coarse = np.asarray(picture)
    assert steps(watch) == []
    arrive(tmp_path / "in", "cam", NAMES[0], layered, [(first, len(layered))])
    assert steps(watch) == [(NAMES[0], "complete")]
    assert not partial.exists()
    with Image.open((tmp_path / "out/cam" / NAMES[0]).with_suffix(".png")) as picture:
        expected = PreviewDecoder(codec).decode(decode_stream(layered, codec))
        assert np.array_equal(np.asarray(picture), expected)
        assert not np.array_equal(coarse, expected)


def test_no_two_streams_have_one_picture(
    make: Callable[[], Watch], tmp_path: Path, arrive: Arrive, layered: bytes
) -> None:
    names = ["a.partial.helio", "a.partial.helio.helio", "a.helio.partial.helio", "a.helio.helio"]
    for name in names:
        arrive(tmp_path / "in", "cam", name, layered, [(0, len(layered))])
    arrive(tmp_path / "in", "cam", "a.helio", layered, [(0, len(layered) - 9)])
    watch = make()
    assert len(steps(watch)) == 5
    made = {path.name for path in (tmp_path / "out/cam").iterdir()}
    assert made == {f"{name}.png" for name in names} | {"a.partial.png"}
    arrive(tmp_path / "in", "cam", "a.helio", layered, [(len(layered) - 9, len(layered))])
    assert steps(watch) == [("a.helio", "complete")]
    made = {path.name for path in (tmp_path / "out/cam").iterdir()}
    assert made == {f"{name}.png" for name in names} | {"a.png"}


def test_the_latest_come_first(
    make: Callable[[], Watch], tmp_path: Path, arrive: Arrive, layered: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "AT_ONCE", 2)
    for name in NAMES[:5]:
        arrive(tmp_path / "in", "cam", name, layered, [(0, len(layered))])
    watch = make()
    assert {w.stream.name for w in watch.step()} == set(NAMES[3:5])
    arrive(tmp_path / "in", "cam2", NAMES[7], layered, [(0, len(layered))])
    assert {w.stream.name for w in watch.step()} == {NAMES[7], NAMES[2]}
    assert {name for name, _ in steps(watch)} == set(NAMES[:2])


def test_one_device_does_not_keep_the_others_from_their_pictures(
    make: Callable[[], Watch], tmp_path: Path, arrive: Arrive, layered: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec_id = container.open(layered).header.codec_id
    large = container.pack(container.Header(codec_id, 1000, 1000, 500, 1), [b""])
    monkeypatch.setattr(watching, "PIXELS_AT_ONCE", 1_000_000)
    for n in range(3):
        arrive(tmp_path / "in", f"cam{n}", NAMES[n], layered, [(0, len(layered))])
    watch, at_once = make(), []
    for n in range(5):
        for m in range(3):
            name = f"20990101T0000{n}{m}.000000Z-00000000.helio"
            arrive(tmp_path / "in", "hostile", name, large, [(0, len(large))])
        at_once.append([w.stream.device for w in watch.step()])
    assert sorted(at_once[0]) == [
        "cam0",
        "cam1",
        "cam2",
    ]  # small, and so before a large one; then it fills a step
    assert at_once[1:] == [["hostile"]] * 4


def test_it_goes_on_where_it_was_ended(
    make: Callable[[], Watch], tmp_path: Path, arrive: Arrive, layered: bytes
) -> None:
    for name in NAMES[:3]:
        arrive(tmp_path / "in", "cam", name, layered, [(0, len(layered))])
    assert len(steps(make())) == 3
    made = (tmp_path / "out/cam" / NAMES[1]).with_suffix(".png")
    os.utime(made, (0, 0))  # older than its stream
    (tmp_path / "out/cam" / NAMES[2]).with_suffix(".png").unlink()
    watch = make()
    assert {name for name, _ in steps(watch)} == set(NAMES[1:3])
    assert steps(watch) == []


def test_a_plain_folder_is_watched_too_and_a_copy_in_progress_becomes_whole(
    make: Callable[[], Watch], tmp_path: Path, layered: bytes
) -> None:
    (tmp_path / "in").mkdir()
    path, watch = tmp_path / "in" / "photo.helio", make()
    path.write_bytes(layered[:-50])
    ((_, state),) = steps(watch)
    assert "cut" in state
    path.write_bytes(layered)
    assert steps(watch) == [("photo.helio", "complete")]
    assert (tmp_path / "out/photo.png").is_file()
    path.write_bytes(layered[:-60])  # another of the same name
    ((_, state),) = steps(watch)
    assert "cut" in state
    (tmp_path / "in/none.helio").write_bytes(b"nothing")
    ((name, state),) = steps(watch)
    assert (name, state[:20]) == ("none.helio", "not a .helio stream:")
    assert steps(watch) == []
