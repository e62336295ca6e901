"""The thinnest links: pictures made small in few bytes beside other codecs, and what is left when packets are lost.

Of few pictures and by one decoder, since every figure is a mean over budgets or draws already.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from heliograph import progress
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.errors import PacketError, PictureError
from heliograph.measure import loss, metrics, tiny
from heliograph.measure.baselines import BASELINES
from heliograph.measure.cache import Cache, picture_hash
from heliograph.measure.rate_distortion import EQUAL_DB, perceptual_fact
from heliograph.measure.tiny import OURS, Scores
from heliograph.packets.loss import Losses
from heliograph.validate import gallery
from heliograph.validate.gallery import Panel, Sheet, webp
from heliograph.validate.subject import Picture, Subject

OTHERS = ("avif", "avif-psnr", "webp", "jpeg")  # AVIF as tuned for PSNR too, as in the curves
PICTURES = 6
BUDGETS, SHOWN_BUDGET = (300, 500, 1000, 2000, 3000), 1000
PACKET_BYTES, PLANNED, SHOWN_SHARE = 256, 0.1, 0.2
SEEDS = 20
LOSS_SIDE = 768  # of larger pictures the middle is sent: what packets do does not depend on the size
ENLARGED = 2  # on the page, or a picture of 256 pixels is a stamp
JPEG = "jpeg"
Advance = Callable[[], object]


def measure(
    subject: Subject,
    names: Sequence[str],
    pictures: Sequence[Picture],
    cache: Cache,
    *,
    against: Sequence[str] = OTHERS,
    perceptual: bool = False,
) -> tuple[dict[str, Any], list[Sheet]]:
    """Return the part of a report about thin links, and a sheet of each half of it.

    Args:
        names: of the pictures, uint8 [H, W, 3] each, of which at most PICTURES are taken.
        against: of OTHERS those that small pictures are compared with; JPEG is sent beside packets in any case.
        perceptual: measure SSIMULACRA2 of small pictures too.
    """
    chosen = gallery.choose(len(pictures), PICTURES)
    names, pictures = [names[n] for n in chosen], [pictures[n] for n in chosen]
    others = [name for name in OTHERS if name in against and BASELINES[name].installed]
    left_out = {n: "this Pillow lacks it" for n in OTHERS if n in against and n not in others}
    with progress.bar((2 + len(others)) * len(pictures) + 2, "thin links") as bar:
        made_small = [tiny.small(picture) for picture in pictures]
        of_small = _small(subject, made_small, others, cache, bar.update, perceptual=perceptual)
        of_small["left_out"] |= left_out
        middle = len(pictures) // 2
        sheets = [_small_sheet(subject, names[middle], made_small[middle], others, cache)]
        bar.update()
        of_lost, sheet = _lost(subject, names, pictures, cache, bar.update)
        sheets += [sheet] if sheet else []
        bar.update()
    return {"decoder": subject.main, "pictures": names, "small": of_small, "lost": of_lost}, sheets


def _small(
    subject: Subject,
    pictures: Sequence[Picture],
    others: Sequence[str],
    cache: Cache,
    advance: Advance,
    *,
    perceptual: bool,
) -> dict[str, Any]:
    """Return what pictures of 256 pixels come to by budget and codec."""
    ours = tiny.coded(
        lambda picture, budget: subject.encoder.pack(picture, Rate(max_bytes=budget)).data,
        subject.codec,
        subject.decode,
    )
    facts: dict[str, dict[str, Any]] = {OURS: subject.facts()}
    facts |= {n: {"version": BASELINES[n].version, "options": BASELINES[n].options} for n in others}
    left_out: dict[str, str] = {}
    found: dict[str, list[list[Scores | None]]] = {}  # by codec, of each picture at each budget
    for name, of in facts.items():
        shown = ours if name == OURS else tiny.finest(name)
        try:
            found[name] = []
            for picture in pictures:
                depends = {**of, "picture": picture_hash(picture), "ssimulacra2": perceptual_fact(perceptual)}
                key = cache.key("small", {"of": name, "budgets": BUDGETS, **depends})
                known = cache.get(key)
                if known is None:
                    known = [
                        _capped(tiny.scores(picture, shown(picture, budget), perceptual=perceptual))
                        for budget in BUDGETS
                    ]
                    cache.put(key, known)
                found[name].append(known)
                advance()
        except Exception as error:  # whatever a library makes of a picture
            if name == OURS:
                raise
            del found[name]
            left_out[name] = f"{type(error).__name__}: {error}"
    return {
        "side": tiny.SIDE,
        "labels": {OURS: _label(subject), **{n: BASELINES[n].label for n in found if n != OURS}},
        "libraries": {n: BASELINES[n].version for n in found if n != OURS},
        "left_out": left_out,
        "budgets": {
            str(budget): tiny.summarise(
                [{name: of[n][at] for name, of in found.items()} for n in range(len(pictures))]
            )
            for at, budget in enumerate(BUDGETS)
        },
        "rows": found,
    }


def _capped(scores: Scores | None) -> Scores | None:
    """Return scores with a mean, whatever equal pictures have."""
    return None if scores is None else (min(EQUAL_DB, scores[0]), scores[1])


def _label(subject: Subject) -> str:
    return f"Heliograph, {subject.main} decoder"


def _small_sheet(subject: Subject, name: str, picture: Picture, others: Sequence[str], cache: Cache) -> Sheet:
    """Return a small picture at SHOWN_BUDGET bytes, ours beside others."""
    versions = {other: BASELINES[other].version for other in others}
    key = cache.key(
        "small-sheet", {**subject.facts(), "picture": picture_hash(picture), "name": name, "others": versions}
    )
    known = cache.get(key)
    if known is not None:
        return Sheet.from_dict(known)
    height, width = picture.shape[:2]
    panels = [Panel("original", "original", "image/webp", webp(picture), f"{width}x{height}")]
    data = subject.encoder.pack(picture, Rate(max_bytes=SHOWN_BUDGET)).data
    shown = subject.decode(decode_stream(data, subject.codec))
    caption = f"{len(data)} bytes, {metrics.psnr(picture, shown):.2f} dB"
    panels.append(Panel(subject.main, _label(subject), "image/webp", webp(shown), caption))
    panels += gallery.baseline_panels([n for n in gallery.COMPARED if n in others], picture, SHOWN_BUDGET)
    title = f"{name}, {width}x{height} in {SHOWN_BUDGET} bytes"
    sheet = Sheet(title, ENLARGED * width, ENLARGED * height, panels)
    cache.put(key, sheet.as_dict())
    return sheet


def _lost(
    subject: Subject, names: Sequence[str], pictures: Sequence[Picture], cache: Cache, advance: Advance
) -> tuple[dict[str, Any], Sheet | None]:
    """Return what is left by burst and share of packets that are lost, and a picture of it."""
    cut = [gallery.middle(picture, LOSS_SIDE) for picture in pictures]
    planned = {"bpp": loss.BPP, "packet_bytes": PACKET_BYTES, "planned": PLANNED, "seeds": SEEDS}
    jpeg = BASELINES[JPEG]
    facts = {**subject.facts(), **planned, "jpeg": jpeg.version, "options": jpeg.options}

    @functools.cache
    def sent(number: int) -> loss.Sent:
        return _send(subject, cut[number])

    rows: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    measured = []
    for number, (name, picture) in enumerate(zip(names, cut, strict=True)):
        key = cache.key("lost", {**facts, "picture": picture_hash(picture), "number": number})
        known = cache.get(key)
        try:
            if known is None:
                known = _draws(sent(number), number)
                cache.put(key, known)
            rows.append({"name": name, **known})
            measured.append(number)
        except (PacketError, PictureError) as error:  # too small a picture for packets of this size
            left_out[name] = str(error)
        advance()
    sheet = None
    if measured:
        number = measured[len(measured) // 2]
        of = {"picture": picture_hash(cut[number]), "name": names[number], "number": number}
        key = cache.key("lost-sheet", {**facts, **of})
        known = cache.get(key)
        if known is None:
            sheet = _lost_sheet(subject, names[number], sent(number), number)
            cache.put(key, sheet.as_dict())
        else:
            sheet = Sheet.from_dict(known)
    settings = {**planned, "label": _label(subject), "jpeg": f"{jpeg.label}, sent once"}
    return {**settings, "left_out": left_out, "bursts": _means(rows), "rows": rows}, sheet


def _send(subject: Subject, picture: Picture) -> loss.Sent:
    def within(most: int) -> bytes:
        return subject.encoder.pack(picture, Rate(max_bytes=most), whole=True).data

    count = loss.packets_at(loss.BPP, picture, PACKET_BYTES)
    return loss.send(within, subject.codec, subject.decode, picture, count, PACKET_BYTES, Losses(PLANNED))


def _draws(sent: loss.Sent, number: int) -> dict[str, Any]:
    """Return packets, bytes, and PSNR by burst and share of each draw: [ours, JPEG's] in that order."""
    draws: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for burst in loss.BURSTS:
        draws[f"{burst:g}"] = {
            f"{100 * share:g}": [
                (min(EQUAL_DB, sent.ours(arrives)), min(EQUAL_DB, sent.as_jpeg(arrives)))
                for arrives in loss.patterns(len(sent.packets), share, burst, number, SEEDS)
            ]
            for share in loss.LOST
        }
    return {"packets": len(sent.packets), "bytes": len(sent.stream), "jpeg": len(sent.jpeg), "draws": draws}


def _means(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return by burst and share what is left of ours and of JPEG, and how far the tenth percentile is below it."""
    if not rows:
        return {}
    out: dict[str, Any] = {}
    for burst, shares in rows[0]["draws"].items():
        out[burst] = {}
        for share in shares:
            values = [np.transpose(row["draws"][burst][share]).tolist() for row in rows]
            ours, jpeg = (loss.row([of[n] for of in values]) for n in (0, 1))
            out[burst][share] = {
                OURS: {"psnr": ours.psnr, "below": ours.below},
                JPEG: {"psnr": jpeg.psnr, "below": jpeg.below},
            }
    return out


def _lost_sheet(subject: Subject, name: str, sent: loss.Sent, number: int) -> Sheet:
    """Return a picture with SHOWN_SHARE of its packets lost beside the JPEG: the draw that leaves ours the median."""
    drawn = loss.patterns(len(sent.packets), SHOWN_SHARE, 1.0, number, SEEDS)
    arrives = sorted(drawn, key=sent.ours)[len(drawn) // 2]
    height, width = sent.picture.shape[:2]
    first = loss.before_loss(arrives)
    there = f"{sum(arrives)} of {len(arrives)} packets"
    panels = [
        Panel("original", "original", "image/webp", webp(sent.picture), f"{width}x{height}"),
        Panel(
            subject.main,
            _label(subject),
            "image/webp",
            webp(sent.show(arrives)),
            f"{there}, {sent.ours(arrives):.2f} dB",
        ),
        Panel(
            JPEG,
            f"{BASELINES[JPEG].label}, sent once",
            "image/webp",
            webp(sent.show_jpeg(arrives)),
            f"{there}, shown are the {first} before the first that is lost, {sent.as_jpeg(arrives):.2f} dB",
        ),
    ]
    return Sheet(f"{name}, {SHOWN_SHARE:.0%} of packets lost", width, height, panels)


def without_rows(part: dict[str, Any]) -> dict[str, Any]:
    """Return the part without what each picture and draw has."""
    short = {name: {k: v for k, v in part[name].items() if k != "rows"} for name in ("small", "lost")}
    return part | short
