"""The pipeline: what it gives is what decoders give, bad streams hurt no other, and little is under way at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.levels import from_quality
from heliograph.codec.pack import SHORT_BELOW
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import OutputError, RuntimeUnavailableError, StreamError
from heliograph.server.decoders import Decoder
from heliograph.server.pipeline import Outcome, Pipeline, Task
from heliograph.server.preview import PreviewDecoder
from heliograph.server.room import Room

Paint = Callable[[int, int], npt.NDArray[np.uint8]]
SIZES = ((97, 61), (97, 61), (40, 200), (16, 16), (97, 61), (300, 33))


@pytest.fixture(scope="module")
def streams(encoder: Encoder, paint: Paint) -> dict[Path, bytes]:
    """Streams of several sizes and qualities, by the names they would have."""
    return {
        Path(f"{n}.helio"): encoder.encode(paint(*size), Rate(quality=20 + 10 * n))
        for n, size in enumerate(SIZES)
    }


class Kept:
    """Pictures in memory, by their paths."""

    def __init__(self, delay: float = 0.0) -> None:
        self.pictures: dict[Path, npt.NDArray[np.uint8]] = {}
        self.delay = delay

    def __call__(self, path: Path, picture: npt.NDArray[np.uint8], told: dict[str, str]) -> None:
        time.sleep(self.delay)
        if path.name == "full.png":
            raise OutputError("no room")
        self.pictures[path] = picture


def tasks_of(streams: dict[Path, bytes]) -> Iterator[Task]:
    return (Task(path, path.with_suffix(".png")) for path in streams)


def test_pictures_are_those_of_the_server_decoder(streams: dict[Path, bytes], codec: Codec) -> None:
    from heliograph.server.decoder import ServerDecoder

    decoder, kept = ServerDecoder(codec), Kept()
    pipeline = Pipeline(Decoder(codec, "server"), kept, read=streams.__getitem__)
    outcomes = {o.task.source: o for o in pipeline.run(tasks_of(streams))}
    assert outcomes.keys() == streams.keys()
    for path, data in streams.items():
        expected = decoder.decode(decode_stream(data, codec))
        found = kept.pictures[path.with_suffix(".png")]
        assert np.abs(found.astype(int) - expected).max() <= 1
        outcome = outcomes[path]
        assert (outcome.height, outcome.width) == expected.shape[:2]
        assert (outcome.error, outcome.loss, outcome.stream_bytes) == (None, "", len(data))
    assert pipeline.stages.pixels == sum(w * h for w, h in SIZES)
    assert min(pipeline.stages.entropy, pipeline.stages.network, pipeline.stages.write) > 0


def test_bad_streams_and_full_disks_hurt_no_other(
    streams: dict[Path, bytes], encoder: Encoder, paint: Paint, codec: Codec
) -> None:
    mixed = dict(streams)
    large = encoder.encode(paint(160, 160), Rate(quality=95))
    assert len(large) > SHORT_BELOW  # or nothing of it is of use when it is cut
    mixed[Path("cut.helio")] = large[:-9]
    mixed[Path("none.helio")] = b"nothing"
    mixed[Path("full.helio")] = streams[Path("0.helio")]
    mixed.update({Path(f"again{n}.helio"): streams[Path("3.helio")] for n in range(40)})

    def read(path: Path) -> bytes:
        if path.name == "again7.helio":
            raise StreamError("cannot read again7")
        return mixed[path]

    kept = Kept()
    pipeline = Pipeline(Decoder(codec, "preview"), kept, read=read)
    outcomes = list(pipeline.run(tasks_of(mixed)))
    assert len(outcomes) == len(mixed)
    failed = {str(o.task.source): str(o.error) for o in outcomes if o.error}
    assert failed.keys() == {"cut.helio", "none.helio", "full.helio", "again7.helio"}
    assert failed["full.helio"] == "no room"
    assert "stream is cut" in failed["cut.helio"]
    assert len(kept.pictures) == len(mixed) - 4
    partly = list(
        Pipeline(Decoder(codec, "preview"), kept, read=mixed.__getitem__, partial=True).run(
            [Task(Path("cut.helio"), Path("cut.png"))]
        )
    )
    assert [(o.error, "1 cut" in o.loss) for o in partly] == [(None, True)]


def test_what_claims_too_many_pixels_is_refused_before_others_wait_for_it(
    streams: dict[Path, bytes], codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[int] = []
    enter = Room.enter

    def noted(room: Room, ticket: int, pixels: int) -> None:
        entered.append(pixels)
        enter(room, ticket, pixels)

    monkeypatch.setattr(Room, "enter", noted)
    mixed = {Path("vast.helio"): container.pack(container.Header(codec.id, 11_585, 11_585, 500, 1), [b""])}
    mixed |= streams
    decoder = Decoder(codec, "preview", max_pixels=97 * 61)
    outcomes = {
        str(o.task.source): o for o in Pipeline(decoder, Kept(), read=mixed.__getitem__).run(tasks_of(mixed))
    }
    assert str(outcomes["vast.helio"].error) == (
        "11585x11585 is too large: 134.2 megapixels, expected at most 0.005917; if the picture is as large as that, "
        "give more with --max-megapixels"
    )
    assert {name for name, o in outcomes.items() if o.error is None} == {f"{n}.helio" for n in (0, 1, 3, 4)}
    assert max(entered) == 97 * 61


def test_little_is_under_way_at_once_however_slow_the_writers(
    streams: dict[Path, bytes], codec: Codec
) -> None:
    taken = 0

    def endless() -> Iterator[Task]:
        nonlocal taken
        while True:
            taken += 1
            yield Task(Path("0.helio"), Path(f"{taken}.png"))

    kept = Kept(delay=0.002)
    limit = 8 * 97 * 61
    pipeline = Pipeline(Decoder(codec, "preview"), kept, read=streams.__getitem__, threads=2, pixels=limit)
    running = pipeline.run(endless())
    for done in range(1, 150):
        assert next(running).error is None
        assert len(kept.pictures) - done <= 8 * 2 * 2 + 8  # written, and not yet told
        assert taken - len(kept.pictures) <= 8 * 2 + 8  # being read, and in the room
    running.close()  # ends all threads
    assert not [t for t in threading.enumerate() if t.name.startswith(("entropy", "write"))]


def test_many_shapes_with_little_room_do_not_wait_for_each_other(
    encoder: Encoder, paint: Paint, codec: Codec
) -> None:
    data = {Path(f"{n}.helio"): encoder.encode(paint(16 * n, 16), Rate(quality=50)) for n in range(1, 25)}
    pipeline = Pipeline(
        Decoder(codec, "server"), Kept(), read=data.__getitem__, threads=2, pixels=16 * 16 * 30
    )
    assert len(list(pipeline.run(tasks_of(data)))) == 24


def test_a_batch_that_fails_is_decoded_one_by_one(
    streams: dict[Path, bytes], codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from heliograph.server.decoder import ServerDecoder

    start = ServerDecoder.start

    def short_of_memory(self: ServerDecoder, group: list[Any]) -> Any:
        if len(group) > 1 or group[0].width == 300:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory\n with a long trace")
        return start(self, group)

    monkeypatch.setattr(ServerDecoder, "start", short_of_memory)
    kept = Kept()
    pipeline = Pipeline(Decoder(codec, "server"), kept, read=streams.__getitem__)
    failed = [o for o in pipeline.run(tasks_of(streams)) if o.error]
    assert [str(o.error) for o in failed] == [
        "5.helio: the decoder failed with RuntimeError: RESOURCE_EXHAUSTED: out of memory; try --decoder preview"
    ]
    assert len(kept.pictures) == len(streams) - 1


def test_what_is_not_installed_ends_the_run(streams: dict[Path, bytes], codec: Codec) -> None:
    decoder = Decoder(codec, "preview", runtime="none such")
    with pytest.raises(RuntimeUnavailableError, match="unknown runtime 'none such'"):
        list(Pipeline(decoder, Kept(), read=streams.__getitem__).run(tasks_of(streams)))


def test_room_is_given_in_order_and_a_large_picture_goes_alone() -> None:
    room, order = Room(10), []

    def enter(ticket: int, pixels: int) -> None:
        room.enter(ticket, pixels)
        order.append(ticket)

    sizes = [4, 5, 30, 1]
    threads = [threading.Thread(target=enter, args=(n, size)) for n, size in enumerate(sizes)]
    for thread in reversed(threads):
        thread.start()
    threads[0].join(1)
    threads[1].join(1)
    assert order == [0, 1]
    room.leave(4)
    threads[2].join(0.05)
    assert threads[2].is_alive()  # not beside another
    room.leave(5)
    threads[2].join(1)
    threads[3].join(0.05)
    assert threads[3].is_alive()
    room.leave(30)
    threads[3].join(1)
    assert order == [0, 1, 2, 3]


def test_entropy_decoding_lets_other_threads_run(shipped: Codec, paint: Paint) -> None:
    if not shipped.coder.is_native:
        pytest.skip("the C core is not built")
    picture = np.tile(paint(1024, 1024), (2, 2, 1))
    latents, level = Encoder(shipped).latents(picture), from_quality(95)
    coded = shipped.coder.encode(latents, level, rounding=128, strength=20, merge_below=1 << 30)
    rows, columns, _ = latents.shape
    steps, longest, stop = 0, 0.0, threading.Event()

    def count() -> None:
        nonlocal steps, longest
        last = time.perf_counter()
        while not stop.is_set():
            steps += 1
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    thread = threading.Thread(target=count)
    thread.start()
    began = time.perf_counter()
    before = steps
    shipped.coder.decode(coded.segments, rows, columns, level, merged=True)
    took, counted = time.perf_counter() - began, steps - before
    stop.set()
    thread.join()
    # With the lock held, the other thread would stand still for all of `took`.
    assert counted > 1000
    assert longest < 0.9 * took


def test_outcomes_say_what_went_through(streams: dict[Path, bytes], codec: Codec) -> None:
    pipeline = Pipeline(Decoder(codec, "preview"), Kept(), read=streams.__getitem__)
    (outcome,) = pipeline.run([Task(Path("0.helio"), Path("0.png"))])
    assert isinstance(outcome, Outcome)
    assert (outcome.width, outcome.height, outcome.quality) == (97, 61, 20.0)
    assert 0 < outcome.seconds < 5


def test_preview_pictures_are_those_of_the_preview_decoder(streams: dict[Path, bytes], codec: Codec) -> None:
    kept = Kept()
    list(Pipeline(Decoder(codec, "preview"), kept, read=streams.__getitem__).run(tasks_of(streams)))
    decoder = PreviewDecoder(codec)
    for path, data in streams.items():
        expected = decoder.decode(decode_stream(data, codec))
        assert np.array_equal(kept.pictures[path.with_suffix(".png")], expected)
