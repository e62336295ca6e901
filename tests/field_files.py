"""Files as cameras and other programs write them, byte by byte, as Pillow does not: PNG, TIFF, colour profiles."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

Samples = npt.NDArray[np.integer]
PNG_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}  # channels to colour type


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    samples: Samples, bits: int, chunks: Sequence[tuple[bytes, bytes]] = (), palette: bytes | None = None
) -> bytes:
    """Return a PNG file of samples [H, W, C]; `chunks` come before the pixels."""
    height, width, channels = samples.shape
    rows = [pack(row.reshape(-1), bits) for row in samples]
    kind = 3 if palette is not None else PNG_KINDS[channels]
    parts = [png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))]
    before = [c for c in chunks if c[0] not in (b"tRNS", b"eXIf")]
    after = [c for c in chunks if c[0] in (b"tRNS", b"eXIf")]
    parts += [png_chunk(*chunk) for chunk in before]
    parts += [png_chunk(b"PLTE", palette)] if palette is not None else []
    parts += [png_chunk(*chunk) for chunk in after]
    parts += [
        png_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
        png_chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def icc_chunk(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"some\0\0" + zlib.compress(profile)


def gamma_chunk(gamma: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(gamma * 100_000))


def primaries_chunk(*at: float) -> tuple[bytes, bytes]:
    """x and y of white, red, green and blue."""
    return b"cHRM", struct.pack(">8I", *(round(v * 100_000) for v in at))


def pack(values: Samples, bits: int, order: str = ">") -> bytes:
    """Return samples of `bits`, one after another, the first in the highest bits; whole bytes."""
    if bits in (8, 16, 32):
        return values.astype(f"{order}{'i' if values.dtype.kind == 'i' else 'u'}{bits // 8}").tobytes()
    shifts = np.arange(bits - 1, -1, -1)
    return np.packbits((values.astype(np.int64).reshape(-1, 1) >> shifts & 1).astype(np.uint8)).tobytes()


@dataclass
class Page:
    """A picture of a TIFF file.

    Attributes:
        samples: [H, W, C].
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 32803 a sensor's ...
        planar: 2 for a plane for each channel.
        tags: more, as (type, values).
        inside: directories of tag SubIFDs.
    """

    samples: Samples
    bits: int = 8
    photometric: int = 2
    planar: int = 1
    is_packed: bool = False
    tags: Mapping[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    inside: list[Page] = field(default_factory=list)


_SIZES = {1: 1, 3: 2, 4: 4, 5: 8, 13: 4, 16: 8}
_FORMS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}


def tiff(*pages: Page, order: str = "<", is_big: bool = False) -> bytes:
    """Return a TIFF file with the pages one after another, or a BigTIFF one."""
    out = io.BytesIO()
    start = b"II" if order == "<" else b"MM"
    pointer = "Q" if is_big else "I"
    out.write(
        start + struct.pack(order + ("HHHQ" if is_big else "HI"), *((43, 8, 0, 0) if is_big else (42, 0)))
    )
    link = 8 if is_big else 4
    for page in pages:
        at, link_after = _write(out, page, order, pointer)
        end = out.tell()
        out.seek(link)
        out.write(struct.pack(order + pointer, at))
        out.seek(end)
        link = link_after
    return out.getvalue()


def _write(out: io.BytesIO, page: Page, order: str, pointer: str) -> tuple[int, int]:
    """Write a page; return where its directory is, and where the pointer to the next one is."""
    inside = [_write(out, part, order, pointer)[0] for part in page.inside]
    height, width, channels = page.samples.shape
    planes = [page.samples[..., n : n + 1] for n in range(channels)] if page.planar == 2 else [page.samples]
    places, sizes = [], []
    for plane in planes:
        data = b"".join(pack(row.reshape(-1), page.bits, order) for row in plane)
        data = zlib.compress(data) if page.is_packed else data
        places.append(out.tell())
        sizes.append(len(data))
        out.write(data + b"\0" * (len(data) % 2))
    kind = 16 if pointer == "Q" else 4
    tags: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (page.bits,) * channels),
        259: (3, (8 if page.is_packed else 1,)),
        262: (3, (page.photometric,)),
        273: (kind, tuple(places)),
        277: (3, (channels,)),
        278: (4, (height,)),
        279: (kind, tuple(sizes)),
        284: (3, (page.planar,)),
    }
    tags |= page.tags
    if inside:
        tags[330] = kind, tuple(inside)
    beside = {}
    for tag, (form, values) in tags.items():
        data = struct.pack(f"{order}{len(values)}{_FORMS[form]}", *values)
        if len(data) > struct.calcsize(pointer):
            beside[tag] = out.tell()
            out.write(data + b"\0" * (len(data) % 2))
    at = out.tell()
    out.write(struct.pack(order + ("Q" if pointer == "Q" else "H"), len(tags)))
    for tag, (form, values) in sorted(tags.items()):
        data = struct.pack(f"{order}{len(values)}{_FORMS[form]}", *values)
        value = (
            struct.pack(order + pointer, beside[tag])
            if tag in beside
            else data.ljust(struct.calcsize(pointer), b"\0")
        )
        out.write(struct.pack(order + "HH" + pointer, tag, form, len(values)) + value)
    link = out.tell()
    out.write(struct.pack(order + pointer, 0))
    return at, link


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """A profile whose red is sRGB's blue, and the other way round."""
    return srgb_profile().replace(b"rXYZ", b"....").replace(b"bXYZ", b"rXYZ").replace(b"....", b"bXYZ")


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return an ICC profile, version 2, of a device's colour space."""
    pcs = b"Lab " if b"A2B0" in tags else b"XYZ "
    head = struct.pack(
        ">I4sI4s4s4s12x4s20x4s", 0, b"lcms", 0x02400000, b"mntr", space, pcs, b"acsp", b"\0" * 4
    )
    head += struct.pack(">8x3i", 63_190, 65_536, 54_061)
    head = head[:128].ljust(128, b"\0")
    at, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    data = head + table + body
    return struct.pack(">I", len(data)) + data[4:]


def curve_of_gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def curve_of_table(values: Sequence[int]) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", len(values), *values)


def curve_of_form(form: int, *numbers: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(
        f">HH{len(numbers)}i", form, 0, *(round(n * 65_536) for n in numbers)
    )


def xyz(*at: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65_536) for v in at))


# As they are in D50, in which profiles speak.
SRGB_XYZ = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
WIDE_XYZ = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))  # ProPhoto's


def rgb_profile(curve: bytes, colours: Sequence[Sequence[float]] = SRGB_XYZ) -> bytes:
    names = b"rXYZ", b"gXYZ", b"bXYZ"
    tags = {name: xyz(*colour) for name, colour in zip(names, colours, strict=True)}
    tags |= {b"wtpt": xyz(0.9642, 1, 0.8249)} | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return profile(b"RGB ", tags)


def grey_profile(curve: bytes) -> bytes:
    return profile(b"GRAY", {b"wtpt": xyz(0.9642, 1, 0.8249), b"kTRC": curve})


def table_profile(space: bytes, lightness: npt.NDArray[np.floating]) -> bytes:
    """A profile of a table of colours: a grey of a lightness, 0 to 1, at each corner of the space."""
    channels = {b"CMYK": 4, b"RGB ": 3}[space]
    ramp = bytes(range(256))
    lut = (
        b"mft1\0\0\0\0"
        + bytes([channels, 3, 2, 0])
        + struct.pack(">9i", *(65_536 * (n % 4 == 0) for n in range(9)))
    )
    corners = b"".join(bytes([round(255 * float(v)), 128, 128]) for v in lightness.reshape(-1))
    return profile(
        space, {b"wtpt": xyz(0.9642, 1, 0.8249), b"A2B0": lut + ramp * channels + corners + ramp * 3}
    )


def to_srgb_levels(light: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return light, 0 to 1, as sRGB levels, 0 to 255, as IEC 61966-2-1 has it."""
    light = np.clip(np.asarray(light, np.float64), 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def jpeg(picture: npt.NDArray[np.uint8], **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", **options)
    return buffer.getvalue()
