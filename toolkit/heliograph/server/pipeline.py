"""Many streams to pictures: entropy decoding on threads, the network in batches of equal shape, writing on threads.

No stage waits for another longer than it must. Readers decode values in C, without the interpreter's lock. The
caller's thread groups pictures of equal shape and starts the network; while it computes, readers fetch the next and
writers encode the last. What is under way is bounded in streams and in pixels, so memory does not grow with the number
of streams. A bad stream becomes an outcome with an error and hurts no other.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliograph.codec import chain, levels
from heliograph.codec.decoder import CodecDecoder, Picture
from heliograph.codec.stream import Decoded
from heliograph.errors import HeliographError, OutputError, RuntimeUnavailableError
from heliograph.server.decoders import Decoder, read_stream
from heliograph.server.room import Room

PIXELS = 1 << 27  # under way at once: one of the largest pictures, or 64 of two megapixels
PATIENCE = 0.02  # seconds that the network stands still before it takes a batch that is not full
IN_FLIGHT = 2  # batches on the device: one computes while the next is brought there


@dataclass(frozen=True)
class Task:
    """A stream and the place of its picture: paths, or whatever `read` and `write` of the pipeline take."""

    source: Path | str
    target: Path | str


@dataclass(frozen=True)
class Outcome:
    """What a stream became.

    Attributes:
        error: why there is no picture, or None.
        loss: what a partial stream lacked, or "".
        seconds: of entropy decoding, its share of a batch, and writing, as far as it came.
    """

    task: Task
    error: HeliographError | None = None
    loss: str = ""
    width: int = 0
    height: int = 0
    stream_bytes: int = 0
    quality: float = 0.0
    seconds: float = 0.0


@dataclass
class Stages:
    """Seconds that each stage was busy, summed over its threads; `pixels` went through all of them."""

    entropy: float = 0.0
    network: float = 0.0
    write: float = 0.0
    pixels: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, stage: str, seconds: float, pixels: int = 0) -> None:
        """Count time of a stage."""
        with self.lock:
            setattr(self, stage, getattr(self, stage) + seconds)
            self.pixels += pixels


@dataclass(frozen=True)
class _Read:
    """A stream whose values are there."""

    task: Task
    decoded: Decoded
    room: int
    stream_bytes: int
    seconds: float


class Pipeline:
    """Decodes streams as fast as the machine can, in bounded memory.

    Args:
        decoder: of the streams' codecs.
        write: keeps a picture and what it says of itself at a path, in several threads at once; raises
            HeliographError if it cannot.
        partial: decode what is there of cut and damaged streams.
        read: returns the bytes of a stream.
        threads: of readers, and as many of writers; None: as many as CPU cores.
        pixels: under way at once.
    """

    def __init__(
        self,
        decoder: Decoder,
        write: Callable[[Any, Picture, dict[str, str]], None],
        *,
        partial: bool = False,
        read: Callable[[Any], bytes] = read_stream,
        threads: int | None = None,
        pixels: int = PIXELS,
    ) -> None:
        self.stages = Stages()
        self._decoder, self._store, self._partial, self._fetch = decoder, write, partial, read
        self._threads = threads or max(2, os.cpu_count() or 1)
        self._pixels = pixels

    def run(self, tasks: Iterable[Task]) -> Generator[Outcome, None, None]:
        """Decode the streams of tasks and yield an outcome for each, as they are done.

        Raises:
            RuntimeUnavailableError: the decoder needs what is not installed; no stream could be decoded.
        """
        room = Room(self._pixels)
        readers = ThreadPoolExecutor(self._threads, "entropy")
        writers = ThreadPoolExecutor(self._threads, "write")
        try:
            yield from _Run(self, iter(tasks), room, readers, writers).outcomes()
        finally:
            room.open_for_all()
            readers.shutdown(cancel_futures=True)
            writers.shutdown()

    def _read(self, task: Task, ticket: int, room: Room) -> _Read | Outcome:
        began, entered = time.perf_counter(), None
        try:
            data = self._fetch(task.source)
            stream = chain.open(data)
            self._decoder.check_size(stream)  # before it waits for room, and others for it
            pixels = stream.header.width * stream.header.height
            reading = time.perf_counter() - began
            room.enter(ticket, pixels)
            entered = pixels
            began = time.perf_counter()  # waiting for room is no work
            decoded = self._decoder.values(stream, partial=self._partial, file=task.source)
            seconds = reading + time.perf_counter() - began
            self.stages.add("entropy", seconds)
            return _Read(task, decoded, pixels, len(data), seconds)
        except (HeliographError, MemoryError) as error:
            seconds = time.perf_counter() - began
            if entered is None:
                room.enter(ticket, 0)
            else:
                room.leave(entered)
            return Outcome(task, _told(error, task), seconds=seconds)
        except BaseException:
            if entered is None:
                room.enter(ticket, 0)
            raise

    def network(self, decoded: Decoded) -> CodecDecoder:
        """Return the decoder of a picture's codec; see `open_decoder` for the errors."""
        return self._decoder.of_codec(decoded.codec)

    def _write(self, read: _Read, picture: Picture, share: float, room: Room) -> Outcome:
        began = time.perf_counter()
        decoded = read.decoded
        try:
            self._store(read.task.target, picture, self._decoder.told(decoded))
        except (HeliographError, MemoryError) as error:
            return Outcome(read.task, _told(error, read.task), seconds=read.seconds + share)
        finally:
            room.leave(read.room)
            seconds = time.perf_counter() - began
            self.stages.add("write", seconds, decoded.width * decoded.height)
        return Outcome(
            read.task,
            None,
            "" if decoded.loss.is_none else str(decoded.loss),
            decoded.width,
            decoded.height,
            read.stream_bytes,
            levels.to_quality(decoded.level),
            read.seconds + share + seconds,
        )


class _Run:
    """The state of one run, in the caller's thread."""

    def __init__(
        self,
        pipeline: Pipeline,
        tasks: Iterator[Task],
        room: Room,
        readers: ThreadPoolExecutor,
        writers: ThreadPoolExecutor,
    ) -> None:
        self._pipeline, self._tasks, self._room = pipeline, tasks, room
        self._readers, self._writers = readers, writers
        self._tickets = 0
        self._reading: deque[Future[_Read | Outcome]] = deque()
        self._groups: dict[tuple[bytes, tuple[int, int]], list[_Read]] = {}
        self._flying: deque[tuple[list[_Read], Callable[[], list[Picture]], float]] = deque()
        self._writing: deque[Future[Outcome]] = deque()
        self._is_over = False
        self._ahead = 8 * pipeline._threads

    def outcomes(self) -> Iterator[Outcome]:
        while True:
            self._read_ahead()
            yield from self._written(wait_for=len(self._writing) > 2 * self._ahead)
            if self._reading:
                if not self._has_next():
                    # The network has nothing to do: better a batch that is not full than none. It also keeps
                    # pictures from waiting for others of their shape while these wait for their room.
                    if self._flying:
                        self._land()
                    elif self._groups:
                        yield from self._launch(max(self._groups, key=lambda key: len(self._groups[key])))
                    else:
                        wait([self._reading[0]])
                    continue
                read = self._reading.popleft().result()
                if isinstance(read, Outcome):
                    yield read
                    continue
                yield from self._group(read)
            elif self._groups:
                yield from self._launch(next(iter(self._groups)))
            elif self._flying:
                self._land()
            elif self._writing:
                yield from self._written(wait_for=True)
            else:
                return

    def _has_next(self) -> bool:
        first = self._reading[0]
        return first.done() or (not self._flying and bool(wait([first], PATIENCE).done))

    def _read_ahead(self) -> None:
        # Pictures in groups count too: many shapes must not hold more than one shape would.
        held = sum(map(len, self._groups.values()))
        while not self._is_over and len(self._reading) + held // 8 < self._ahead:
            task = next(self._tasks, None)
            if task is None:
                self._is_over = True
                return
            self._reading.append(self._readers.submit(self._pipeline._read, task, self._tickets, self._room))
            self._tickets += 1

    def _group(self, read: _Read) -> Iterator[Outcome]:
        try:
            network = self._pipeline.network(read.decoded)
        except RuntimeUnavailableError:
            raise
        except HeliographError as error:
            self._room.leave(read.room)
            yield Outcome(read.task, error)
            return
        shape = network.shape(read.decoded)
        key = read.decoded.codec.id, shape
        group = self._groups.setdefault(key, [])
        group.append(read)
        if len(group) >= network.batch(shape):
            yield from self._launch(key)

    def _launch(self, key: tuple[bytes, tuple[int, int]]) -> Iterator[Outcome]:
        group = self._groups.pop(key)
        began = time.perf_counter()
        try:
            finish = self._pipeline.network(group[0].decoded).start([read.decoded for read in group])
        except Exception as error:
            yield from self._alone(group, error)
            return
        self._flying.append((group, finish, time.perf_counter() - began))
        while len(self._flying) >= IN_FLIGHT:
            self._land()

    def _land(self) -> None:
        group, finish, seconds = self._flying.popleft()
        began = time.perf_counter()
        try:
            pictures = finish()
        except Exception as error:
            for outcome in self._alone(group, error):
                self._writing.append(self._writers.submit(lambda outcome=outcome: outcome))  # type: ignore[misc]
            return
        seconds += time.perf_counter() - began
        self._pipeline.stages.add("network", seconds)
        self._to_writers(group, pictures, seconds)

    def _to_writers(self, group: list[_Read], pictures: list[Picture], seconds: float) -> None:
        for read, picture in zip(group, pictures, strict=True):
            self._writing.append(
                self._writers.submit(self._pipeline._write, read, picture, seconds / len(group), self._room)
            )

    def _alone(self, group: list[_Read], error: Exception) -> Iterator[Outcome]:
        """Decode the pictures of a batch that failed one by one: memory for one may be there, or one is at fault."""
        for read in group:
            reason = error
            if len(group) > 1:
                began = time.perf_counter()
                try:
                    pictures = self._pipeline.network(read.decoded).start([read.decoded])()
                except Exception as again:
                    reason = again
                else:
                    self._to_writers([read], pictures, time.perf_counter() - began)
                    continue
            self._room.leave(read.room)
            yield Outcome(read.task, _told(reason, read.task), seconds=read.seconds)

    def _written(self, *, wait_for: bool) -> Iterator[Outcome]:
        while self._writing and (wait_for or self._writing[0].done()):
            yield self._writing.popleft().result()
            wait_for = False


def _told(error: BaseException, task: Task) -> HeliographError:
    if isinstance(error, HeliographError):
        return error
    if isinstance(error, MemoryError):
        return OutputError(f"{task.source}: not enough memory; use a machine with more, or a smaller picture")
    reason = str(error).splitlines()[0][:200] if str(error) else "no reason given"
    return OutputError(
        f"{task.source}: the decoder failed with {type(error).__name__}: {reason}; try --decoder preview"
    )
