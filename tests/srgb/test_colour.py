"""Colours are what a colour-managed viewer shows, to two levels, in every mode and at every depth."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests import field_files as files

import heliograph
from heliograph.pictures import image_srgb, load_srgb

Array = npt.NDArray[np.integer]
Levels = npt.NDArray[np.floating]
Source = tuple[list[tuple[bytes, bytes]], Callable[[Levels], Levels]]

RNG = np.random.default_rng(7)
COLOURS = RNG.integers(0, 65_536, (6, 7, 3))
GREYS = RNG.integers(0, 65_536, (6, 7, 1))
ALPHA = RNG.integers(0, 65_536, (6, 7, 1))
ALPHA[0, :3, 0] = 0, 65_535, 32_768


def unchanged(samples: Levels) -> Levels:
    return 255 * samples


def swapped(samples: Levels) -> Levels:
    return 255 * samples[..., ::-1]


def linear(samples: Levels) -> Levels:
    return files.to_srgb_levels(samples)


def power(gamma: float) -> Callable[[Levels], Levels]:
    return lambda samples: files.to_srgb_levels(samples**gamma)


def wide(samples: Levels) -> Levels:
    light = samples**1.8 @ np.array(files.WIDE_XYZ)  # to XYZ
    return files.to_srgb_levels(light @ np.linalg.inv(np.array(files.SRGB_XYZ)))


# sRGB's primaries, red and blue exchanged, about its white.
EXCHANGED = (0.3127, 0.3290, 0.15, 0.06, 0.30, 0.60, 0.64, 0.33)
SOURCES: dict[str, Source] = {
    "none": ([], unchanged),
    "icc of exchanged colours": ([files.icc_chunk(files.swapped_profile())], swapped),
    "icc of gamma 1": ([files.icc_chunk(files.rgb_profile(files.curve_of_gamma(1)))], linear),
    "icc of wide colours": (
        [files.icc_chunk(files.rgb_profile(files.curve_of_gamma(461 / 256), files.WIDE_XYZ))],
        wide,
    ),
    "gamma 1": ([files.gamma_chunk(1)], linear),
    "gamma 1/2.2": ([files.gamma_chunk(1 / 2.2)], power(2.2)),
    "gamma of zero": ([files.gamma_chunk(0)], unchanged),
    "sRGB over gamma": ([(b"sRGB", b"\0"), files.gamma_chunk(1)], unchanged),
    "icc over gamma": ([files.icc_chunk(files.swapped_profile()), files.gamma_chunk(1)], swapped),
    "primaries": ([files.primaries_chunk(*EXCHANGED)], swapped),
    "gamma and primaries": (
        [files.gamma_chunk(1), files.primaries_chunk(*EXCHANGED)],
        lambda samples: linear(samples[..., ::-1]),
    ),
    "primaries that cannot be": ([files.primaries_chunk(*[0.0] * 8)], unchanged),
    "a broken icc, and gamma": ([files.icc_chunk(b"nonsense" * 20), files.gamma_chunk(1)], linear),
}


def read(tmp_path: Path, data: bytes, suffix: str = ".png") -> npt.NDArray[np.int64]:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    return load_srgb(path).astype(np.int64)


def to_bits(samples: Array, bits: int) -> Array:
    return (samples.astype(np.int64) * ((1 << bits) - 1) + 32_767) // 65_535


def apart(found: npt.NDArray[np.int64], levels: Levels) -> float:
    assert found.shape == levels.shape
    return float(np.abs(found - levels).max())


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["RGB", "RGBA", "one transparent colour", "L", "LA", "one transparent grey"])
def test_png(kind: str, bits: int, source: str, tmp_path: Path) -> None:
    chunks, right = SOURCES[source]
    colours = to_bits(GREYS if kind.startswith(("L", "one transparent grey")) else COLOURS, bits)
    alpha = to_bits(ALPHA, bits)
    most = (1 << bits) - 1
    expected = right(np.broadcast_to(colours, (6, 7, 3)) / most)
    samples = colours
    if kind in ("RGBA", "LA"):
        samples = np.concatenate([colours, alpha], axis=2)
        expected = expected * alpha / most
    elif kind.startswith("one"):
        chunks = [*chunks, (b"tRNS", colours[2, 3].astype(">u2").tobytes())]
        expected = np.where((colours == colours[2, 3]).all(axis=2, keepdims=True), 0, expected)
        assert (expected[2, 3] == 0).all()
    assert apart(read(tmp_path, files.png(samples, bits, chunks)), expected) <= 2


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("is_transparent", [False, True])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_indexed_png(bits: int, is_transparent: bool, source: str, tmp_path: Path) -> None:
    chunks, right = SOURCES[source]
    count = 1 << bits
    palette, alpha = RNG.integers(0, 256, (count, 3)), RNG.integers(0, 256, (count, 1))
    index = RNG.integers(0, count, (6, 7, 1))
    expected = right(palette[index[..., 0]] / 255)
    if is_transparent:
        chunks = [*chunks, (b"tRNS", alpha.astype(np.uint8).tobytes())]
        expected = expected * alpha[index[..., 0]] / 255
    data = files.png(index, bits, chunks, palette.astype(np.uint8).tobytes())
    assert apart(read(tmp_path, data), expected) <= 2


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_one_transparent_grey_of_few_bits(bits: int, tmp_path: Path) -> None:
    greys = np.arange(1 << bits)[None, :, None]
    most = (1 << bits) - 1
    found = read(tmp_path, files.png(greys, bits, [(b"tRNS", b"\0\1")]))
    assert found[0, :, 0].tolist() == [0 if n == 1 else round(255 * n / most) for n in range(1 << bits)]


@pytest.mark.parametrize("kind", ["L", "LA"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("curve", "light"),
    [
        (files.curve_of_gamma(1), lambda v: v),
        (files.curve_of_gamma(2.5), lambda v: v**2.5),
        (
            files.curve_of_table([0, 10_000, 65_535]),
            lambda v: np.interp(v, [0, 0.5, 1], [0, 10_000 / 65_535, 1]),
        ),
        (b"curv" + b"\0" * 8, lambda v: v),
        (files.curve_of_form(0, 1.5), lambda v: v**1.5),
        (files.curve_of_form(1, 2, 0.5, 0.5), lambda v: (0.5 * v + 0.5) ** 2),
        (
            files.curve_of_form(2, 2, 1.2, -0.2, 0.1),
            lambda v: np.where(v >= 1 / 6, (1.2 * v - 0.2) ** 2, 0) + 0.1,
        ),
        (
            files.curve_of_form(3, 2, 1, 0, 0.25, 0.5),
            lambda v: np.where(v >= 0.5, v**2, 0.25 * v),
        ),
        (
            files.curve_of_form(4, 2, 0.9, 0, 0.25, 0.5, 0.05, 0.02),
            lambda v: np.where(v >= 0.5, (0.9 * v) ** 2 + 0.05, 0.25 * v + 0.02),
        ),
    ],
    ids=["gamma 1", "gamma 2.5", "table", "identity", "form 0", "form 1", "form 2", "form 3", "form 4"],
)
def test_a_grey_profile(
    curve: bytes, light: Callable[[Levels], Levels], bits: int, kind: str, tmp_path: Path
) -> None:
    greys = to_bits(np.arange(0, 65_536, 331)[None, :, None], bits)
    samples = np.concatenate([greys, np.full_like(greys, (1 << bits) - 1)], axis=2) if kind == "LA" else greys
    found = read(tmp_path, files.png(samples, bits, [files.icc_chunk(files.grey_profile(curve))]))
    expected = files.to_srgb_levels(light(greys / ((1 << bits) - 1)))
    assert apart(found, np.broadcast_to(expected, found.shape)) <= 2


@pytest.mark.parametrize("bits", [8, 16])
def test_a_profile_of_a_table_of_colours(bits: int, tmp_path: Path) -> None:
    corners = np.array([n.bit_count() / 3 for n in range(8)])  # a grey of the mean of red, green and blue
    colours = to_bits(np.broadcast_to(np.arange(0, 65_536, 4369)[None, :, None], (1, 16, 3)), bits)
    data = files.png(colours, bits, [files.icc_chunk(files.table_profile(b"RGB ", corners))])
    found = read(tmp_path, data)
    lightness = np.arange(16) / 15 * 100
    light = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)  # CIE L* to luminance
    assert apart(found, np.broadcast_to(files.to_srgb_levels(light)[None, :, None], found.shape)) <= 2


CMYK = RNG.integers(0, 2, (4, 5, 4)) * 255  # corners of the table: what is between them is lcms's affair
CORNERS = np.linspace(1, 0, 16)


@pytest.mark.parametrize("file", ["TIFF", "JPEG"])
def test_cmyk_with_a_profile(file: str, tmp_path: Path) -> None:
    large = np.repeat(np.repeat(CMYK, 16, 0), 16, 1).astype(np.uint8)
    picture = Image.frombytes("CMYK", (80, 64), large.tobytes())
    buffer = io.BytesIO()
    options = {"quality": 100, "subsampling": 0} if file == "JPEG" else {}
    picture.save(buffer, file, icc_profile=files.table_profile(b"CMYK", CORNERS), **options)
    found = read(tmp_path, buffer.getvalue(), ".tif" if file == "TIFF" else ".jpg")
    lightness = CORNERS[(CMYK // 255) @ (8, 4, 2, 1)] * 100
    light = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    expected = np.broadcast_to(files.to_srgb_levels(light)[..., None], (4, 5, 3))
    assert apart(found[8::16, 8::16], expected) <= 2


def test_cmyk_without_a_profile_and_with_that_of_another_space(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for profile in (None, files.srgb_profile()):
        buffer = io.BytesIO()
        Image.new("CMYK", (2, 1), (255, 0, 0, 0)).save(buffer, "TIFF", icc_profile=profile)
        assert read(tmp_path, buffer.getvalue(), ".tif")[0, 0].tolist() == [0, 255, 255]
    assert caplog.messages == [f"{tmp_path}/a.tif: a colour profile that is not for CMYK is passed over"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "YCbCr"])
@pytest.mark.parametrize("suffix", ["TIFF", "WEBP", "JPEG", "AVIF"])
def test_other_formats_with_exchanged_colours(mode: str, suffix: str, tmp_path: Path) -> None:
    Image.init()
    if suffix not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {suffix}")
    if mode == "P" and suffix != "TIFF":
        pytest.skip("it has no palettes")
    picture = Image.new("RGB", (32, 32), (200, 90, 30)).convert(mode)
    if suffix != "TIFF":
        fits = {"L": "L"} if suffix == "JPEG" else {"RGBA": "RGBA", "LA": "RGBA"}
        picture = picture.convert("RGB").convert(fits.get(mode, "RGB"))
    expected = np.asarray(picture.convert("RGB"))[..., ::-1].astype(np.int64)
    options: dict[str, object] = {} if suffix == "TIFF" else {"quality": 100, "lossless": True}
    buffer = io.BytesIO()
    picture.save(buffer, suffix, icc_profile=files.swapped_profile(), **options)
    found = read(tmp_path, buffer.getvalue(), f".{suffix.lower()}")
    assert np.abs(found - expected).max() <= 4  # two, and what is lossy loses a little


def test_lab(tmp_path: Path) -> None:
    lab = np.zeros((1, 3, 3), np.uint8)
    lab[0] = (
        (255, 0, 0),
        (0, 0, 0),
        (138, 81, 70),
    )  # white, black, and sRGB's red in D50: L 54.3 of 100, a 80.8, b 69.9
    page = files.Page(lab, photometric=8)
    found = read(tmp_path, files.tiff(page), ".tif")
    assert np.abs(found[0] - ((255, 255, 255), (0, 0, 0), (255, 0, 0))).max() <= 5  # of 8 bits each


def test_a_pillow_image_is_treated_alike(tmp_path: Path, codec_folder: Path) -> None:
    picture = Image.new("P", (40, 30), 5)
    picture.putpalette(bytes(range(16)) * 48)
    path = tmp_path / "a.png"
    picture.save(path, icc_profile=files.swapped_profile())
    with Image.open(path) as opened:
        assert heliograph.encode(opened, codec=codec_folder) == heliograph.encode(path, codec=codec_folder)
    assert load_srgb(path)[0, 0].tolist() == [1, 0, 15]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_pillow_image_of_16_bits_is_treated_alike(
    channels: int, tmp_path: Path, codec_folder: Path
) -> None:
    samples = RNG.integers(0, 65_536, (32, 40, channels))
    profile = files.grey_profile if channels < 3 else files.rgb_profile
    path = tmp_path / "a.png"
    path.write_bytes(files.png(samples, 16, [files.icc_chunk(profile(files.curve_of_gamma(1)))]))
    expected = heliograph.encode(path, codec=codec_folder)
    with Image.open(path) as opened:
        assert heliograph.encode(opened, codec=codec_folder) == expected
        opened.load()
        assert opened.size == (40, 32)


MODES = [
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "I;16",
    "I;16L",
    "I;16B",
    "I;16N",
]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_with_every_profile_is_a_picture(mode: str) -> None:
    colours = Image.fromarray(RNG.integers(0, 256, (9, 11, 3), dtype=np.uint8))
    if mode.startswith("I;16"):
        picture = Image.new(mode, (11, 9), 1000)
    elif mode == "LAB":
        picture = Image.frombytes("LAB", (11, 9), colours.tobytes())
    else:
        before = {"La": "LA", "RGBa": "RGBA", "PA": "P"}.get(mode, mode)
        picture = colours.convert(before).convert(mode)
    profiles = [
        None,
        files.swapped_profile(),
        files.grey_profile(files.curve_of_gamma(1)),
        files.table_profile(b"CMYK", CORNERS),
        files.table_profile(b"RGB ", CORNERS[:8]),
        files.profile(b"Lab ", {}),
        files.srgb_profile()[:300],
        b"nonsense" * 20,
    ]
    more: list[dict[str | tuple[int, int], Any]] = [
        {},
        {"gamma": 1.0},
        {"transparency": 5},
        {"gamma": 1.0, "chromaticity": EXCHANGED},
        {"srgb": 0},
        {"gamma": "x", "chromaticity": 3},
    ]
    for profile in profiles:
        for said in more:
            picture.info = {**said, **({} if profile is None else {"icc_profile": profile})}
            found = image_srgb(picture)
            assert found.shape == (9, 11, 3)


def test_a_profile_that_is_not_used_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    read(
        tmp_path, files.png(COLOURS // 257, 8, [files.icc_chunk(files.grey_profile(files.curve_of_gamma(1)))])
    )
    broken = files.srgb_profile()[:300]
    read(tmp_path, files.png(COLOURS // 257, 8, [files.icc_chunk(broken)]))
    assert caplog.messages == [
        f"{tmp_path}/a.png: a colour profile that is not for RGB is passed over",
        f"{tmp_path}/a.png: a broken colour profile is passed over",
    ]
