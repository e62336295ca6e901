"""Black is 0 and white is 255 at every depth, and the picture is the full one; or the file is refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.field_files import Page, png, tiff

from heliograph.errors import PictureError
from heliograph.pictures import load_srgb

RNG = np.random.default_rng(11)
TURNED = {274: (3, (6,))}  # a quarter to the right


def write(tmp_path: Path, data: bytes, name: str = "a.tif") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def ramp(bits: int, channels: int) -> npt.NDArray[np.int64]:
    """Samples [9, 13, channels] with black and white among them."""
    samples = RNG.integers(0, 1 << bits, (9, 13, channels))
    samples[0, 0], samples[0, 1] = 0, (1 << bits) - 1
    return samples


def reads(path: Path) -> bool:
    """Return whether a file is read; if it is not, the error says what would be."""
    try:
        load_srgb(path)
    except PictureError as error:
        if not str(error).endswith(
            ("save it with 8 or 16 bits", "save it with samples side by side, or as PNG")
        ):
            raise
        return False
    return True


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("photometric", [0, 1, 2])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_tiff_file(
    bits: int, photometric: int, planar: int, is_packed: bool, order: str, tmp_path: Path
) -> None:
    channels = 3 if photometric == 2 else 1
    samples = ramp(bits, channels)
    path = write(
        tmp_path, tiff(Page(samples, bits, photometric, planar=planar, is_packed=is_packed), order=order)
    )
    levels = np.broadcast_to(samples * 255 / ((1 << bits) - 1), (9, 13, 3))
    expected = 255 - levels if photometric == 0 else levels
    if reads(path):
        assert np.abs(load_srgb(path) - expected).max() <= (1 if planar == 2 else 0.6)
    else:
        assert bits != 8 or (planar, photometric) == (2, 0)


def test_which_depths_are_read_and_which_refused(tmp_path: Path) -> None:
    """The other test takes either; this one says which it is."""
    read = set()
    for bits in (8, 10, 12, 14, 16):
        for photometric in (0, 1, 2):
            for order in "<>":
                page = Page(ramp(bits, 3 if photometric == 2 else 1), bits, photometric)
                if reads(write(tmp_path, tiff(page, order=order))):
                    read.add((bits, photometric, order))
    eight = {(8, photometric, order) for photometric in (0, 1, 2) for order in "<>"}
    assert read == eight | {
        (12, 1, "<"),
        (16, 0, "<"),
        (16, 1, "<"),
        (16, 1, ">"),
        (16, 2, "<"),
        (16, 2, ">"),
    }


@pytest.mark.parametrize(
    ("bits", "photometric", "sample_format", "said"),
    [
        (8, 1, 2, "signed samples have no defined black"),
        (16, 1, 2, "signed samples have no defined black"),
        (32, 1, 2, "signed samples have no defined black"),
        (32, 1, 1, "samples of 32 bits have no defined white"),
        (32, 1, 3, "floating-point pixels have no defined white"),
    ],
)
def test_samples_without_a_white_are_refused(
    bits: int, photometric: int, sample_format: int, said: str, tmp_path: Path
) -> None:
    page = Page(np.ones((4, 4, 1), np.int64), bits, photometric, tags={339: (3, (sample_format,))})
    with pytest.raises(PictureError, match=rf"a\.tif: {said}.*; save it with"):
        load_srgb(write(tmp_path, tiff(page)))


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_with_alpha(kind: str, channels: int, tmp_path: Path) -> None:
    samples = ramp(16, channels)
    if kind == "PNG":
        path = write(tmp_path, png(samples, 16), "a.png")
    elif channels == 4:
        path = write(tmp_path, tiff(Page(samples, 16, tags={338: (3, (2,))})))
    else:
        pytest.skip("Pillow reads no such file")
    expected = samples[..., :-1] * 255 / 65_535 * samples[..., -1:] / 65_535
    assert np.abs(load_srgb(path) - np.broadcast_to(expected, (9, 13, 3))).max() <= 1.5


def test_a_grey_map_of_ten_bits(tmp_path: Path) -> None:
    path = write(tmp_path, b"P5 3 1 1023\n" + np.array([0, 512, 1023], ">u2").tobytes(), "a.ppm")
    assert load_srgb(path)[0, :, 0].tolist() == [0, 128, 255]


def test_jpeg_2000_of_twelve_bits(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    grey = np.array([[0, 257 * 100, 65_535]] * 4, np.uint16)
    Image.fromarray(grey).save(buffer, "JPEG2000", irreversible=False)
    assert load_srgb(write(tmp_path, buffer.getvalue(), "a.jp2"))[0, :, 0].tolist() == [0, 100, 255]


FULL = RNG.integers(0, 256, (40, 60, 3))
SMALL = FULL[::4, ::4]
REDUCED = {254: (4, (1,))}
LAYOUTS = {
    "inside": [Page(SMALL, tags=REDUCED, inside=[Page(FULL)])],
    "inside, with raw previews": [
        Page(SMALL, tags=REDUCED, inside=[Page(FULL[::2, ::2], tags=REDUCED), Page(FULL)])
    ],
    "the second page": [Page(SMALL, tags=REDUCED), Page(FULL)],
    "said the old way": [Page(SMALL, tags={255: (3, (2,))}), Page(FULL)],
    "said by nobody": [Page(SMALL), Page(FULL)],
    "inside, said by nobody": [Page(SMALL, inside=[Page(FULL)])],
    "a mask first": [Page(SMALL, tags={254: (4, (4,))}), Page(FULL)],
    "the third": [Page(SMALL, tags=REDUCED), Page(FULL[::2, ::2], tags=REDUCED), Page(FULL)],
    "the first, with smaller ones behind": [Page(FULL), Page(SMALL, tags=REDUCED)],
    "the first, with smaller ones inside": [Page(FULL, inside=[Page(SMALL)])],
    "the first of several pages": [
        Page(FULL, tags={254: (4, (2,))}),
        Page(255 - FULL, tags={254: (4, (2,))}),
    ],
    "the first, and a larger page of another shape": [Page(FULL), Page(RNG.integers(0, 256, (300, 61, 3)))],
}


@pytest.mark.parametrize(
    ("order", "is_big"), [("<", False), (">", False), ("<", True)]
)  # Pillow reads no fourth
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_full_picture_is_taken(layout: str, order: str, is_big: bool, tmp_path: Path) -> None:
    path = write(tmp_path, tiff(*LAYOUTS[layout], order=order, is_big=is_big))
    assert np.array_equal(load_srgb(path), FULL)


def test_the_full_picture_stands_as_the_first_directory_says(tmp_path: Path) -> None:
    first = Page(SMALL, tags=REDUCED | TURNED, inside=[Page(FULL)])
    assert np.array_equal(load_srgb(write(tmp_path, tiff(first))), np.rot90(FULL, -1))
    own = Page(SMALL, tags=REDUCED | {274: (3, (3,))}, inside=[Page(FULL, tags=TURNED)])
    assert np.array_equal(load_srgb(write(tmp_path, tiff(own))), np.rot90(FULL, -1))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation: int, bits: int, tmp_path: Path) -> None:
    samples = FULL * (257 if bits == 16 else 1)
    expected = {
        1: FULL,
        2: FULL[:, ::-1],
        3: FULL[::-1, ::-1],
        4: FULL[::-1],
        5: FULL.transpose(1, 0, 2),
        6: np.rot90(FULL, -1),
        7: FULL[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(FULL),
    }[orientation]
    page = Page(samples, bits, tags={274: (3, (orientation,))})
    assert np.array_equal(load_srgb(write(tmp_path, tiff(page))), expected)
    exif = b"II*\0\x08\0\0\0\x01\0" + b"\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0]) + b"\0" * 4
    assert np.array_equal(
        load_srgb(write(tmp_path, png(samples, bits, [(b"eXIf", exif)]), "a.png")), expected
    )
    inside = Page(SMALL, tags=REDUCED | {274: (3, (orientation,))}, inside=[Page(samples, bits)])
    assert np.array_equal(load_srgb(write(tmp_path, tiff(inside))), expected)


RAW = RNG.integers(0, 4096, (40, 60, 1))


@pytest.mark.parametrize(
    "pages",
    [
        [Page(SMALL, tags=REDUCED, inside=[Page(RAW, 16, 32803)])],
        [Page(SMALL, tags=REDUCED, inside=[Page(FULL, 8, 34892)])],
        [Page(SMALL, tags=REDUCED, inside=[Page(FULL[::2, ::2], tags=REDUCED), Page(RAW, 12, 32803)])],
        [Page(SMALL), Page(RAW, 16, 32803)],
        [Page(RAW, 16, 32803)],
        [Page(SMALL, tags=REDUCED, inside=[Page(RAW, 16, 1, tags={50717: (4, (4095,))})])],
    ],
    ids=["DNG", "linear DNG", "NEF", "a page", "alone", "another white"],
)
def test_raw_data_is_refused_and_no_preview_taken(pages: list[Page], tmp_path: Path) -> None:
    with pytest.raises(
        PictureError, match=r"a\.dng: the full picture, 60x40, is a camera's raw data; develop it"
    ):
        load_srgb(write(tmp_path, tiff(*pages), "a.dng"))


def test_what_says_nothing_of_itself_but_whose_it_is(tmp_path: Path) -> None:
    data = bytearray(tiff(Page(SMALL)))
    data[8:10] = b"CR"
    with pytest.raises(PictureError, match="the full picture is a camera's raw data"):
        load_srgb(write(tmp_path, bytes(data), "a.cr2"))


def test_a_reduced_copy_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        PictureError, match="it says that it is a reduced copy, 15x10, and holds no full picture"
    ):
        load_srgb(write(tmp_path, tiff(Page(SMALL, tags=REDUCED))))


def test_directories_that_lead_in_a_circle_or_nowhere(tmp_path: Path) -> None:
    data = bytearray(tiff(Page(FULL)))
    first = int.from_bytes(data[4:8], "little")
    for following in (first, 1 << 30, len(data) - 1):
        data[-4:] = following.to_bytes(4, "little")
        assert np.array_equal(load_srgb(write(tmp_path, bytes(data))), FULL)


def test_the_first_of_several_pictures_in_a_jpeg_file(tmp_path: Path) -> None:
    first, second = (
        Image.new("RGB", size, colour) for size, colour in (((64, 48), "red"), ((16, 12), "blue"))
    )
    path = tmp_path / "a.mpo"
    first.save(path, "MPO", save_all=True, append_images=[second], quality=95)
    found = load_srgb(path)
    assert found.shape == (48, 64, 3)
    assert np.abs(found.astype(int) - (254, 0, 0)).max() <= 2


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_picture_of_an_animation(kind: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue", "green")]
    path = tmp_path / f"a.{kind.lower()}"
    frames[0].save(
        path, kind, save_all=True, append_images=frames[1:], **({} if kind == "TIFF" else {"duration": 100})
    )
    found = load_srgb(path)
    assert found.shape == (10, 20, 3)
    assert np.abs(found.astype(int) - (255, 0, 0)).max() <= 4
