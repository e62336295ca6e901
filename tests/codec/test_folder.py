"""References that lie in folders of streams, whatever their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec import chain, container
from heliograph.codec.codec import Codec
from heliograph.codec.folder import StreamFolders
from heliograph.codec.pack import Packed, Packer
from heliograph.codec.rate import Rate
from heliograph.codec.registry import Registry
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import Values
from heliograph.errors import ReferenceMissing, StreamError

Latents = Callable[[int, int, int, float], Values]
SIDE = 64


@pytest.fixture(scope="module")
def pictures(random_codec: Codec, latents: Latents) -> list[Packed]:
    """Four pictures that refer to the one before, and four alone of equal header."""
    packed: list[Packed] = []
    for number in range(8):
        reference = packed[-1].as_reference() if 0 < number < 4 else None
        maps = latents(number, SIDE // 16, SIDE // 16, 9.0)
        packed.append(Packer(random_codec, maps, SIDE, SIDE, reference=reference).pack(Rate(quality=30)))
    return packed


@pytest.fixture
def codecs(random_codec: Codec) -> Registry:
    return Registry([random_codec])


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_a_chain_is_found_in_any_order_of_names(
    order: tuple[int, ...], tmp_path: Path, pictures: list[Packed], codecs: Registry, random_codec: Codec
) -> None:
    for name, number in enumerate((*order, 4, 5, 6, 7)):
        (tmp_path / f"{name}.helio").write_bytes(pictures[number].data)
    (tmp_path / "note.helio").write_text("no stream", encoding="utf-8")
    (tmp_path / "folder.helio").mkdir()
    found = StreamFolders([tmp_path], codecs).chain(pictures[3].data, f"{order.index(3)}.helio")
    assert found == [packed.data for packed in pictures[:4]]
    decoded = decode_stream(chain.pack(found), random_codec)
    assert np.array_equal(decoded.values, pictures[3].values)


def test_parts_of_a_chain_may_lie_in_several_folders_and_come_later(
    tmp_path: Path, pictures: list[Packed], codecs: Registry
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    named = f"00000001-{pictures[1].as_reference().picture_id.hex()}.helio"
    (tmp_path / "a" / named).write_bytes(pictures[1].data)
    (tmp_path / "b" / "first.helio").write_bytes(pictures[0].data)
    folders = StreamFolders([tmp_path / "a", tmp_path / "b"], codecs)
    with pytest.raises(ReferenceMissing) as missing:
        folders.chain(pictures[3].data)
    assert missing.value.picture_id == pictures[2].as_reference().picture_id
    (tmp_path / "b" / "third.helio").write_bytes(pictures[2].data)
    assert folders.chain(pictures[3].data) == [packed.data for packed in pictures[:4]]


def test_what_lies_there_damaged_or_under_a_wrong_name_is_not_taken(
    tmp_path: Path, pictures: list[Packed], codecs: Registry, forge: Callable[..., bytes]
) -> None:
    wanted = pictures[0].as_reference().picture_id
    (tmp_path / f"00000001-{wanted.hex()}.helio").write_bytes(pictures[4].data)  # another picture
    (tmp_path / "cut.helio").write_bytes(pictures[0].data[:-3])
    folders = StreamFolders([tmp_path], codecs)
    with pytest.raises(ReferenceMissing):
        folders.chain(pictures[1].data)
    # Two that claim to refer to each other, whatever their headers say of depth.
    other = pictures[1].as_reference().picture_id
    for name, referred in ((wanted, other), (other, wanted)):
        data = forge(pictures[1].data, reference=container.Referred(referred, pictures[0].level, 2))
        (tmp_path / f"00000002-{name.hex()}.helio").write_bytes(data)
    with pytest.raises(ReferenceMissing):
        folders.chain(pictures[1].data)
    (tmp_path / "whole.helio").write_bytes(pictures[0].data)
    assert folders.chain(pictures[1].data) == [pictures[0].data, pictures[1].data]


def test_a_stream_alone_needs_no_folder(tmp_path: Path, pictures: list[Packed], codecs: Registry) -> None:
    folders = StreamFolders([tmp_path / "none"], codecs)
    assert folders.chain(pictures[5].data) == [pictures[5].data]
    with pytest.raises(StreamError, match=r"cannot read folder .*none: No such file"):
        folders.chain(pictures[1].data)
