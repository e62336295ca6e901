"""Streams in any order to pictures: one that refers to another among them waits until that was decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from heliograph.errors import ReferenceMissing
from heliograph.server.pipeline import Outcome, Pipeline, Task
from heliograph.server.references import References


def decode_chains(pipeline: Pipeline, tasks: Iterable[Task], references: References) -> Iterator[Outcome]:
    """Run a pipeline, whose decoder has these references, and yield an outcome for each task; see `Pipeline.run`."""
    waiting: dict[bytes, list[Outcome]] = {}  # by the picture that they refer to
    ready: deque[Task] = deque()
    again: set[Task] = set()
    rest = iter(tasks)

    def wake() -> None:
        for picture_id in references.news():
            ready.extend(outcome.task for outcome in waiting.pop(picture_id, []))

    def feed() -> Iterator[Task]:
        while True:
            wake()
            task = ready.popleft() if ready else next(rest, None)
            if task is None:
                return
            yield task

    while True:
        for outcome in pipeline.run(feed()):
            missing = outcome.error
            if not isinstance(missing, ReferenceMissing) or outcome.task in again:
                yield outcome
                continue
            again.add(outcome.task)
            if references.knows(missing.picture_id):  # decoded meanwhile
                ready.append(outcome.task)
            else:
                waiting.setdefault(missing.picture_id, []).append(outcome)
        wake()
        if not ready:
            break
    for outcomes in waiting.values():
        yield from outcomes
