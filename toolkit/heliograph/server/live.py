"""The latest pictures of every device, decoded anew as their bytes arrive, in turns, for whoever looks on."""

from __future__ import annotations

import hashlib
import io
import logging
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from crc32c import crc32c
from PIL import Image

from heliograph.codec import container, levels
from heliograph.codec.pack import alone_bytes
from heliograph.codec.stream import Decoded
from heliograph.errors import HeliographError, ReferenceMissing
from heliograph.pauses import Pauses, may_pass
from heliograph.pictures import png
from heliograph.server.arrivals import taken
from heliograph.server.decoders import Decoder
from heliograph.server.inbox import Entry, Inbox
from heliograph.server.references import References
from heliograph.server.turns import Turns

LOOK = 0.2  # seconds between two looks at the folder
VIEW_SIDE = 1280  # pixels; larger pictures are shown smaller
GONE = 10_000  # pictures that went, which are remembered for whoever looks on
WINDOW = 60.0  # seconds over which a device's rate is taken
FRESH, SILENT = 10.0, 900.0  # seconds without a byte until a device counts as waiting, and as silent
_log = logging.getLogger(__name__)


@dataclass
class Shown:
    """A picture on the page.

    Attributes:
        serial: of its last change.
        is_missing: what it refers to is not there.
        alone: about how many bytes it would take without its reference; None if it has none or is not whole.
        view: a JPEG, or empty.
        digest: of the view. Its address has it, for browsers show what they have of an address.
    """

    stream: Entry
    serial: int = 0
    version: int = 0
    width: int = 0
    height: int = 0
    quality: float = 0.0
    state: str = ""
    error: str = ""
    reference: container.Referred | None = None
    is_missing: bool = False
    alone: int | None = None
    view: bytes = b""
    digest: str = ""
    values: int = -1

    def as_json(self) -> dict[str, Any]:
        """Return what the page is told."""
        stream = self.stream
        told = {"device": stream.device, "name": stream.name, "whole": stream.is_whole}
        told |= {"held": stream.held, "bytes": stream.size, "order": stream.order[:2]}
        told |= {"changed": stream.changed, "taken": taken(stream.name)}
        told |= {"version": self.version, "view": self.digest, "width": self.width, "height": self.height}
        referred = self.reference
        told |= {
            "reference": referred and referred.picture_id.hex(),
            "depth": referred.depth if referred else 0,
        }
        told |= {"missing": self.is_missing, "alone": self.alone}
        return told | {"quality": self.quality, "state": self.state, "error": self.error}


@dataclass
class Device:
    """What is known of a device since the page was started.

    Attributes:
        last: when bytes came last, in seconds since 1970.
        heard: the same by a clock that nobody sets, as the times in `arrivals`.
    """

    name: str
    serial: int = 0
    last: float = 0.0
    heard: float = -math.inf
    pictures: int = 0
    failed: set[str] = field(default_factory=set)
    arrivals: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=4096))
    whole: set[str] = field(default_factory=set)
    told: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return what the page is told; health is receiving, waiting, silent, or failing."""
        now = time.monotonic()
        while self.arrivals and now - self.arrivals[0][0] >= WINDOW:
            self.arrivals.popleft()
        recent = sum(count for at, count in self.arrivals if now - at < WINDOW)
        quiet = now - self.heard
        health = "receiving" if quiet < FRESH else "waiting" if quiet < SILENT else "silent"
        if self.failed:
            health = "failing"
        told = {"device": self.name, "health": health, "bytes_per_second": round(recent / WINDOW, 1)}
        return told | {"pictures": self.pictures, "failed": len(self.failed), "last": self.last}


class Live:
    """Looks at an inbox and decodes what changed, of each device in turn the latest, on a thread of its own.

    Args:
        decoder: from now on what streams refer to is looked for in the folder.
        latest: pictures of each device that are kept.
    """

    def __init__(self, folder: Path, decoder: Decoder, *, latest: int = 12) -> None:
        self.inbox, self._decoder, self._latest = Inbox(folder, latest=latest), decoder, latest
        decoder.references = self._references = References(decoder.registry, inbox=folder)
        self._lock = threading.Lock()
        self._shown: dict[tuple[str, str], Shown] = {}  # and the devices: what changed last is last
        self._seen: dict[tuple[str, str], Entry] = {}  # as last counted; decoding lags behind
        self._devices: dict[str, Device] = {}
        self._gone: deque[tuple[int, tuple[str, str]]] = deque(maxlen=GONE)
        self._serial = 0
        self._run = secrets.token_hex(8)  # its serials are no other's
        self._turns = Turns()
        self._pauses = Pauses(5.0)  # of what failed for want of memory, or of the disk
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="live", daemon=True)

    def __enter__(self) -> Live:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def is_over(self) -> bool:
        """Whether it is being stopped."""
        return self._stop.is_set()

    def since(self, serial: int) -> tuple[int, list[tuple[str, dict[str, Any]]]]:
        """Return the newest serial and what changed after another: ("picture" or "device" or "gone", fields)."""
        with self._lock:
            # What changed last is last: only that much is looked at.
            changed = takewhile(lambda shown: shown.serial > serial, reversed(self._shown.values()))
            pictures = [("picture", shown.as_json()) for shown in changed]
            known = takewhile(lambda device: device.serial > serial, reversed(self._devices.values()))
            devices = [("device", device.told) for device in known]
            past = takewhile(lambda one: one[0] > serial, reversed(self._gone))
            gone = [("gone", {"device": device, "name": name}) for _, (device, name) in past]
            return self._serial, [*reversed(devices), *reversed(gone), *reversed(pictures)]

    def news(self, after: str) -> tuple[str, bool, list[tuple[str, dict[str, Any]]]]:
        """Return where whoever asks stands now, whether all is told anew, and what changed; see `since`.

        Args:
            after: where they stood when they asked last; anything else, and what was told by a page that was
                started before this one, is told all.
        """
        run, _, number = after.partition("-")
        serial = int(number) if run == self._run and number.isdecimal() else 0
        if len(self._gone) == GONE and self._gone[0][0] > serial:
            serial = 0  # what has gone since is not known any more
        newest, changes = self.since(serial)
        return f"{self._run}-{newest}", serial == 0, changes

    def view(self, device: str, name: str) -> bytes | None:
        """Return the JPEG of a picture on the page; None if there is none."""
        with self._lock:
            shown = self._shown.get((device, name))
            return shown.view or None if shown else None

    def picture(self, device: str, name: str) -> bytes | None:
        """Decode a stream to a PNG, whole or what is there of it; None if there is no such stream.

        Raises:
            HeliographError: it cannot be decoded, or is larger than the decoder's `max_pixels`.
        """
        stream = self.inbox.find(device, name)
        if stream is None:
            return None
        decoded = self._decoded(stream)
        return png(self._decoder.pixels(decoded), self._decoder.told(decoded))

    def step(self) -> bool:
        """Look once and decode one picture that changed; return whether there was one."""
        streams = self.inbox.look()
        waiting = {key for key, shown in self._shown.items() if shown.is_missing and shown.stream.is_whole}
        came = waiting - self._references.missing() if waiting else waiting
        pending = {stream.key: (shown, stream) for shown, stream in self._take(streams, came)}
        for stream, _ in self._turns.order(stream for _, stream in pending.values()):
            began = time.monotonic()
            self._decode(*pending[stream.key])
            self._turns.took(stream.device, time.monotonic() - began)
            return True
        return False

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                busy = self.step()
            except Exception:  # a page that stands still must say why, and go on
                _log.exception("cannot look at %s", self.inbox.folder)
                busy = False
            if not busy:
                self._stop.wait(LOOK)

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _take(
        self, streams: list[Entry], came: Collection[tuple[str, str]] = ()
    ) -> list[tuple[Shown, Entry]]:
        """Note what is there now; return what is to be decoded, latest first; `came`: those whose reference came."""
        now = time.time()
        pending = []
        with self._lock:
            here = {stream.key for stream in streams}
            for key in self._shown.keys() - here:
                del self._shown[key]
                self._pauses.forget(key)
                self._gone.append((self._next(), key))
            for key in self._seen.keys() - here:
                del self._seen[key]
            for stream in streams:
                before = self._seen.get(stream.key)
                if before is None or before.version != stream.version:
                    self._seen[stream.key] = stream
                    self._note(stream, before, now)
                shown = self._shown.get(stream.key)
                is_due = self._pauses.has(stream.key) and self._pauses.is_due(stream.key)
                if shown is None or shown.stream.version != stream.version or stream.key in came or is_due:
                    pending.append((shown or Shown(stream), stream))
                elif shown.stream.changed != stream.changed:  # the clock was set back
                    shown.stream = stream
                    self._tell_of(shown)
            names: dict[str, set[str]] = {}
            for called, name in here:
                names.setdefault(called, set()).add(name)
            for device in list(self._devices.values()):
                self._tell(device, names.get(device.name, set()), now)
        return pending

    def _tell_of(self, shown: Shown) -> None:
        """Tell of a picture anew."""
        shown.serial = self._next()
        self._shown.pop(shown.stream.key, None)
        self._shown[shown.stream.key] = shown

    def _tell(self, device: Device, names: set[str], now: float) -> None:
        """Note a device's state where it changed; `names` are those of its streams that are there."""
        device.whole &= names
        device.failed &= names
        device.last = min(device.last, now)
        if (told := device.as_json()) != device.told:
            device.told, device.serial = told, self._next()
            self._devices[device.name] = self._devices.pop(device.name)

    def _note(self, stream: Entry, before: Entry | None, now: float) -> None:
        """Count what arrived of a stream; what was there long before the first look is not the line's rate."""
        device = self._devices.setdefault(stream.device, Device(stream.device))
        heard = time.monotonic() - max(0.0, now - stream.changed)
        if before or abs(now - stream.version[0] / 1e9) < WINDOW:
            device.arrivals.append((heard, max(0, stream.held - (before.held if before else 0))))
        if heard >= device.heard:
            device.heard, device.last = heard, stream.changed
        if stream.is_whole and stream.name not in device.whole:
            device.whole.add(stream.name)
            device.pictures += 1

    def _decoded(self, stream: Entry) -> Decoded:
        return self._decoder.values(container.open(stream.read()), partial=True, file=stream.path)

    def _decode(self, shown: Shown, stream: Entry) -> None:
        state, error, view, decoded, values = "", "", shown.view, None, shown.values
        is_missing, is_final, referred, alone = False, True, shown.reference, None
        try:
            opened = container.open(stream.read())
            referred = opened.header.reference
            decoded = self._decoder.values(opened, partial=True, file=stream.path)
            state = str(decoded.loss)
            values = crc32c(decoded.values.tobytes())
            if values != shown.values:  # bytes that have not added a symbol yet change nothing
                view = _view(Image.fromarray(self._decoder.pixels(decoded)))
            if referred and stream.is_whole and decoded.loss.is_none:
                alone = round(alone_bytes(decoded))
        except ReferenceMissing as failure:
            error, is_missing = str(failure), True
            if stream.is_whole and not shown.is_missing:
                _log.warning("%s: %s", stream.path, failure)
        except (HeliographError, MemoryError) as failure:
            error = "not enough memory to decode it" if isinstance(failure, MemoryError) else str(failure)
            is_final = not may_pass(failure)
        if error:  # the picture that was here before is not this one
            view, values = b"", -1
        (self._pauses.forget if is_final else self._pauses.failed)(stream.key)
        with self._lock:
            if view != shown.view:
                shown.version += 1
                shown.digest = hashlib.sha256(view).hexdigest()[:16] if view else ""
            shown.stream, shown.state, shown.error = stream, state, error
            shown.view, shown.values = view, values
            shown.reference, shown.is_missing, shown.alone = referred, is_missing, alone
            if decoded is not None:
                shown.width, shown.height = decoded.width, decoded.height
                shown.quality = levels.to_quality(decoded.level)
            device = self._devices[stream.device]
            (device.failed.add if error and stream.is_whole else device.failed.discard)(stream.name)
            self._tell_of(shown)


def _view(picture: Image.Image) -> bytes:
    """Return a picture as a JPEG for the page."""
    picture.thumbnail((VIEW_SIDE, VIEW_SIDE), reducing_gap=2.0)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
