"""What an inbox's streams refer to lies beside them, whenever they are looked at."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packed
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import ReferenceMissing
from heliograph.server.decoders import Decoder
from heliograph.server.live import Live
from heliograph.server.references import References
from heliograph.server.watch import Watch

Picture = npt.NDArray[np.uint8]
Arrive = Callable[..., Path]


def make_decoder(codec: Codec, inbox: Path) -> Decoder:
    decoder = Decoder(codec, "preview")
    decoder.references = References(decoder.registry, inbox=inbox)
    return decoder


def test_pictures_of_an_inbox_are_made_by_a_watch_that_never_saw_their_references(
    tmp_path: Path, codec: Codec, packed: list[Packed]
) -> None:
    inbox, pictures = tmp_path / "inbox" / "cam", tmp_path / "pictures"
    inbox.mkdir(parents=True)
    for number, one in enumerate(packed[:2]):
        (inbox / f"{number}.helio").write_bytes(one.data)
    watch = Watch(inbox.parent, pictures, make_decoder(codec, inbox.parent))
    assert [watched.outcome.error for watched in watch.step()] == [None, None]
    (inbox / "2.helio").write_bytes(packed[2].data)
    assert [watched.outcome.error for watched in watch.step()] == [None]
    (pictures / "cam" / "2.png").unlink()
    again = Watch(
        inbox.parent, pictures, make_decoder(codec, inbox.parent)
    )  # the pictures of what it refers to are there
    assert [watched.outcome.error for watched in again.step()] == [None]
    assert (pictures / "cam" / "2.png").exists()


def test_another_device_s_folder_is_not_looked_into(
    tmp_path: Path, codec: Codec, packed: list[Packed]
) -> None:
    for name, number in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.helio").write_bytes(packed[number].data)
    with pytest.raises(ReferenceMissing):
        make_decoder(codec, tmp_path).values(container.open(packed[1].data), file=tmp_path / "b" / "x.helio")


def states(watch: Watch) -> list[tuple[str, str]]:
    """Look until nothing is new; return names, and states or the kinds of errors."""
    found: list[tuple[str, str]] = []
    while seen := [
        (w.stream.name, type(w.outcome.error).__name__ if w.outcome.error else w.outcome.loss or "complete")
        for w in watch.step()
    ]:
        found += seen
    return found


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_a_watch_makes_the_same_pictures_whatever_comes_first(
    order: tuple[int, ...], tmp_path: Path, codec: Codec, packed: list[Packed]
) -> None:
    inbox = tmp_path / "inbox/cam"
    inbox.mkdir(parents=True)
    watch = Watch(inbox.parent, tmp_path / "pictures", Decoder(codec, "preview"))
    told = []
    for number in order:
        (inbox / f"{number}.helio").write_bytes(packed[number].data)
        told += states(watch)
    assert sorted(name for name, state in told if state == "complete") == [f"{n}.helio" for n in range(4)]
    # One line for each that came before something it builds on.
    early = [n for at, n in enumerate(order) if set(range(n)) - set(order[:at])]
    assert sorted(name for name, state in told if state == "ReferenceMissing") == sorted(
        f"{n}.helio" for n in early
    )
    known = {one.as_reference().picture_id: one.values for one in packed}
    decoder = Decoder(codec, "preview")
    for number, one in enumerate(packed):
        expected = decoder.pixels(decode_stream(one.data, codec, references=known))
        with Image.open(tmp_path / f"pictures/cam/{number}.png") as picture:
            assert np.array_equal(np.asarray(picture), expected)


def test_what_arrives_is_shown_with_its_reference_as_it_comes(
    tmp_path: Path, codec: Codec, encoder: Encoder, paint: Callable[[int, int], Picture], arrive: Arrive
) -> None:
    layered = Encoder(codec, layered=True, base=True)
    first = layered.pack(paint(97, 61), Rate(quality=60))
    picture = paint(97, 61)
    picture[20:50, 20:60] = (9, 9, 200)
    second = layered.pack(picture, Rate(quality=90), [first.as_reference()])
    stream = container.open(second.data)
    assert stream.header.depth == 1
    part = stream.segments[1][0]
    arrive(tmp_path, "cam", "a.helio", first.data, [(0, len(first.data))])
    watch = Watch(tmp_path, tmp_path / "pictures", Decoder(codec, "preview"))
    arrive(tmp_path, "cam", "b.helio", second.data, [(0, part)])
    told = states(watch)
    assert sorted(name for name, _ in told) == ["a.helio", "b.helio"]
    shown = decode_stream(
        second.data[:part], codec, partial=True, references={first.as_reference().picture_id: first.values}
    )
    with Image.open(tmp_path / "pictures/cam/b.partial.png") as made:
        assert np.array_equal(np.asarray(made), Decoder(codec, "preview").pixels(shown))
    arrive(tmp_path, "cam", "b.helio", second.data, [(part, len(second.data))])
    assert states(watch) == [("b.helio", "complete")]


def test_the_page_shows_what_it_builds_on_and_what_is_missing_until_it_comes(
    tmp_path: Path, codec: Codec, packed: list[Packed], arrive: Arrive, caplog: pytest.LogCaptureFixture
) -> None:
    def come(number: int) -> None:
        data = packed[number].data
        arrive(tmp_path, "cam", f"{number}.helio", data, [(0, len(data))])
        while live.step():
            pass

    def shown(number: int) -> dict[str, Any]:
        told = [fields for what, fields in live.since(0)[1] if what == "picture"]
        return next(fields for fields in told if fields["name"] == f"{number}.helio")

    live = Live(tmp_path, Decoder(codec, "preview"), latest=2)
    for number in (3, 2):
        come(number)
        assert (shown(number)["missing"], shown(number)["depth"], shown(number)["version"]) == (
            True,
            number,
            0,
        )
        assert shown(number)["reference"] == packed[number - 1].as_reference().picture_id.hex()
    assert len(caplog.messages) == 2
    assert f"cam/3.helio: stream refers to picture {shown(3)['reference']}" in caplog.messages[0]
    devices = [fields for what, fields in live.since(0)[1] if what == "device"]
    assert [fields["failed"] for fields in devices] == [2]
    for number in (0, 1):  # two are shown, and what they build on is found all the same
        data = packed[number].data
        path = arrive(tmp_path, "cam", f"{number}.helio", data, [(0, len(data))])
        os.utime(path, (1000, 1000))
        while live.step():
            pass
    for number in (2, 3):
        assert (shown(number)["missing"], shown(number)["error"]) == (False, "")
        assert shown(number)["state"] == "complete"
        assert shown(number)["alone"] > shown(number)["bytes"]
    assert len(caplog.messages) == 2
    come(0)
    assert (shown(0)["reference"], shown(0)["depth"], shown(0)["alone"]) == (None, 0, None)
    live.step()
    assert [fields["failed"] for what, fields in live.since(0)[1] if what == "device"] == [0]
