"""Streams that refer to each other through the pipeline: any order, little memory, headers that lie."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packed
from heliograph.device.encoder import Encoder
from heliograph.errors import ReferenceMissing, StreamError
from heliograph.server import references as module
from heliograph.server.chains import decode_chains
from heliograph.server.decoders import Decoder
from heliograph.server.pipeline import Outcome, Pipeline, Task
from heliograph.server.references import References

Picture = npt.NDArray[np.uint8]


def run(
    folder: Path, codec: Codec, order: tuple[int, ...], threads: int = 2
) -> tuple[dict[str, Outcome], dict[str, Picture]]:
    """Decode the streams `<number>.helio` of a folder in an order; return outcomes and pictures by stem."""
    shown: dict[str, Picture] = {}
    decoder = Decoder(codec, "preview")
    decoder.references = References(decoder.registry)
    pipeline = Pipeline(
        decoder, lambda target, picture, told: shown.update({target: picture}), threads=threads
    )
    tasks = [Task(folder / f"{number}.helio", str(number)) for number in order]
    outcomes = list(decode_chains(pipeline, tasks, decoder.references))
    assert len(outcomes) == len(order)
    return {str(outcome.task.target): outcome for outcome in outcomes}, shown


@pytest.fixture
def folder(tmp_path: Path, packed: list[Packed]) -> Path:
    for number, one in enumerate(packed):
        (tmp_path / f"{number}.helio").write_bytes(one.data)
    return tmp_path


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("room", [1, 1 << 30])
def test_every_order_gives_the_same_pictures_even_where_no_values_can_be_kept(
    room: int, threads: int, folder: Path, codec: Codec, packed: list[Packed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", room)
    decoder = Decoder(codec, "preview")
    known = {one.as_reference().picture_id: one.values for one in packed}
    for order in list(itertools.permutations(range(4)))[:: 5 if threads == 1 else 7]:
        outcomes, shown = run(folder, codec, order, threads)
        assert [outcome.error for outcome in outcomes.values()] == [None] * 4
        assert sorted(shown) == ["0", "1", "2", "3"]
    from heliograph.codec.stream import decode_stream

    for number, one in enumerate(packed):
        expected = decoder.pixels(decode_stream(one.data, codec, references=known))
        assert np.array_equal(shown[str(number)], expected)


def test_what_builds_on_a_missing_picture_is_an_error_and_the_rest_is_decoded(
    folder: Path, codec: Codec, packed: list[Packed]
) -> None:
    outcomes, shown = run(folder, codec, (3, 0, 2))
    assert sorted(shown) == ["0"]
    for number in (2, 3):
        error = outcomes[str(number)].error
        assert isinstance(error, ReferenceMissing)
        assert error.picture_id == packed[number - 1].as_reference().picture_id


def test_a_header_that_names_a_known_picture_of_another_size_ends_in_an_error(
    folder: Path, codec: Codec, packed: list[Packed], encoder: Encoder, paint: Callable[[int, int], Picture]
) -> None:
    other = encoder.packer(paint(64, 64)).at(500)
    stream = container.open(other)
    segments = [stream.segment(number) or b"" for number in range(len(stream.segments))]
    lying = container.Referred(packed[0].as_reference().picture_id, packed[0].level, 1)
    (folder / "9.helio").write_bytes(container.pack(replace(stream.header, reference=lying), segments))
    for order in ((0, 9), (9, 0)):
        outcomes, shown = run(folder, codec, order)
        assert isinstance(outcomes["9"].error, ReferenceMissing)
        assert sorted(shown) == ["0"]


def test_a_file_that_changed_since_it_was_decoded_is_no_reference(
    folder: Path, codec: Codec, packed: list[Packed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    decoder = Decoder(codec, "preview")
    decoder.references = references = References(decoder.registry)
    for number in (0, 1):
        decoder.values(container.open(packed[number].data), file=folder / f"{number}.helio")
    (folder / "0.helio").write_bytes(packed[2].data)
    again = container.open(packed[1].data)
    with pytest.raises(StreamError):
        decoder.values(again)
    (folder / "0.helio").unlink()
    with pytest.raises(ReferenceMissing):
        decoder.values(again)
    assert references.knows(packed[0].as_reference().picture_id)
