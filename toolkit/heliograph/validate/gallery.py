"""Pictures of a report: codecs at equal bytes to be compared by eye, and maps of one stream each."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.codec.levels import from_quality
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.measure import baselines, metrics
from heliograph.measure.baselines import BASELINES
from heliograph.measure.cache import Cache, picture_hash
from heliograph.validate import maps
from heliograph.validate.subject import Subject

QUALITIES = (15, 50)
COMPARED = ("jpeg", "webp", "avif")  # browsers show these files; of JPEG 2000 only curves are in the report
SIDE = 512  # larger pictures are cut to it, so that a report stays small
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Panel:
    """A picture file in a report: what a reader sees it as, its type and bytes, and what it took to send it."""

    name: str
    label: str
    mime: str
    data: bytes
    caption: str

    @property
    def base64(self) -> str:
        """The bytes as text."""
        return base64.b64encode(self.data).decode()

    def as_dict(self) -> dict[str, str]:
        """Return what JSON can hold."""
        return asdict(self) | {"data": self.base64}

    @classmethod
    def from_dict(cls, stored: dict[str, str]) -> Panel:
        """Return the panel that `as_dict` wrote down."""
        return cls(**stored | {"data": base64.b64decode(stored["data"])})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Sheet:
    """Everything shown of one picture at one quality: panels for the slider, and maps with captions."""

    title: str
    width: int
    height: int
    panels: list[Panel]
    maps: list[Panel] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        parts = {"panels": [p.as_dict() for p in self.panels], "maps": [p.as_dict() for p in self.maps]}
        return {"title": self.title, "width": self.width, "height": self.height, **parts}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Sheet:
        """Return the sheet that `as_dict` wrote down."""
        panels, drawn = ([Panel.from_dict(p) for p in stored[part]] for part in ("panels", "maps"))
        return cls(stored["title"], stored["width"], stored["height"], panels, drawn)


def png(picture: Picture) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def webp(picture: Picture, *, lossless: bool = True) -> bytes:
    """Return a picture as WebP: lossless, a third smaller than PNG, or at quality 90."""
    buffer = io.BytesIO()
    options = {"lossless": True, "quality": 50} if lossless else {"quality": 90}
    Image.fromarray(picture).save(buffer, "WEBP", method=2, **options)
    return buffer.getvalue()


def choose(count: int, shown: int) -> list[int]:
    """Return the numbers of `shown` of `count` pictures, evenly spread."""
    return sorted({round(n) for n in np.linspace(0, count - 1, min(shown, count))})


def middle(picture: Picture, side: int = SIDE) -> Picture:
    """Return the middle of a picture, at most `side` pixels a side."""
    top, left = max(0, picture.shape[0] - side) // 2, max(0, picture.shape[1] - side) // 2
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def sheet(subject: Subject, name: str, picture: Picture, quality: int) -> Sheet:
    """Return the slider's panels of a picture at one quality, and its maps."""
    data = subject.packer(picture).at(from_quality(quality))
    decoded = decode_stream(data, subject.codec)
    height, width = picture.shape[:2]
    bpp = 8 * len(data) / (width * height)
    panels = [Panel("original", "original", "image/webp", webp(picture), f"{width}x{height}")]
    first: Picture | None = None
    for decoder in subject.decoders:
        shown = subject.decode(decoded, decoder)
        first = shown if first is None else first
        caption = f"{len(data)} bytes, {metrics.psnr(picture, shown):.2f} dB"
        label = f"Heliograph, {decoder} decoder"
        panels.append(Panel(decoder, label, "image/webp", webp(shown), caption))
    panels += baseline_panels(COMPARED, picture, len(data))
    assert first is not None
    title = f"{name}, quality {quality}, {bpp:.2f} bits per pixel"
    return Sheet(title, width, height, panels, map_panels(subject, data, decoded, picture, first))


def baseline_panels(names: Sequence[str], picture: Picture, budget: int) -> list[Panel]:
    """Return the finest file of at most so many bytes of each baseline that is installed, or its smallest."""
    panels = []
    for name in names:
        if BASELINES[name].installed:
            with contextlib.suppress(Exception):  # one that fails on this picture; the curves say which
                panels.append(_baseline(name, picture, budget))
    return panels


def _baseline(name: str, picture: Picture, budget: int) -> Panel:
    pair = baselines.at_bytes(name, picture, budget)
    note = ""
    if pair is None:
        data = baselines.encode(name, picture, 1)
        pair, note = (data, baselines.decode(data)), ", its smallest: more than the others"
    data, shown = pair
    caption = f"{len(data)} bytes{note}, {metrics.psnr(picture, shown):.2f} dB"
    return Panel(name, BASELINES[name].label, f"image/{name}", data, caption)


def layer_notes(
    subject: Subject, decoded: Decoded, bits: maps.Bits, against: Picture
) -> tuple[list[Picture], list[str]]:
    """Return the picture after each layer and a line about it: bits of the layer, PSNR against a picture."""
    pictures, notes = [], []
    for number, part in enumerate(maps.after_layers(decoded)):
        shown = subject.decode(part)
        pictures.append(shown)
        size = bits.by_layer[number] / 8
        notes.append(f"layer {number + 1}: {size:.0f} bytes, {metrics.psnr(against, shown):.2f} dB")
    return pictures, notes


def map_panels(
    subject: Subject, data: bytes, decoded: Decoded, picture: Picture, shown: Picture
) -> list[Panel]:
    """Return maps of a stream: its bits, its error, what each layer adds, and its channels."""
    bits = maps.bits(data, decoded)
    height, width = picture.shape[:2]
    most = float(bits.symbols.sum(axis=0).max())
    steps, notes = layer_notes(subject, decoded, bits, picture)
    small = [
        np.asarray(Image.fromarray(s).resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.BOX))
        for s in steps
    ]
    firing = maps.activity(decoded)
    silent = int((firing == 0).sum())
    return [
        Panel(
            "bits",
            "where the bits went",
            "image/png",
            png(maps.bit_map(bits, width, height)),
            f"bits of each 16x16 block, yellow is {most:.0f}; header, checksums and coder states take "
            f"{bits.overhead / 8:.0f} bytes more",
        ),
        Panel(
            "error",
            "where the error is",
            "image/png",
            png(maps.error_map(picture, shown)),
            "mean absolute error of each pixel, yellow is 32 of 255 and more",
        ),
        Panel(
            "layers",
            "what each layer adds",
            "image/webp",
            webp(maps.side_by_side(small), lossless=False),
            "; ".join(notes),
        ),
        Panel(
            "channels",
            "which latent channels fire",
            "image/png",
            png(maps.montage(decoded)),
            f"magnitudes of all {len(firing)} channels in coding order, logarithmic; {silent} are zero everywhere",
        ),
    ]


def sheets(
    subject: Subject,
    names: Sequence[str],
    pictures: Sequence[Picture],
    *,
    cache: Cache,
    advance: Callable[[], object] = lambda: None,
) -> list[Sheet]:
    """Return sheets of pictures at each quality."""
    out = []
    for name, whole in zip(names, pictures, strict=True):
        picture = middle(whole)
        for quality in QUALITIES:
            facts = {"picture": picture_hash(picture), "name": name, "quality": quality}
            key = cache.key("sheet", {**facts, "decoders": [subject.facts(d) for d in subject.decoders]})
            known = cache.get(key)
            if known is None:
                entry = sheet(subject, name, picture, quality)
                cache.put(key, entry.as_dict())
            else:
                entry = Sheet.from_dict(known)
            out.append(entry)
            advance()
    return out
