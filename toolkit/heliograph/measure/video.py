"""What video codecs do with pictures of one place: x265 and SVT-AV1 through ffmpeg, all bytes of a file counted.

They are given what they are best at, tuned for PSNR: all pictures at once, so that each may be predicted from later
ones too; and x265 also as a camera would have to use it, each picture coded before the next is there. Colours are
converted here, by the full range of BT.601, so that no conversion of ffmpeg's costs them.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.errors import RuntimeUnavailableError
from heliograph.measure import metrics

Picture = npt.NDArray[np.uint8]
_TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_TO_RGB = np.linalg.inv(_TO_YCBCR)
_TIMEOUT = 3600


@dataclass(frozen=True)
class Video:
    """A video codec: its name for people, ffmpeg's encoder and options, and the CRFs measured, from fine to small.

    Attributes:
        pixels: ffmpeg's name of the samples it codes.
        bits: of a sample.
        form: ffmpeg's format of the file, one that adds next to nothing.
    """

    label: str
    encoder: str
    options: tuple[str, ...]
    pixels: str
    bits: int
    form: str
    settings: tuple[int, ...]


def _x265(mode: str, interval: int, settings: tuple[int, ...], params: str = "") -> Video:
    """Return x265 in a mode, with a key picture in so many, and more of its own parameters, each behind a colon."""
    own = f"info=0:log-level=error:frame-threads=1{params}"
    options = ("-preset", "medium", "-tune", "psnr", "-x265-params", own, "-g", str(interval))
    return Video(f"x265 medium, 4:4:4{mode}", "libx265", options, "yuv444p", 8, "hevc", settings)


_NO_LOOK_AHEAD = ":bframes=0:rc-lookahead=0:cutree=0:scenecut=0"
VIDEOS = {
    "x265": _x265("", 9999, (12, 19, 26, 33, 40)),
    "x265-causal": _x265(", no look ahead", 9999, (12, 19, 26, 33, 40), _NO_LOOK_AHEAD),
    # Parameter sets are repeated with each picture, as they must be where pictures are to be read alone.
    "x265-intra": _x265(", intra", 1, (14, 21, 28, 35, 42)),
    # It has 4:2:0 alone, and gains from ten bits.
    "svt-av1": Video(
        "SVT-AV1 preset 6, 4:2:0",
        "libsvtav1",
        ("-preset", "6", "-g", "9999"),
        "yuv420p10le",
        10,
        "obu",
        (12, 24, 36, 48, 60),
    ),
}


@functools.cache
def _encoders() -> tuple[str, frozenset[str]]:
    """Return ffmpeg's version and the names of its encoders; nothing where it is not installed."""
    program = shutil.which("ffmpeg")
    if program is None:
        return "", frozenset()
    said = [
        subprocess.run([program, "-hide_banner", what], capture_output=True, text=True, timeout=60).stdout
        for what in ("-version", "-encoders")
    ]
    lines = [line.split() for line in said[1].splitlines()]
    return said[0].split()[2], frozenset(words[1] for words in lines if len(words) > 1)


def clear() -> None:
    """Forget which ffmpeg is installed."""
    _encoders.cache_clear()


def version() -> str:
    """Return what does the work and its version."""
    return f"ffmpeg {_encoders()[0]}"


def missing(name: str) -> str | None:
    """Return why a video codec cannot be measured here, None if it can."""
    found, encoders = _encoders()
    if not found:
        return "ffmpeg is not installed"
    encoder = VIDEOS[name].encoder
    return None if encoder in encoders else f"ffmpeg {found} has no {encoder}"


def measure(name: str, pictures: Sequence[Picture], setting: int) -> tuple[int, list[float]]:
    """Return the bytes of pictures uint8 [H, W, 3] of one size as a video, and the PSNR over RGB of each in dB.

    Raises:
        RuntimeUnavailableError: ffmpeg cannot do it; its last line says why.
    """
    video = VIDEOS[name]
    height, width = pictures[0].shape[:2]
    even = (height + 1) // 2 * 2, (width + 1) // 2 * 2  # what halved chroma needs
    depth = "10le" if video.bits == 10 else ""
    raw = ["-f", "rawvideo", "-pix_fmt", f"yuv444p{depth}"]
    size = f"{even[1]}x{even[0]}"
    with tempfile.TemporaryDirectory() as folder:
        given, coded, shown = (Path(folder) / part for part in ("given", "coded", "shown"))
        with given.open("wb") as file:
            for picture in pictures:
                file.write(_to_planes(picture, even, video.bits).tobytes())
        how = ["-c:v", video.encoder, "-pix_fmt", video.pixels, *video.options, "-crf", str(setting)]
        _run([*raw, "-s", size, "-r", "25", "-i", str(given), *how, "-f", video.form, str(coded)])
        _run(["-f", video.form, "-i", str(coded), *raw, str(shown)])
        kind = np.dtype(np.uint8 if video.bits == 8 else "<u2")
        frame = 3 * even[0] * even[1] * kind.itemsize
        if shown.stat().st_size != frame * len(pictures):
            raise RuntimeUnavailableError(
                f"{video.label}: {len(pictures)} pictures became {shown.stat().st_size / frame:g}; try another ffmpeg"
            )
        quality = []
        with shown.open("rb") as file:
            for picture in pictures:
                planes = np.frombuffer(file.read(frame), kind).reshape(3, *even)[:, :height, :width]
                quality.append(metrics.psnr(picture, _to_rgb(planes, video.bits)))
        return coded.stat().st_size, quality


def _to_planes(picture: Picture, even: tuple[int, int], bits: int) -> npt.NDArray[Any]:
    """Return Y, Cb, Cr [3, H, W] of `bits` bits, the last row and column repeated up to the size `even`."""
    height, width = picture.shape[:2]
    whole = np.pad(picture, ((0, even[0] - height), (0, even[1] - width), (0, 0)), "edge")
    samples = np.moveaxis(whole.astype(np.float32) @ _TO_YCBCR.T, 2, 0)
    samples[1:] += 128
    most = (1 << bits) - 1
    planes = np.clip(np.rint(samples * (1 << bits - 8)), 0, most)
    return np.asarray(planes, np.uint8 if bits == 8 else "<u2")


def _to_rgb(planes: npt.NDArray[Any], bits: int) -> Picture:
    """Return the picture uint8 [H, W, 3] of Y, Cb, Cr [3, H, W]."""
    samples = planes.astype(np.float32) / (1 << bits - 8)
    samples[1:] -= 128
    return np.asarray(np.clip(np.rint(np.moveaxis(samples, 0, 2) @ _TO_RGB.T), 0, 255), np.uint8)


def _run(arguments: list[str]) -> None:
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeUnavailableError(f"ffmpeg does not run ({error}); install it again") from error
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RuntimeUnavailableError(f"ffmpeg does not code these pictures: {why}; try another ffmpeg")
