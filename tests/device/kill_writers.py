"""Kills processes that write to a spool at random moments, with SIGKILL, and looks at what they leave.

    python kill_writers.py FOLDER KILLS SEED [MAX_BYTES]

Each round forks a writer that adds streams as fast as it can and reports every name it was given over a pipe, and,
with MAX_BYTES, a second one that removes the oldest, as a sender does. Both are killed after as long as 0 to 5 streams
take to add here, counted from the start or, half of the times, from the first report. Then the spool is opened again
and every promise is checked. Prints counts as JSON.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from heliograph.codec import container
from heliograph.codec.thin import thin
from heliograph.device.spool import Spool
from heliograph.errors import SpoolError


def make_stream(seed: int) -> bytes:
    """Return a stream of three layers of 100 to 30,000 random bytes that begins with its seed."""
    r = random.Random(seed)
    header = container.Header(seed.to_bytes(8, "little"), 640, 480, 500, 3)
    return container.pack(header, [r.randbytes(int(100 * 300 ** r.random())) for _ in range(3)])


def write(folder: Path, max_bytes: int | None, seed: int, pipe: int) -> None:
    spool = Spool(folder, max_bytes=max_bytes)
    while True:
        data = make_stream(seed)
        os.write(pipe, f"+ {seed} {spool.add(data)}\n".encode())  # one write below PIPE_BUF: whole or not
        seed += 1


def remove(folder: Path, max_bytes: int | None, pipe: int) -> None:
    spool = Spool(folder, max_bytes=max_bytes)
    while True:
        for name in spool.names()[:1]:
            try:
                spool.read(name)
            except SpoolError:
                continue  # dropped meanwhile
            os.write(pipe, f"- {name}\n".encode())
            spool.remove(name)
            os.write(pipe, f"= {name}\n".encode())


def time_to_add(folder: Path) -> float:
    """Return the seconds that adding one stream takes, on this disk, at this load."""
    spool = Spool(folder)
    began = time.perf_counter()
    for seed in range(10):
        spool.add(make_stream(seed))
    return (time.perf_counter() - began) / 10


def fork(work: object, *arguments: object) -> int:
    child = os.fork()
    if child == 0:
        try:
            work(*arguments)  # type: ignore[operator]
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)
    return child


def check(name: str, data: bytes, acknowledged: dict[str, int]) -> bool:
    """Return whether a stream is thinned; AssertionError unless it is one that was added, whole and sound."""
    seed = int.from_bytes(container.open(data).header.codec_id, "little")
    assert acknowledged.get(name, seed) == seed, f"{name} holds another stream"
    whole = make_stream(seed)
    assert data in (whole, thin(whole, 2), thin(whole, 1)), f"{name} is damaged"
    return data != whole


def main(folder: Path, kills: int, seed: int, max_bytes: int | None) -> None:
    r = random.Random(seed)
    acknowledged: dict[str, int] = {}
    removed: set[str] = set()  # or about to be
    gone: set[str] = set()
    unacknowledged = leftovers = thinned = dropped = 0
    last = ""
    longest = 5 * time_to_add(folder.with_name("timing"))
    for number in range(kills):
        out, into = os.pipe()
        children = [fork(write, folder, max_bytes, number << 20, into)]
        if max_bytes is not None:
            children.append(fork(remove, folder, max_bytes, into))
        os.close(into)
        if (
            r.random() < 0.5
        ):  # some at any moment, some after the first report: a busy machine may take its time
            select.select([out], [], [], 10)
        time.sleep(r.uniform(0, longest))
        for child in r.sample(children, len(children)):
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            assert os.WIFSIGNALED(status), "a writer ended by itself"
        with os.fdopen(out) as reports:
            for line in reports:
                sign, *fields = line.split()
                if sign == "+":
                    assert fields[1] > last, "names do not rise"
                    last = fields[1]
                    acknowledged[last] = int(fields[0])
                else:
                    (removed if sign == "-" else gone).add(fields[0])
        if folder.is_dir():
            leftovers += sum(p.name.endswith(".partial") for p in folder.iterdir())
        spool = Spool(folder, max_bytes=max_bytes)
        assert not any(p.name.endswith(".partial") for p in folder.iterdir()), "a leftover was not removed"
        names = spool.names()
        assert not gone.intersection(names), "a removed stream came back"
        missing = [n for n in acknowledged if n not in names and n not in removed]
        if max_bytes is None:
            assert not missing, f"acknowledged and lost: {missing}"
        else:  # dropped for room: only the oldest may go, so nothing older than a missing one is left
            assert not missing or not names or max(missing) < names[0], "a newer one was dropped first"
            assert sum((folder / n).stat().st_size for n in names) <= max_bytes
            dropped += len(missing)
            removed |= set(missing)
        unacknowledged += sum(n not in acknowledged for n in names)
        thinned += sum(check(n, spool.read(n), acknowledged) for n in names)
        last = max([last, *names])
        if max_bytes is None or r.random() < 0.1:
            for name in names:  # as after a good night's link
                spool.remove(name)
            removed |= set(names)
    counts = {
        "kills": kills,
        "acknowledged": len(acknowledged),
        "whole but not acknowledged": unacknowledged,
        "leftovers removed": leftovers,
        "thinned seen": thinned,
        "dropped for room": dropped,
    }
    print(json.dumps(counts))


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else None
    )
