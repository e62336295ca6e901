"""Small pictures in few bytes: ours beside the finest file of other codecs that fits, by PSNR and SSIMULACRA2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.codec.codec import Codec
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.errors import PictureError
from heliograph.measure import baselines, metrics

SIDE = 256
OURS, OTHERS = "heliograph", ("avif", "webp", "jpeg")
Picture = npt.NDArray[np.uint8]
Shown = Callable[[Picture, int], Picture | None]  # of a picture and a budget; None where it does not fit
Scores = tuple[float, float | None]  # PSNR in dB, and SSIMULACRA2 where it was measured


def small(picture: Picture) -> Picture:
    """Return a picture whose longer side is at most 256 pixels."""
    image = Image.fromarray(picture)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def coded(
    encode: Callable[[Picture, int], bytes], codec: Codec, decode: Callable[[Decoded], Picture]
) -> Shown:
    """Return what is shown of a picture after our codec.

    Args:
        encode: makes the finest stream of a picture of at most so many bytes, PictureError where there is none.
        decode: makes a picture of decoded integers.
    """

    def shown(picture: Picture, budget: int) -> Picture | None:
        try:
            data = encode(picture, budget)
        except PictureError:
            return None
        return decode(decode_stream(data, codec))

    return shown


def finest(name: str) -> Shown:
    """Return what is shown of a picture after a baseline's finest file that fits."""

    def shown(picture: Picture, budget: int) -> Picture | None:
        found = baselines.at_bytes(name, picture, budget)
        return found[1] if found else None

    return shown


def scores(picture: Picture, shown: Picture | None, *, perceptual: bool = True) -> Scores | None:
    """Return how near a picture is to what is shown of it, None where nothing is."""
    if shown is None:
        return None
    is_large = min(picture.shape[:2]) >= metrics.SSIMULACRA2_SIDE
    return metrics.psnr(picture, shown), metrics.ssimulacra2(
        picture, shown
    ) if perceptual and is_large else None


def summarise(rows: Sequence[Mapping[str, Scores | None]]) -> dict[str, dict[str, Any]]:
    """Return by codec how many pictures fit, their means, and by how much ours are above it where both fit.

    Args:
        rows: of each picture its scores by codec, OURS among them.

    Returns:
        "of", "fit", "psnr" and "ssimulacra2", and for others "both", "psnr_above" and "ssimulacra2_above"; means of
        nothing are None, and so is SSIMULACRA2 where a picture has none.
    """
    out: dict[str, dict[str, Any]] = {}
    for name in rows[0]:
        fitting = [one for row in rows if (one := row[name]) is not None]
        out[name] = {"of": len(rows), "fit": len(fitting), **_means(fitting)}
        if name == OURS:
            continue
        pairs = [(a, b) for row in rows if (a := row[OURS]) is not None and (b := row[name]) is not None]
        above = [(a[0] - b[0], None if a[1] is None or b[1] is None else a[1] - b[1]) for a, b in pairs]
        out[name] |= {"both": len(pairs), **{f"{k}_above": v for k, v in _means(above).items()}}
    return out


def _means(values: Sequence[Scores]) -> dict[str, float | None]:
    perceptual = [one[1] for one in values if one[1] is not None]
    return {
        "psnr": float(np.mean([one[0] for one in values])) if values else None,
        "ssimulacra2": float(np.mean(perceptual)) if perceptual and len(perceptual) == len(values) else None,
    }
