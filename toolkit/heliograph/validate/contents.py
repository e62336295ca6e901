"""Content that a camera meets and test sets lack, made from given pictures or drawn, the same at every call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
SEED = 7
DRAWN = 512, 384  # width and height of drawn pictures
TINY = ((1, 1), (7, 5), (16, 16), (33, 17))
ODD = ((257, 255), (511, 3), (250, 131))
PLAIN = ((0, 0, 0), (255, 255, 255), (40, 90, 200))
PURE = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255))
_WORDS = (
    "Water level 2.41 m, rising 3 cm an hour. Battery 11.9 V, modem -97 dBm. Gate 4 closed at 06:12; pump B is "
    "running. Camera cleaned on Tuesday. Next visit: bring a 7 mm key, silicone and two 10 A fuses."
)


@dataclass(frozen=True)
class Content:
    """A class of content: `name` for programs, `label` for people, and what to know when it does badly."""

    name: str
    label: str
    note: str
    make: Callable[[Sequence[Picture]], list[Picture]]


def to_linear(picture: Picture) -> Floats:
    """Return linear light in [0, 1] of sRGB values."""
    v = picture.astype(np.float64) / 255
    return np.asarray(np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4))


def to_srgb(light: Floats) -> Picture:
    """Return sRGB values uint8 of linear light, clipped to [0, 1]."""
    v = np.clip(light, 0, 1)
    return _rounded(255 * np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055))


def _rounded(values: Floats) -> Picture:
    return np.asarray(np.clip(np.round(values), 0, 255), np.uint8)


def noisy(picture: Picture, electrons: float, read: float, gain: float = 1.0) -> Picture:
    """Return a picture as a sensor sees it: Poisson noise of so many electrons at white, Gaussian read noise.

    Args:
        read: deviation of the read noise in electrons.
        gain: amplification afterwards, above 1 for over-exposure; below 1 leaves dark what few electrons made.
    """
    rng = np.random.default_rng(SEED)
    light = to_linear(picture) * electrons
    seen = rng.poisson(light) + rng.normal(0, read, light.shape)
    return to_srgb(gain * seen / electrons)


def blurred(picture: Picture, deviation: float = 3.0) -> Picture:
    """Return a picture out of focus: a Gaussian of so many pixels."""
    return _rounded(ndimage.gaussian_filter(picture.astype(np.float64), (deviation, deviation, 0)))


def grey(picture: Picture) -> Picture:
    """Return the luminance three times."""
    luma = np.round(picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114]))
    return np.repeat(luma.astype(np.uint8)[..., None], 3, axis=2)


def infrared(picture: Picture) -> Picture:
    """Return a night picture of an infrared lamp: grey, falling off from the middle, with noise."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    distance = np.hypot((y - height / 2) / height, (x - width / 2) / width)
    light = to_linear(grey(picture)) * np.exp(-6 * distance**2)[..., None]
    rng = np.random.default_rng(SEED)
    noise = rng.normal(0, 0.01, light.shape[:2])[..., None]
    return to_srgb(light + noise)


def crops(pictures: Sequence[Picture], sizes: Sequence[tuple[int, int]]) -> list[Picture]:
    """Return a crop of each size (width, height) from the middle of the pictures, reflected where they are smaller."""
    pieces = []
    for number, (width, height) in enumerate(sizes):
        picture = pictures[number % len(pictures)]
        more = max(0, height - picture.shape[0]), max(0, width - picture.shape[1])
        padded = np.pad(picture, ((0, more[0]), (0, more[1]), (0, 0)), "symmetric")
        top, left = (padded.shape[0] - height) // 2, (padded.shape[1] - width) // 2
        pieces.append(np.ascontiguousarray(padded[top : top + height, left : left + width]))
    return pieces


def text(dark: bool = False) -> Picture:
    """Return lines of text from 9 to 28 pixels high, black on white or the other way round."""
    width, height = DRAWN
    page = Image.new("RGB", DRAWN, "black" if dark else "white")
    draw = ImageDraw.Draw(page)
    y, words, size = 8, _WORDS.split(), 9
    at = 0
    while y < height - 12:
        font = ImageFont.load_default(size)
        line = ""
        while draw.textlength(f"{line} {words[at % len(words)]}", font) < width - 16:
            line = f"{line} {words[at % len(words)]}".strip()
            at += 1
        draw.text((8, y), line, fill="white" if dark else "black", font=font)
        y += int(1.5 * size)
        size = min(28, size + 2)
    return np.asarray(page)


def drawing() -> Picture:
    """Return a line drawing: thin lines, circles and filled shapes in few colours on white."""
    rng = np.random.default_rng(SEED)
    width, height = DRAWN
    page = Image.new("RGB", DRAWN, "white")
    draw = ImageDraw.Draw(page)
    colours = ("black", "black", "#c00000", "#0040c0", "#007a33")
    for number in range(60):
        x0, y0 = int(rng.integers(width)), int(rng.integers(height))
        x1, y1 = int(rng.integers(width)), int(rng.integers(height))
        colour = colours[number % len(colours)]
        if number % 4 == 0:
            r = int(rng.integers(6, 60))
            draw.ellipse((x0 - r, y0 - r, x0 + r, y0 + r), outline=colour, width=1 + number % 3)
        elif number % 15 == 1:
            draw.rectangle(
                (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), outline=colour, fill="#ffe680"
            )
        else:
            draw.line((x0, y0, x1, y1), fill=colour, width=1 + number % 2)
    return np.asarray(page)


def saturated() -> Picture:
    """Return patches of full red, green, blue and their mixtures with sharp borders, as of lamps and signs."""
    values = (0, 255)
    patches = [(r, g, b) for r in values for g in values for b in values]
    rows = [np.roll(np.array(patches, np.uint8), 3 * n, axis=0) for n in range(6)]
    return np.asarray(np.kron(np.stack(rows), np.ones((64, 64, 1), np.uint8)), np.uint8)


def gratings() -> Picture:
    """Return the finest there is: lines and checks of 1 to 4 pixels, as of fences, blinds and cloth."""
    y, x = np.mgrid[:128, :128]
    cells = []
    for period in (1, 2, 3, 4):
        cells += [(x // period) % 2, (y // period) % 2, (x // period + y // period) % 2]
    rows = [np.concatenate(cells[n : n + 4], axis=1) for n in (0, 4, 8)]
    sheet = np.concatenate(rows, axis=0)
    return np.repeat((60 + 130 * sheet).astype(np.uint8)[..., None], 3, axis=2)


def flat(colours: Sequence[tuple[int, int, int]]) -> list[Picture]:
    """Return pictures of one colour each."""
    width, height = DRAWN
    return [np.full((height, width, 3), colour, np.uint8) for colour in colours]


FINE = "sharp edges are the finest coefficients of a block, and a small latent has no channels for those"
CONTENTS = (
    Content("as-given", "as given", "the pictures that were given", list),
    Content(
        "sensor-noise",
        "sensor noise",
        "noise cannot be predicted; a codec that smooths it loses PSNR against the noisy original and looks clean",
        lambda p: [noisy(x, electrons=400, read=6) for x in p],
    ),
    Content(
        "blur",
        "out of focus",
        "nothing fine is there: what is left is the coder",
        lambda p: [blurred(x) for x in p],
    ),
    Content(
        "low-light",
        "low light",
        "3 % of the light: 120 electrons at white, 8 of read noise, left dark",
        lambda p: [noisy(x, electrons=120, read=8, gain=0.03) for x in p],
    ),
    Content(
        "over-exposure",
        "over-exposure",
        "four times the light: large parts at 255",
        lambda p: [noisy(x, electrons=20000, read=4, gain=4.0) for x in p],
    ),
    Content(
        "grey", "grey picture", "JPEG spends almost nothing on empty colour", lambda p: [grey(x) for x in p]
    ),
    Content("infrared", "infrared at night", "grey, vignetted, noisy", lambda p: [infrared(x) for x in p]),
    Content("text", "text", FINE, lambda p: [text(), text(dark=True)]),
    Content("line-drawing", "line drawing", FINE, lambda p: [drawing()]),
    Content(
        "saturated",
        "saturated colours",
        "colours at the corners of the cube, rare in photographs: latents beyond int8 are clipped",
        lambda p: [saturated(), *flat(PURE)],
    ),
    Content("gratings", "finest gratings", FINE, lambda p: [gratings()]),
    Content("flat", "one colour", "the smallest file a codec makes", lambda p: flat(PLAIN)),
    Content(
        "tiny", "tiny pictures", "what is in a file beside the picture decides", lambda p: crops(p, TINY)
    ),
    Content("odd-size", "odd sizes", "tiles and blocks are cut by the border", lambda p: crops(p, ODD)),
)
