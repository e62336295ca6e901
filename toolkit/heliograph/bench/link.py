"""The figures of the link, each from a run: goodput on bad lines, survival, CPU, XMODEM and ZMODEM.

    python -m heliograph.bench.link [PART...]

Parts: goodput (virtual time, repeatable), survival, memory, cpu, others (real processes on pseudo-terminals;
sz, rz, sx, rx of the package lrzsz where they are installed). Goodput is bytes of pictures times 10 bits over baud
times seconds, to the last confirmation; in virtual time from before the handshake, of processes from after it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from heliograph.bench.link_processes import Timed, survive, time_lrzsz, time_ours
from heliograph.errors import HeliographError
from heliograph.link.port import BITS_PER_BYTE
from heliograph.link.simulate.line import Faults, Line
from heliograph.link.simulate.line import run as run_line
from heliograph.link.simulate.spool import MemorySpool
from heliograph.link.transfer.receiver import Receiver
from heliograph.link.transfer.sender import Sender
from heliograph.link.transfer.store import Store

KEY = bytes(range(32))


def goodput(
    baud: int, faults: Faults | None = None, *, delay: float = 0.0, key: bytes | None = None, count: int = 100
) -> float:
    """Return the share of the line rate that pictures of 8000 bytes get, in virtual time; 0 if not all arrive."""
    size, draw = 8000, random.Random(1)
    spool = MemorySpool(
        {f"20260101T{n:06d}.000000Z-{n:08x}.helio": draw.randbytes(size) for n in range(count)}
    )
    clean = count * size * BITS_PER_BYTE / baud  # seconds
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        ends = Sender(spool, "camera", key=key), Receiver(store, key=key)
        lines = tuple(Line(baud, delay=delay, faults=faults, seed=seed) for seed in (1, 2))
        seconds = run_line(
            ends, (lines[0], lines[1]), until=50 * clean, is_over=lambda now: not spool.streams
        )
        store.close()
    return clean / seconds if not spool.streams else 0.0


def show_goodput() -> None:
    print("goodput, share of the line rate, virtual time, 100 pictures of 8000 bytes")
    cases: list[tuple[str, int, Faults, float]] = [
        ("115200 baud, clean", 115200, Faults(), 0.0),
        ("115200 baud, 1e-4 of bits wrong", 115200, Faults(bit_error=1e-4), 0.0),
        ("115200 baud, 10 % of frames lost", 115200, Faults(write_loss=0.1), 0.0),
        ("115200 baud, 200 ms delay each way", 115200, Faults(), 0.2),
        ("115200 baud, bursts of 64 bytes each 10 kB, 200 ms", 115200, Faults(burst=1e-4), 0.2),
        ("9600 baud, clean", 9600, Faults(), 0.0),
        ("921600 baud, clean", 921600, Faults(), 0.0),
    ]
    for text, baud, faults, delay in cases:
        plain, keyed = (goodput(baud, faults, delay=delay, key=key) for key in (None, KEY))
        print(f"  {text:52s} {plain:6.1%}   with a key {keyed:6.1%}", flush=True)


def show_survival() -> None:
    print(
        "200 pictures, 460800 baud, noise, line cut 50 times, either end or both killed 50 times (real processes)"
    )
    for seed in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            survival = survive(
                Path(folder),
                pictures=200,
                size=6000,
                kills=50,
                cuts=50,
                baud=460800,
                seed=seed,
                faults=["--bit-error", "1e-5", "--burst", "1e-5"],
                limit=400,
            )
        print(
            f"  seed {seed}: {survival.whole} of {survival.sent} byte-identical, {survival.twice} twice, "
            f"{survival.left} left over, {survival.kills} kills, {survival.seconds:.0f} s",
            flush=True,
        )


def show_memory() -> None:
    from heliograph.bench.link_memory import survive_with_memory

    print(
        "a fixed camera with site memory: 200 pictures, 38400 baud, line cut 50 times, both ends killed 50 times"
    )
    with tempfile.TemporaryDirectory() as folder:
        found = survive_with_memory(
            Path(folder), pictures=200, kills=50, cuts=50, baud=38400, seed=1, pause=14.0, limit=1800
        )
    print(
        f"  {found.right} of {found.made} arrived and decoded to what they are, {found.undecodable} undecodable, "
        f"{found.twice} twice, {found.left} left over, {found.referring} refer to earlier ones, {found.kills} kills, "
        f"{found.seconds:.0f} s",
        flush=True,
    )


def show_cpu() -> None:
    print(
        "CPU of the sender, share of a core, from the open session to the end (real process, pseudo-terminal)"
    )
    for baud, count in ((921600, 200), (115200, 20)):
        transfer = time_ours(baud, count=count, size=20000, limit=200)
        print(
            f"  {baud} baud: {transfer.cpu:.1%} over {transfer.seconds:.1f} s, goodput {transfer.goodput:.1%}",
            flush=True,
        )


def show_others() -> None:
    size, limit = 100_000, 45.0
    sx, rx = ["sx", "-b", "-k"], ["rx", "-b", "-c", "file"]  # with -q they do not find each other
    print(
        f"{size} bytes at 115200 baud over the same pseudo-terminal line, real processes, at most {limit:.0f} s"
    )
    cases: list[tuple[str, list[str]]] = [
        ("clean", []),
        ("1e-5 of bits wrong", ["--bit-error", "1e-5"]),
        ("1e-4 of bits wrong", ["--bit-error", "1e-4"]),
        ("1e-4 of bytes lost", ["--byte-loss", "1e-4"]),
        ("cut 5 times", ["--cuts", "5", "--cut-every", "3", "--cut-for", "1"]),
    ]
    ways: list[tuple[str, Callable[[list[str]], Timed | None]]] = [
        ("heliograph", lambda faults: time_ours(115200, count=1, size=size, faults=faults, limit=limit)),
        (
            "ZMODEM (sz)",
            lambda faults: time_lrzsz(
                ["sz", "-b", "-q"], ["rz", "-b", "-q"], 115200, size=size, faults=faults, limit=limit
            ),
        ),
        (
            "XMODEM-1K (sx)",
            lambda faults: time_lrzsz(sx, rx, 115200, size=size, faults=faults, limit=limit),
        ),
    ]
    for text, faults in cases:
        for name, measure in ways:
            transfer = measure(faults)
            if transfer is None:
                print(f"  {text:22s} {name:15s} not installed: apt-get install lrzsz")
            elif transfer.arrived:
                print(
                    f"  {text:22s} {name:15s} {transfer.goodput:6.1%} in {transfer.seconds:.1f} s", flush=True
                )
            else:
                print(f"  {text:22s} {name:15s} failed after {transfer.seconds:.0f} s", flush=True)


PARTS = ("goodput", "survival", "memory", "cpu", "others")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the parts asked for."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.bench.link", description=__doc__)
    parser.add_argument("parts", metavar="PART", nargs="*", help=f"{', '.join(PARTS)}; default: all")
    options = parser.parse_args(arguments)
    shows = {
        "goodput": show_goodput,
        "survival": show_survival,
        "memory": show_memory,
        "cpu": show_cpu,
        "others": show_others,
    }
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    try:
        for part in options.parts or PARTS:
            shows[part]()
    except HeliographError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
