"""What an inbox's streams refer to lies beside them, whenever they are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packed
from heliograph.errors import ReferenceMissing
from heliograph.server.decoders import Decoder
from heliograph.server.references import References
from heliograph.server.watch import Watch


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
