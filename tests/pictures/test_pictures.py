"""Reading pictures: upright, sRGB, 8 bits, whatever the file says."""

from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from heliograph.errors import PictureError
from heliograph.pictures import load_srgb


def save(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)  # type: ignore[arg-type]
    return path


def test_long_texts_in_a_png_are_passed_over(tmp_path: Path) -> None:
    pixels = np.random.default_rng(5).integers(256, size=(6, 5, 3), dtype=np.uint8)
    for place in ("before", "after"):  # the pixels
        info = PngImagePlugin.PngInfo()
        info.add_text("History", "x" * (2 << 20), zip=True)  # Pillow takes 1 MB of a text
        path = tmp_path / f"{place}.png"
        Image.fromarray(pixels).save(path, pnginfo=info)
        data = path.read_bytes()
        text = data[33 : 33 + 12 + int.from_bytes(data[33:37], "big")]
        assert text[4:8] == b"zTXt"
        if place == "after":
            path.write_bytes(data.replace(text, b"").replace(data[-12:], text + data[-12:]))
        assert np.array_equal(load_srgb(path), pixels)


def test_a_cut_png_with_a_long_text_is_still_refused(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("History", "x" * (2 << 20), zip=True)
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(5).integers(256, size=(64, 64, 3), dtype=np.uint8)).save(
        path, pnginfo=info
    )
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(PictureError, match="cannot read picture"):
        load_srgb(path)


def test_pillows_limit_is_the_applications_to_choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", Image.new("RGB", (40, 50)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 999)
    with pytest.raises(PictureError, match=r"more pixels than PIL\.Image\.MAX_IMAGE_PIXELS; raise that, or"):
        load_srgb(path)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 2))
    picture.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to see it upright
    found = load_srgb(save(tmp_path / "a.png", picture, exif=exif))
    assert found.shape == (4, 2, 3)
    assert found[0, 1].tolist() == [255, 0, 0]


def test_transparent_parts_are_black(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (2, 1), (200, 100, 50, 0))
    picture.putpixel((1, 0), (200, 100, 50, 255))
    found = load_srgb(save(tmp_path / "a.png", picture))
    assert found.tolist() == [[[0, 0, 0], [200, 100, 50]]]


def test_sixteen_bits_are_rounded_not_clipped(tmp_path: Path) -> None:
    grey = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    found = load_srgb(save(tmp_path / "a.png", Image.fromarray(grey)))
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert np.array_equal(found[..., 0], found[..., 2])


def test_floating_point_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", Image.fromarray(np.zeros((2, 2), np.float32)))
    with pytest.raises(PictureError, match="floating-point pixels have no defined white"):
        load_srgb(path)


def test_an_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Image.new("RGB", (2, 2), (10, 120, 250))
    found = load_srgb(save(tmp_path / "a.png", picture, icc_profile=profile))
    assert np.abs(found.astype(int) - (10, 120, 250)).max() <= 1


def test_another_profile_is_converted(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"....").replace(b"bXYZ", b"rXYZ").replace(b"....", b"bXYZ")
    found = load_srgb(save(tmp_path / "a.png", Image.new("RGB", (2, 2), (250, 0, 0)), icc_profile=swapped))
    assert np.abs(found[0, 0].astype(int) - (0, 0, 250)).max() <= 4  # this profile's red is sRGB's blue


def test_a_broken_profile_is_ignored(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.new("RGB", (2, 2), (1, 2, 3)), icc_profile=b"nonsense" * 20)
    assert load_srgb(path)[0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_usual_mode_is_read(tmp_path: Path, mode: str) -> None:
    suffix = ".tif" if mode in ("CMYK", "YCbCr") else ".png"
    path = save(tmp_path / f"a{suffix}", Image.new("RGB", (5, 3), (255, 255, 255)).convert(mode))
    found = load_srgb(path)
    assert found.shape == (3, 5, 3)
    assert found.dtype == np.uint8
    assert found.min() >= 250


def test_a_format_that_runs_programs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.eps"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", encoding="ascii")
    with pytest.raises(PictureError, match="is not a picture"):
        load_srgb(path)


JPEG = io.BytesIO()
Image.effect_noise((40, 30), 60).convert("RGB").save(JPEG, "JPEG", quality=60)


@given(place=st.integers(0, len(JPEG.getvalue()) - 1), value=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_gives_a_picture_or_our_error(
    tmp_path: Path, place: int, value: int, cut: bool
) -> None:
    data = bytearray(JPEG.getvalue())
    data[place] = value
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:place] if cut else data)
    message = str(path)
    try:
        channels = load_srgb(path).shape[2]
    except PictureError as error:
        channels, message = 3, str(error)
    assert channels == 3
    assert str(path) in message


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.new("L", (4000, 3000)))
    tracemalloc.start()
    with pytest.raises(
        PictureError,
        match=r"a.png: picture is 4000x3000, 12000000 pixels, and 11999999 are allowed here; scale it down, or allow",
    ):
        load_srgb(path, max_pixels=11_999_999)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert load_srgb(path, max_pixels=12_000_000).shape == (3000, 4000, 3)


def test_a_file_longer_than_any_picture_is_not_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.webp", Image.new("RGB", (8, 8)))  # a format whose decoder takes the whole file
    with path.open("ab") as handle:
        handle.truncate(1 << 40)
    with pytest.raises(
        PictureError, match=f"the file has {1 << 40} bytes, a picture of 134217728 pixels has at"
    ):
        load_srgb(path)


def test_a_pipe_or_a_device_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("/dev/zero")
    for name in ("a.jpg", "b.jpg"):
        with pytest.raises(
            PictureError, match="it is a pipe, a socket or a device, not a file; check the file"
        ):
            load_srgb(tmp_path / name)
