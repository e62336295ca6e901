"""What photographs lack: pictures drawn by rule, and what cameras, their owners and the dark do to pictures.

Everything is made on the fly from a generator: scenes uint8 [side, side, 3], changes of pictures uint8 [H, W, 3], sRGB.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Picture = npt.NDArray[np.uint8]
Random = np.random.Generator
Colour = tuple[int, int, int]
Change = Callable[[Picture, Random], Picture]
Scene = Callable[[Random, int], Picture]


def _colour(rng: Random, *, pure: float = 0.3) -> Colour:
    """Return a random colour, saturated in a share `pure` of cases."""
    if rng.random() < pure:
        levels = rng.choice([0, 255], 3) if rng.random() < 0.5 else rng.choice([0, 64, 128, 192, 255], 3)
    else:
        levels = np.clip(rng.integers(0, 256) + rng.normal(0, 35, 3), 0, 255)
    return int(levels[0]), int(levels[1]), int(levels[2])


@functools.cache
def _fonts() -> tuple[str, ...]:
    return tuple(str(p) for p in sorted(Path("/usr/share/fonts").rglob("*.ttf")))


def _font(rng: Random, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if _fonts() and rng.random() < 0.6:
        return ImageFont.truetype(_fonts()[int(rng.integers(len(_fonts())))], size)
    return ImageFont.load_default(size=size)


def _text(rng: Random, length: int) -> str:
    if rng.random() < 0.5:  # what cameras stamp
        return (
            f"{rng.integers(2008, 2031)}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d} "
            f"{rng.integers(24):02d}:{rng.integers(60):02d}:{rng.integers(60):02d}  "
            f"{rng.integers(-20, 45)}°C  CAM{rng.integers(1, 99)}"
        )[:length]
    return "".join(
        rng.choice(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:-/%"), length)
    )


def dead_leaves(rng: Random, side: int) -> Picture:
    """Return overlapping shapes with straight and round edges, sizes by a power law (Lee, Mumford and Huang 2001)."""
    drawn = Image.new("RGB", (2 * side, 2 * side), _colour(rng))
    pen = ImageDraw.Draw(drawn)
    for _ in range(int(rng.integers(20, 160))):
        radius = min(side, 6 / rng.random() ** 0.6)
        x, y = rng.uniform(0, 2 * side, 2)
        if rng.random() < 0.5:
            corners = int(rng.integers(3, 7))
            angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
            shape = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angle]
            pen.polygon(shape, fill=_colour(rng))
        else:
            pen.ellipse(
                [x - radius, y - radius * rng.uniform(0.3, 1), x + radius, y + radius], fill=_colour(rng)
            )
    return np.asarray(drawn.resize((side, side), Image.Resampling.BOX))


def facade(rng: Random, side: int) -> Picture:
    """Return a grid in perspective, as windows and tiles make it (Achddou et al. 2021)."""
    large = 2 * side
    grid = Image.new("RGB", (large, large), _colour(rng, pure=0.15))
    pen = ImageDraw.Draw(grid)
    across, down = rng.integers(12, 70, 2)
    border, inner = rng.uniform(0.05, 0.4), _colour(rng, pure=0.15)
    for y in range(0, large, int(down)):
        for x in range(0, large, int(across)):
            colour = inner if rng.random() < 0.85 else _colour(rng, pure=0.15)
            inset = [
                x + across * border,
                y + down * border,
                x + across * (1 - border),
                y + down * (1 - border),
            ]
            pen.rectangle(inset, fill=colour)
    bend = rng.uniform(-4e-4, 4e-4, 2)
    turn = rng.uniform(-0.3, 0.3, 4)
    coefficients = (1 + turn[0], turn[1], large * 0.1, turn[2], 1 + turn[3], large * 0.1, *bend)
    size, method, ground = (large, large), Image.Transform.PERSPECTIVE, _colour(rng)
    seen = grid.transform(size, method, coefficients, Image.Resampling.BILINEAR, fillcolor=ground)
    return np.asarray(seen.resize((side, side), Image.Resampling.BOX))


def graphic(rng: Random, side: int) -> Picture:
    """Return a flat graphic: areas, lines, frames and text, sharp to the pixel."""
    drawn = Image.new("RGB", (side, side), (255, 255, 255) if rng.random() < 0.4 else _colour(rng))
    pen = ImageDraw.Draw(drawn)
    for _ in range(int(rng.integers(0, 6))):
        x, y, w, h = rng.integers(0, side, 4)
        fill = _colour(rng, pure=0.5) if rng.random() < 0.7 else None
        pen.rectangle(
            [x, y, x + w // 2, y + h // 2], fill=fill, outline=_colour(rng), width=int(rng.integers(1, 4))
        )
    for _ in range(int(rng.integers(0, 8))):
        line = [int(v) for v in rng.integers(0, side, 4)]
        pen.line(line, fill=_colour(rng, pure=0.5), width=int(rng.integers(1, 5)))
    for _ in range(int(rng.integers(1, 8))):
        x, y = rng.integers(-10, side, 2)
        ink = (0, 0, 0) if rng.random() < 0.5 else _colour(rng, pure=0.6)
        pen.text((int(x), int(y)), _text(rng, 24), fill=ink, font=_font(rng, int(rng.integers(8, 30))))
    return np.asarray(drawn)


def gradient(rng: Random, side: int) -> Picture:
    """Return a smooth slope between colours, as clear skies and walls are."""
    corners = np.array([_colour(rng, pure=0.2) for _ in range(4)], np.float32).reshape(2, 2, 3)
    if rng.random() < 0.5:
        corners = (
            corners[:1].repeat(2, axis=0)
            if rng.random() < 0.5
            else corners * 0.3 + corners.mean((0, 1)) * 0.7
        )
    t = np.linspace(0, 1, side, dtype=np.float32)
    rows = corners[0][None] * (1 - t)[:, None, None] + corners[1][None] * t[:, None, None]  # [side, 2, 3]
    plane = rows[:, :1] * (1 - t)[None, :, None] + rows[:, 1:] * t[None, :, None]
    grain = rng.normal(0, rng.choice([0.4, 1.0, 2.0]), (side, side, 1))
    return np.asarray(np.clip(plane + grain + 0.5, 0, 255).astype(np.uint8))


def saturated(picture: Picture, rng: Random) -> Picture:
    """Pull colours away from grey."""
    x = picture.astype(np.float32)
    grey = x.mean(axis=2, keepdims=True)
    return np.asarray(np.clip(grey + (x - grey) * rng.uniform(1.2, 2.2), 0, 255).astype(np.uint8))


def exchanged(picture: Picture, rng: Random) -> Picture:
    """Exchange the colour channels."""
    return picture[..., rng.permutation(3)]


def cast(picture: Picture, rng: Random) -> Picture:
    """Give the channels other gains and the picture another gamma."""
    x = (picture / 255.0) ** rng.uniform(0.6, 1.6) * rng.uniform(0.7, 1.2, 3)
    return np.asarray((np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8))


def dark(picture: Picture, rng: Random) -> Picture:
    """Take most of the light, and add a sensor's noise: that of photons and that of reading."""
    light = (picture / 255.0) ** 2.2 * rng.uniform(0.05, 0.5)
    full = rng.uniform(300, 4000)  # electrons at white
    noisy = rng.poisson(np.maximum(light * full, 0)) / full + rng.normal(0, 2.5 / full, picture.shape)
    gain = rng.uniform(1, 2.5)
    return (np.clip(noisy * gain, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)


def infrared(picture: Picture, rng: Random) -> Picture:
    """Return what a camera at night sees by its own lamp: grey, brighter in the middle, grainy."""
    height, width = picture.shape[:2]
    grey = picture.astype(np.float32) @ np.array([0.5, 0.4, 0.1], np.float32)
    middle = rng.uniform(0.2, 0.8, 2)
    y, x = np.ogrid[0:height, 0:width]
    apart = (y / height - middle[0]) ** 2 + (x / width - middle[1]) ** 2
    lamp = np.exp(-apart * rng.uniform(0, 2.5)) * rng.uniform(0.4, 1.1)
    grey = grey * lamp + rng.normal(0, rng.uniform(0.5, 5), (height, width))
    return np.repeat(np.clip(grey + 0.5, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def defocused(picture: Picture, rng: Random) -> Picture:
    """Blur as a lens out of focus does."""
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(rng.uniform(0.7, 4.0))))


def stamped(picture: Picture, rng: Random) -> Picture:
    """Burn in an information strip, a timestamp or a logo."""
    rows, columns = picture.shape[:2]
    shown = Image.fromarray(picture)
    pen = ImageDraw.Draw(shown)
    height = int(rng.integers(9, 26))
    y = int(rng.integers(0, rows - height))
    is_dark = rng.random() < 0.7
    ink, ground = ((255, 255, 255), (0, 0, 0)) if is_dark else ((0, 0, 0), (255, 255, 255))
    if rng.random() < 0.6:
        pen.rectangle([0, y, columns, y + height], fill=ground)
    if rng.random() < 0.2:
        ink = _colour(rng, pure=1.0)
    pen.text((int(rng.integers(-20, 20)), y), _text(rng, 32), fill=ink, font=_font(rng, max(8, height - 3)))
    if rng.random() < 0.3:
        x = int(rng.integers(0, columns - height))
        pen.ellipse([x, y, x + height, y + height], fill=_colour(rng, pure=0.8))
    return np.asarray(shown)


DRAWN: tuple[tuple[float, Scene], ...] = (
    (0.02, dead_leaves),
    (0.01, facade),
    (0.015, graphic),
    (0.005, gradient),
)
CHANGES: tuple[tuple[float, Change], ...] = (
    (0.06, saturated),
    (0.02, exchanged),
    (0.04, cast),
    (0.035, dark),
    (0.025, infrared),
    (0.03, defocused),
)
STAMPED = 0.035


def draw(rng: Random, side: int) -> Picture | None:
    """Return a drawn picture in the share of cases that they have, else None."""
    place = rng.random()
    for share, scene in DRAWN:
        if place < share:
            return scene(rng, side)
        place -= share
    return None


def change(picture: Picture, rng: Random) -> Picture:
    """Return a picture as it is, mostly, or changed in one way, and sometimes with a stamp on it."""
    place = rng.random()
    for share, effect in CHANGES:
        if place < share:
            picture = effect(np.ascontiguousarray(picture), rng)
            break
        place -= share
    if rng.random() < STAMPED:
        picture = stamped(np.ascontiguousarray(picture), rng)
    return np.ascontiguousarray(picture)
