"""The record of a soak, which of its promises were broken, and the tables of it."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from heliograph.bench.soak_field import Device, Gateway
from heliograph.bench.soak_plan import FLAT, Plan
from heliograph.bench.soak_receivers import ReceiverProcess, Sample

ROWS = 12  # of the table over time
MB = 1e6


@dataclass(frozen=True)
class Moment:
    """How far all devices together were at a time."""

    time: float
    made: int
    confirmed: int
    refused: int


@dataclass(frozen=True)
class Wait:
    """A picture's way: when it was made after the beginning, and seconds until it was confirmed."""

    device: Device
    made: float
    seconds: float


@dataclass
class Run:
    """All of a run, while it goes on and after it; times are of the monotonic clock."""

    plan: Plan
    began: float
    devices: list[Device] = field(default_factory=list)
    gateways: list[Gateway] = field(default_factory=list)
    receivers: list[ReceiverProcess] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """Pictures that are not confirmed."""
        return sum(device.waiting for device in self.devices)

    def sample(self, now: float) -> None:
        """Look at all receivers and devices."""
        for receiver in self.receivers:
            receiver.sample(now)
        made = sum(len(device.pictures) for device in self.devices)
        refused = sum(device.told["paused"] for device in self.devices)
        self.moments.append(Moment(now, made, made - self.waiting, refused))

    def show(self) -> list[str]:
        """Print the tables; return the promises that were broken, which are printed too."""
        self._show_time()
        broken = [*self._show_pictures(), *self._show_waits(), *self._show_receivers()]
        for text in broken:
            print(f"BROKEN: {text}")
        if not broken:
            print("All promises were kept.")
        return broken

    def _show_time(self) -> None:
        print("minute   made  confirmed  refused for now  memory MB  open files  log kB")
        step = max((len(self.moments) - 1) / ROWS, 1)
        for n in sorted({round(row * step) for row in range(ROWS + 1)} & set(range(len(self.moments)))):
            moment = self.moments[n]
            samples = [receiver.samples[n] for receiver in self.receivers if n < len(receiver.samples)]
            print(
                f"{(moment.time - self.began) / 60:6.1f} {moment.made:6d} {moment.confirmed:10d} {moment.refused:16d} "
                f"{sum(s.memory for s in samples) / MB:10.1f} {sum(s.files for s in samples):11d} "
                f"{sum(s.log for s in samples) / 1e3:7.0f}"
            )

    def _show_pictures(self) -> Iterator[str]:
        kept = {device: Counter(found) for r in self.receivers for device, found in r.kept().items()}
        made = whole = lost = twice = waiting = 0
        for device in self.devices:
            on_disk = kept.get(device.name, Counter())
            for picture in device.pictures.values():
                made += 1
                whole += on_disk[picture.digest] > 0
                twice += on_disk[picture.digest] > 1
                waiting += picture.confirmed is None
                lost += picture.confirmed is not None and not on_disk[picture.digest]
        text = (
            f"{made} pictures made, {made - waiting} confirmed, {whole} on the disk bit for bit, {lost} confirmed and "
            f"lost, {twice} there twice, {waiting} never confirmed"
        )
        print(text)
        if not made or whole != made or lost or twice or waiting:
            yield text
        count = Counter[str]()
        for device in self.devices:
            count.update(device.told)
        print("told by devices: " + ", ".join(f"{what} {times}" for what, times in sorted(count.items())))
        if self.plan.fills and not count["paused"]:
            yield "the disk was full, and no device was told so"
        hostiles = [gateway.hostile for gateway in self.gateways if gateway.hostile is not None]
        print(
            f"{sum(h.floods for h in hostiles)} floods of {sum(h.written for h in hostiles) / MB:.1f} MB; lines cut "
            f"{sum(g.cuts.count for g in self.gateways)} times, {sum(g.lost_connections for g in self.gateways)} with "
            f"their connection, devices alone {sum(d.shadow.count for d in self.devices)} times; the disk of "
            f"{self.plan.disk / MB:.0f} MB full {len(self.plan.fills)} times, {self.plan.full_for:.0f} s each"
        )

    def _show_waits(self) -> Iterator[str]:
        waits = [
            Wait(device, picture.made - self.began, picture.confirmed - picture.made)
            for device in self.devices
            for picture in device.pictures.values()
            if picture.confirmed is not None
        ]
        for is_near, is_keyed in itertools.product((False, True), (True, False)):
            group = [
                wait
                for wait in waits
                if (self.plan.is_near_full(wait.made), wait.device.is_keyed) == (is_near, is_keyed)
            ]
            if not group:
                continue
            latest = max(group, key=lambda wait: wait.seconds)
            terms, seconds = self.plan.terms(latest.made, is_keyed=is_keyed), sorted(w.seconds for w in group)
            print(
                f"{'with' if is_keyed else 'without'} a key, {'around a' if is_near else 'away from a'} full disk: "
                f"{len(group)} pictures, from made to confirmed {statistics.median(seconds):.1f} s in the median, 99 % "
                f"in {seconds[len(seconds) * 99 // 100]:.1f} s, the latest {latest.seconds:.1f} s "
                f"({latest.device.name}), bound {sum(terms.values()):.0f} s:"
            )
            print("  " + ", ".join(f"{what} {value:.0f}" for what, value in terms.items()))
            if latest.seconds > sum(terms.values()):
                yield f"a picture of {latest.device.name} was confirmed after {latest.seconds:.1f} s"
        worst = dict[str, float]()
        for wait in waits:
            worst[wait.device.name] = max(worst.get(wait.device.name, 0.0), wait.seconds)
        print(
            "the worst wait of each device, s: "
            + ", ".join(f"{worst.get(d.name, -1):.0f}" for d in self.devices)
        )
        if missing := [device.name for device in self.devices if device.name not in worst]:
            yield f"nothing of {', '.join(missing)} was ever confirmed"

    def _show_receivers(self) -> Iterator[str]:
        print("receiver   memory MB, 1st half, 2nd  open files, 1st half, 2nd  most log kB in a minute")
        for receiver in self.receivers:
            first, second = self._halves(receiver.samples)
            memory, files = [
                [max(getattr(s, what) for s in half) for half in (first, second)]
                for what in ("memory", "files")
            ]
            log, most = self._worst_minute(receiver)
            print(
                f"{receiver.name:9s} {memory[0] / MB:19.1f} {memory[1] / MB:8.1f} {files[0]:20d} {files[1]:4d} "
                f"{log / 1e3:13.1f} of {most / 1e3:.1f}"
            )
            if receiver.has_died:
                yield f"receiver {receiver.name} ended: {receiver.last_words()}"
            if memory[1] > FLAT * memory[0]:
                yield f"memory of {receiver.name} grew by {memory[1] / memory[0] - 1:.1%}"
            if max(files) > self.plan.most_files:
                yield f"{receiver.name} had {max(files)} files open, expected {self.plan.most_files} at most"
            if log > most:
                yield f"{receiver.name} logged {log} bytes in a minute"

    def _halves(self, samples: list[Sample]) -> tuple[list[Sample], list[Sample]]:
        """Return the samples after the warm-up in two halves."""
        warm = [s for s in samples if s.time >= self.began + self.plan.warm_up] or samples
        return warm[: (len(warm) + 1) // 2], warm[len(warm) // 2 :]

    def _worst_minute(self, receiver: ReceiverProcess) -> tuple[int, int]:
        """Return the most bytes that were logged in a minute, and how many may be, with as many pictures as in any."""
        at, worst = 0, 0
        for sample in receiver.samples:
            while receiver.samples[at].time < sample.time - 60:
                at += 1
            worst = max(worst, sample.log - receiver.samples[at].log)
        return worst, self.plan.most_log
