"""The pipeline on many machines: Ray Data feeds a pool of actors, each with a decoder of its own.

Inputs and outputs are any places that fsspec knows (s3://, gs://, file paths ...). A stream whose picture is there is
left out, so that a run that ended goes on. The streams of an actor that dies are decoded by another; writing a picture
twice gives the same picture.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.errors import OutputError, RuntimeUnavailableError, StreamError
from heliograph.extras import install
from heliograph.files import write_whole
from heliograph.pictures import png
from heliograph.server.decoders import Decoder
from heliograph.server.pipeline import Outcome, Pipeline, Task

BATCH = 64  # streams that an actor takes at once, and decodes again if it dies
SUFFIX = ".helio"


def load(name: str) -> Any:
    """Return a module of the extra `cluster`; RuntimeUnavailableError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"--engine ray needs Ray and fsspec ({error}): {install('cluster')}"
        ) from error


def read_place(place: Any) -> bytes:
    """Return the bytes at a path or URL; StreamError if they cannot be read."""
    system, path = load("fsspec").core.url_to_fs(str(place))
    try:
        return bytes(system.cat_file(path))
    except Exception as error:  # every store has its own
        raise StreamError(f"cannot read {place}: {type(error).__name__}: {error}; check the place") from error


def write_place(place: Any, picture: npt.NDArray[np.uint8], told: Mapping[str, str] | None = None) -> None:
    """Write a picture as PNG to a path or URL, whole or not at all; OutputError if that fails."""
    system, path = load("fsspec").core.url_to_fs(str(place))
    data = png(picture, told)
    try:
        if "file" in np.atleast_1d(system.protocol):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(Path(path), data)
        else:
            system.pipe_file(path, data)  # object stores show an object when it is whole
    except OutputError:
        raise
    except Exception as error:
        raise OutputError(
            f"cannot write {place}: {type(error).__name__}: {error}; check the place and who may write there"
        ) from error


def find_tasks(sources: list[str], out: str, *, force: bool = False) -> tuple[list[dict[str, str]], int]:
    """Return source and target of the streams that are still to be decoded, and how many are done.

    Args:
        sources: streams, and folders, below which every stream is taken and keeps its place.

    Raises:
        OutputError: two streams would become the same picture.
        StreamError: there are none.
    """
    core = load("fsspec").core
    place, root = core.url_to_fs(out)
    origins: dict[str, str] = {}
    for source in sources:
        system, path = core.url_to_fs(source)
        names = (
            [path] if source.endswith(SUFFIX) else sorted(n for n in system.find(path) if n.endswith(SUFFIX))
        )
        for name in names:
            inner = name.rsplit("/", 1)[-1] if name == path else name[len(path) :].lstrip("/")
            target = f"{root.rstrip('/')}/{inner[: -len(SUFFIX)]}.png"
            if target in origins:
                raise OutputError(f"{origins[target]} and {name} would both become {target}; rename one")
            origins[target] = str(system.unstrip_protocol(name))
    if not origins:
        raise StreamError(f"no streams in {', '.join(sources)}: expected names ending in {SUFFIX}")
    done = set() if force or not place.exists(root) else set(place.find(root))
    todo = [
        {"source": source, "target": str(place.unstrip_protocol(target))}
        for target, source in origins.items()
        if target not in done
    ]
    return todo, len(origins) - len(todo)


@dataclass(frozen=True)
class Settings:
    """What every actor needs to know; the codec's folder must be there on every machine."""

    kind: str
    codec: str | None = None
    runtime: str | None = None
    partial: bool = False
    threads: int | None = None
    max_pixels: int | None = None
    cores: int | None = None  # that an actor has to itself; None: all of its machine


class Actor:
    """Decodes batches of streams with a decoder that is loaded once."""

    def __init__(self, settings: Settings) -> None:
        if settings.cores is not None:
            # Every actor's TensorFlow would take all cores, and two on two cores took three times as long as one.
            os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(settings.cores))
        decoder = Decoder(
            settings.codec,
            settings.kind,
            runtime=settings.runtime,
            threads=settings.cores or 1,
            max_pixels=settings.max_pixels,
        )
        threads = settings.threads or settings.cores
        self._pipeline = Pipeline(
            decoder, write_place, read=read_place, partial=settings.partial, threads=threads
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return what became of the streams of a batch."""
        tasks = [Task(str(s), str(t)) for s, t in zip(batch["source"], batch["target"], strict=True)]
        return {"outcome": np.array([*self._pipeline.run(tasks)], object)}


def run(
    tasks: list[dict[str, str]], settings: Settings, *, actors: int, gpus: float = 0, batch: int = BATCH
) -> Iterator[Outcome]:
    """Decode on the cluster that RAY_ADDRESS names, or one of this machine alone; yield an outcome for each stream.

    Args:
        actors: processes with a decoder each.
        gpus: of each actor.
    """
    ray, data = load("ray"), load("ray.data")
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    resources = {"num_gpus": gpus} if gpus else {"num_cpus": 1}
    if not gpus:
        settings = replace(settings, cores=max(1, int(ray.cluster_resources().get("CPU", 1)) // actors))
    rows = data.from_items(tasks, override_num_blocks=max(1, -(-len(tasks) // batch))).map_batches(
        Actor,
        fn_constructor_args=(settings,),
        batch_size=batch,
        compute=data.ActorPoolStrategy(size=actors),
        **resources,
    )
    try:
        yield from (row["outcome"] for row in rows.iter_rows())
    except Exception as error:
        reason = str(error).strip().splitlines()[-1][:300] if str(error).strip() else type(error).__name__
        raise OutputError(
            f"the cluster gave up: {reason}; start it again, pictures that are there are left out"
        ) from error
