"""What an inbox's streams refer to lies beside them, whenever they are looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packed
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder
from heliograph.errors import ReferenceMissing
from heliograph.server.decoders import Decoder
from heliograph.server.references import References
from heliograph.server.watch import Watch

Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def packed(encoder: Encoder, paint: Callable[[int, int], Picture]) -> list[Packed]:
    """Three pictures, each referring to the one before it."""
    pictures: list[Packed] = []
    for number in range(3):
        there = [pictures[-1].as_reference()] if pictures else []
        picture = paint(97, 61)
        picture[8 * number : 8 * number + 8, 20:50] = (9, 9, 200)
        pictures.append(encoder.pack(picture, Rate(quality=40), there))
    return pictures


def make_decoder(codec: Codec) -> Decoder:
    decoder = Decoder(codec, "preview")
    decoder.references = References(decoder.registry, is_beside=True)
    return decoder


def test_pictures_of_an_inbox_are_made_by_a_watch_that_never_saw_their_references(
    tmp_path: Path, codec: Codec, packed: list[Packed]
) -> None:
    inbox, pictures = tmp_path / "inbox" / "cam", tmp_path / "pictures"
    inbox.mkdir(parents=True)
    for number, one in enumerate(packed[:2]):
        (inbox / f"{number}.helio").write_bytes(one.data)
    watch = Watch(inbox.parent, pictures, make_decoder(codec))
    assert [watched.outcome.error for watched in watch.step()] == [None, None]
    (inbox / "2.helio").write_bytes(packed[2].data)
    assert [watched.outcome.error for watched in watch.step()] == [None]
    (pictures / "cam" / "2.png").unlink()
    again = Watch(inbox.parent, pictures, make_decoder(codec))  # the pictures of what it refers to are there
    assert [watched.outcome.error for watched in again.step()] == [None]
    assert (pictures / "cam" / "2.png").exists()


def test_another_device_s_folder_is_not_looked_into(
    tmp_path: Path, codec: Codec, packed: list[Packed]
) -> None:
    for name, number in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.helio").write_bytes(packed[number].data)
    with pytest.raises(ReferenceMissing):
        make_decoder(codec).values(container.open(packed[1].data), file=tmp_path / "b" / "x.helio")
