"""An hour in a hostile field: many devices, a disk that fills, lines that are cut, a neighbour that floods.

    python -m heliograph.bench.soak --minutes 60

Real `heliograph receive` processes, one for each line, are joined by TCP to gateways on which simulated devices share a
line; every second line has a key. On every line a hostile neighbour without a key floods the receiver and the devices
with one thing after another. The disk of all inboxes is small, and full now and then. In the end every picture of
every device must lie on it, bit for bit, once, confirmed within a bound that is worked out and printed; memory and
open files of the receivers must be flat, and their logs bounded. Ends with 1 where such a promise is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from heliograph.bench.soak_field import Device, Gateway, listen
from heliograph.bench.soak_hostile import Hostile
from heliograph.bench.soak_plan import STRANGERS, Plan
from heliograph.bench.soak_receivers import Ballast, ReceiverProcess, small_disk
from heliograph.bench.soak_report import Run
from heliograph.errors import HeliographError, LinkError
from heliograph.link.port import BITS_PER_BYTE
from heliograph.link.wire import keys

COMES_WITHIN = 60.0  # seconds
TICK = 0.25  # seconds between two looks at what is not a line


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m heliograph.bench.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def option(name: str, kind: type, default: float, text: str) -> None:
        parser.add_argument(name, type=kind, default=default, metavar="N", help=f"{text} (%(default)s)")

    option("--minutes", float, 60, "of pictures and floods; then what waits may come")
    option("--devices", int, 50, "honest ones")
    option("--lines", int, 5, "each with a receiver of its own, shared by its devices")
    option("--baud", int, 115200, "of a line")
    option("--every", float, 60, "seconds between two pictures of a device, on average")
    option("--cut-every", float, 120, "seconds between two cuts of a line, and of a device's own")
    option("--flood-every", float, 15, "seconds of rest between two floods on a line")
    option("--flood-share", float, 0.5, "of the line's rate that a flood takes")
    option("--fills", int, 4, "times that the disk is full")
    option("--full-for", float, 90, "seconds that it is full then")
    option("--seed", int, 1, "of all chance")
    return parser.parse_args(arguments)


def name_of(number: int) -> str:
    """Return the name of an honest device."""
    return f"cam-{number:02d}"


class Field:
    """All of a run: receivers on a disk, and when they have come, the gateways and their devices; see `main`.

    Raises:
        LinkError: a receiver did not come.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, plan = options, Plan.of(options)
        self._ballast, self._is_full = Ballast(folder / "disk/ballast"), False
        key_file = folder / "key"
        keys.new_key_file(key_file)
        key = keys.read_key_file(key_file)
        lines = [(line, key if line % 2 == 0 else None, listen()) for line in range(options.lines)]
        for n in range(options.devices):  # so that no stranger takes their places
            (folder / f"disk/{n % options.lines}" / name_of(n)).mkdir(parents=True)
        quota = ["--device-quota", str(plan.device_quota), "--max-devices", str(plan.per_line + STRANGERS)]
        self._receivers = [
            ReceiverProcess(
                f"{'keyed' if key else 'plain'}-{line}",
                listening.getsockname()[1],
                folder / f"disk/{line}",
                folder / f"{line}.log",
                *quota,
                *(["--key-file", str(key_file)] if key else []),
            )
            for line, key, listening in lines
        ]
        for receiver, (_, _, listening) in zip(self._receivers, lines, strict=True):
            if not select.select([listening], [], [], COMES_WITHIN)[0]:
                self.end()
                raise LinkError(f"receiver {receiver.name} did not come: {receiver.last_words()}")
        self.run = Run(plan, time.monotonic(), receivers=self._receivers)
        for line, line_key, listening in lines:
            self._add_line(line, line_key, listening)

    def _add_line(self, line: int, key: bytes | None, listening: socket.socket) -> None:
        options, began = self._options, self.run.began
        devices = [
            Device(
                name_of(n),
                key,
                every=options.every,
                cut_every=options.cut_every,
                now=began,
                seed=options.seed * 1000 + n,
            )
            for n in range(line, options.devices, options.lines)
        ]
        hostile = Hostile(
            [device.name for device in devices],
            rate=options.baud / BITS_PER_BYTE,
            share=options.flood_share,
            every=options.flood_every,
            begin=began + self.run.plan.warm_up + line,
            seed=options.seed * 1000 + 500 + line,
        )
        seed = options.seed * 100 + line
        self.run.gateways.append(
            Gateway(devices, options.baud, options.cut_every, began, seed, listening, hostile)
        )
        self.run.devices += devices

    def live(self) -> None:
        """Run until all pictures are confirmed, or the bound for the last has passed."""
        run, plan = self.run, self.run.plan
        due = [run.began] * len(run.gateways)
        next_tick = next_sample = run.began
        longest = sum(plan.terms(plan.seconds, is_keyed=False).values())
        while True:
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now + TICK
                self._weigh_down(now)
                for device in run.devices:
                    device.live(now, is_making=now < run.began + plan.seconds)
                after = now - run.began - plan.seconds
                if after >= 0 and (not run.waiting or after > longest):
                    break
            if now >= next_sample:
                next_sample = now + plan.sample_every
                run.sample(now)
            reading, writing = [], []
            for gateway in run.gateways:
                more = gateway.waits_for(now)
                reading += more[0]
                writing += more[1]
            wait = min(*due, next_tick, next_sample) - now
            ready = {*itertools.chain(*select.select(reading, writing, [], max(wait, 0.0)))}
            now = time.monotonic()
            for n, gateway in enumerate(run.gateways):
                if now >= due[n] or not ready.isdisjoint(itertools.chain(*gateway.waits_for(now))):
                    due[n] = gateway.step(now)
        run.sample(time.monotonic())
        for gateway in run.gateways:
            gateway.close()

    def _weigh_down(self, now: float) -> None:
        """Fill the disk or empty it, as the plan has it."""
        is_full = self.run.plan.is_full(now - self.run.began)
        if is_full:
            self._ballast.fill()  # again and again: what a receiver gives up is not its to take
        elif self._is_full:
            self._ballast.empty()
        self._is_full = is_full

    def end(self) -> None:
        """End the receivers."""
        for receiver in self._receivers:
            receiver.end()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and return 1 if a promise was broken."""
    options = options_of(arguments)
    try:
        if not 0 < options.lines <= options.devices:
            raise LinkError(f"{options.devices} devices on {options.lines} lines: give each line a device")
        with contextlib.ExitStack() as stack:
            # So that no receiver and no mount is left when this is ended.
            before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
            stack.callback(signal.signal, signal.SIGTERM, before)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (folder / "disk").mkdir()
            if not stack.enter_context(small_disk(folder / "disk", Plan.of(options).disk)) and options.fills:
                print(
                    "The disk is never full: mounting a small one needs root, or before the command: "
                    "unshare --map-root-user --mount"
                )
                options.fills = 0
            field = Field(options, folder)
            try:
                field.live()
            finally:
                field.end()
            broken = field.run.show()
    except HeliographError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
