"""What breaks: content by class against JPEG at equal bytes, lost slices, cut streams.

A mean hides the class that fails, so each class is reported, and those that would shock a user are named with
the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import container
from heliograph.codec.levels import from_quality
from heliograph.codec.stream import decode_stream
from heliograph.codec.tiles import STRIDE
from heliograph.errors import StreamError
from heliograph.measure import baselines, metrics
from heliograph.measure.cache import Cache, picture_hash
from heliograph.measure.rate_distortion import EQUAL_DB
from heliograph.validate.contents import CONTENTS, SEED, Content
from heliograph.validate.subject import Subject

QUALITIES = (30, 80)
LOSSES = (0.1, 0.3)  # share of slices lost
CUTS = (0.25, 0.5, 0.75)  # share of bytes that arrived
SLICE_TILES = 1
# What shocks: limits that a user notices without a measuring instrument.
WORSE_DB = 1.0  # below JPEG at equal bytes
POOR_DB = 24.0  # of a class's mean at the finest quality measured
SHIFT = 4.0  # of a channel's mean over a picture, of 255: a colour cast
SHIFT_PIXELS = 4096  # in a smaller picture the mean is that of a few blocks
Picture = npt.NDArray[np.uint8]
Advance = Callable[[], object]


def _psnr(a: Picture, b: Picture) -> float:
    return min(EQUAL_DB, metrics.psnr(a, b))


def _quality(original: Picture, shown: Picture) -> dict[str, float | None]:
    similarity = metrics.ms_ssim(original, shown)
    is_large = original.shape[0] * original.shape[1] >= SHIFT_PIXELS
    shift = np.abs(original.mean(axis=(0, 1)) - shown.mean(axis=(0, 1))).max() if is_large else 0.0
    return {
        "psnr": _psnr(original, shown),
        "ms_ssim": None if math.isnan(similarity) else similarity,
        "shift": float(shift),
    }


def one_content(subject: Subject, picture: Picture, quality: int, decoder: str) -> dict[str, Any]:
    """Return bytes and quality of one picture beside JPEG's best file of at most as many bytes.

    `jpeg_psnr` is None where no JPEG is as small; `jpeg_least` is then the bytes of the smallest.
    """
    data = subject.packer(picture).at(from_quality(quality))
    row: dict[str, Any] = {"bytes": len(data)}
    row |= _quality(picture, subject.decode(decode_stream(data, subject.codec), decoder))
    jpeg = baselines.jpeg_at_bytes(picture, len(data))
    if jpeg is None:
        return row | {
            "jpeg_psnr": None,
            "jpeg_ms_ssim": None,
            "jpeg_least": len(baselines.encode("jpeg", picture, 1)),
        }
    theirs = _quality(picture, jpeg[1])
    return row | {
        "jpeg_psnr": theirs["psnr"],
        "jpeg_ms_ssim": theirs["ms_ssim"],
        "jpeg_bytes": len(jpeg[0]),
    }


def contents(
    subject: Subject,
    pictures: Sequence[Picture],
    *,
    classes: Sequence[Content] = CONTENTS,
    qualities: Sequence[int] = QUALITIES,
    cache: Cache,
    advance: Advance = lambda: None,
) -> dict[str, Any]:
    """Return for each class its means by decoder and quality, and the reasons why it would shock, if it would."""
    out: dict[str, Any] = {}
    for content in classes:
        examples = content.make(pictures)
        entry: dict[str, Any] = {"label": content.label, "note": content.note, "pictures": len(examples)}
        for decoder in subject.decoders:
            entry[decoder] = {}
            for quality in qualities:
                rows = []
                for picture in examples:
                    facts = {"picture": picture_hash(picture), "quality": quality, **subject.facts(decoder)}
                    key = cache.key("content", facts)
                    row = cache.get(key)
                    if row is None:
                        row = one_content(subject, picture, quality, decoder)
                        cache.put(key, row)
                    rows.append(row)
                entry[decoder][str(quality)] = _mean(rows)
            entry[decoder]["shocks"] = shocks([entry[decoder][str(q)] for q in qualities])
        out[content.name] = entry
        advance()
    return out


def _mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means; the gain over JPEG is the mean over the pictures that JPEG can make as small."""
    out: dict[str, Any] = {
        name: float(np.mean([r[name] for r in rows])) for name in ("bytes", "psnr", "shift")
    }
    similar = [r["ms_ssim"] for r in rows if r["ms_ssim"] is not None]
    out["ms_ssim"] = float(np.mean(similar)) if similar else None
    both = [r for r in rows if r["jpeg_psnr"] is not None]
    out["jpeg_cannot"] = len(rows) - len(both)
    out["gain_db"] = float(np.mean([r["psnr"] - r["jpeg_psnr"] for r in both])) if both else None
    out["worst_gain_db"] = float(min(r["psnr"] - r["jpeg_psnr"] for r in both)) if both else None
    structured = [r["ms_ssim"] - r["jpeg_ms_ssim"] for r in both if r["jpeg_ms_ssim"] is not None]
    out["gain_ms_ssim"] = float(np.mean(structured)) if structured else None
    out["worst_shift"] = float(max(r["shift"] for r in rows))
    return out


def shocks(means: Sequence[dict[str, Any]]) -> list[str]:
    """Return why a user would be shocked by a class, from its means at rising qualities."""
    out = []
    worse = [m["gain_db"] for m in means if m["gain_db"] is not None and m["gain_db"] < -WORSE_DB]
    if worse:
        out.append(f"{-min(worse):.1f} dB below JPEG at equal bytes")
    if means[-1]["psnr"] < POOR_DB:
        out.append(f"{means[-1]['psnr']:.1f} dB even at the finest quality measured")
    shift = max(m["worst_shift"] for m in means)
    if shift > SHIFT:
        out.append(f"a channel's mean moves by {shift:.1f} of 255")
    return out


def lost_slices(subject: Subject, picture: Picture, share: float, decoder: str) -> dict[str, Any]:
    """Return what losing slices costs: PSNR whole and with losses, of the lost parts, and far from them."""
    whole = subject.packer(picture, slice_tiles=SLICE_TILES).at(from_quality(QUALITIES[-1]))
    stream = container.open(whole)
    header = stream.header
    count = header.slice_count
    rng = np.random.default_rng(SEED)
    gone = (
        set(rng.choice(count, max(1, round(share * count)), replace=False).tolist()) if count > 1 else set()
    )
    damaged = bytearray(whole)
    for number, (at, length) in enumerate(stream.segments):
        if number % count in gone and length:
            damaged[at] ^= 0xFF  # its checksum no longer fits: as good as lost
    decoded = decode_stream(bytes(damaged), subject.codec, partial=True)
    complete = subject.decode(decode_stream(whole, subject.codec), decoder)
    shown = subject.decode(decoded, decoder)
    lost = np.zeros(picture.shape[:2], bool)
    for number in gone:
        rows, columns = header.slices[number]
        lost[rows.start * STRIDE : rows.stop * STRIDE, columns.start * STRIDE : columns.stop * STRIDE] = True
    near = np.zeros_like(lost)
    for y, x in np.argwhere(lost[::STRIDE, ::STRIDE]):
        reach = 16 * STRIDE  # more than any decoder's: beyond it not a pixel may change
        near[
            max(0, y * STRIDE - reach) : (y + 1) * STRIDE + reach,
            max(0, x * STRIDE - reach) : (x + 1) * STRIDE + reach,
        ] = True
    far = ~near
    return {
        "slices": count,
        "lost": len(gone),
        "concealed": decoded.loss.concealed,
        "psnr_whole": _psnr(picture, complete),
        "psnr": _psnr(picture, shown),
        "psnr_of_lost": _psnr(picture[lost][None], shown[lost][None]) if lost.any() else None,
        "changed_far_away": int((shown[far] != complete[far]).sum()),
    }


def cut_stream(subject: Subject, picture: Picture, share: float, decoder: str) -> dict[str, Any]:
    """Return the PSNR of the first part of a stream, beside a JPEG of as many bytes made for that size."""
    data = subject.packer(picture).at(from_quality(QUALITIES[-1]))
    part = data[: max(1, round(share * len(data)))]
    try:
        shown = subject.decode(decode_stream(part, subject.codec, partial=True), decoder)
    except StreamError as error:
        return {"bytes": len(part), "psnr": None, "reason": str(error)}
    jpeg = baselines.jpeg_at_bytes(picture, len(part))
    return {
        "bytes": len(part),
        "psnr": _psnr(picture, shown),
        "jpeg_psnr": _psnr(picture, jpeg[1]) if jpeg else None,
    }


def damage(
    subject: Subject, pictures: Sequence[Picture], *, cache: Cache, advance: Advance = lambda: None
) -> dict[str, Any]:
    """Return means over pictures of lost slices and cut streams by decoder and share."""
    out: dict[str, Any] = {"lost-slices": {}, "cut-streams": {}}
    for name, shares, measure in (
        ("lost-slices", LOSSES, lost_slices),
        ("cut-streams", CUTS, cut_stream),
    ):
        for decoder in subject.decoders:
            out[name][decoder] = {}
            for share in shares:
                rows = []
                for picture in pictures:
                    facts = {"picture": picture_hash(picture), "share": share, **subject.facts(decoder)}
                    key = cache.key(name, facts)
                    row = cache.get(key)
                    if row is None:
                        row = measure(subject, picture, share, decoder)
                        cache.put(key, row)
                    rows.append(row)
                out[name][decoder][f"{share:.0%}"] = _plain_means(rows)
        advance()
    return out


def _plain_means(rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    out: dict[str, float | None] = {}
    for name in rows[0]:
        known = [r[name] for r in rows if isinstance(r.get(name), (int, float))]
        if name != "reason":
            out[name] = float(np.mean(known)) if known else None
    return out


def measure(
    subject: Subject,
    pictures: Sequence[Picture],
    whole: Sequence[Picture],
    *,
    cache: Cache,
    advance: Advance = lambda: None,
) -> dict[str, Any]:
    """Return the whole robustness part of a report.

    Args:
        pictures: what content is made of, uint8 [H, W, 3].
        whole: pictures large enough for several slices, whose streams are damaged.
    """
    return {
        "classes": contents(subject, pictures, cache=cache, advance=advance),
        "damage": damage(subject, whole, cache=cache, advance=advance),
    }
