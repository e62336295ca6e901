"""Picture sources, all alike: open, read, close; and the names by which the command line knows them."""

from __future__ import annotations

import re
from pathlib import Path

from heliograph.device.cameras.camera import Camera, EndOfPictures, Picture
from heliograph.errors import CameraError

__all__ = ["SOURCES", "Camera", "EndOfPictures", "Picture", "make_camera"]

# From a JPEG to its stream 11 bytes a pixel are in use: a Raspberry Pi of 1 GB has 550 MB for one picture.
MAX_PIXELS = 50_000_000
SOURCES = "picamera, v4l2:/dev/video0, folder:DIR, video:FILE, synthetic[:WxH]"


def parse_size(text: str) -> tuple[int, int]:
    """Return (width, height) of a text such as 1920x1080; CameraError if it is none, or a side is 0."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise CameraError(f"size is {text!r}, expected WIDTHxHEIGHT in pixels, such as 1920x1080")
    return int(match[1]), int(match[2])


def make_camera(
    source: str,
    *,
    size: tuple[int, int] | None = None,
    memory: Path | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Camera:
    """Return the camera of a source's name; it is not opened yet.

    Args:
        source: one of SOURCES.
        size: width and height to ask a picamera or V4L2 camera for; default: the largest, or what it gives.
        memory: a folder in which a watched folder remembers what was taken; needed for that source only.
        max_pixels: of a picture in a watched folder; a larger one is passed over.

    Raises:
        CameraError: there is no such source.
    """
    kind, _, rest = source.partition(":")
    # Each module is imported only where it is meant: some pull in packages of a hundred megabytes.
    if kind == "picamera" and not rest:
        from heliograph.device.cameras.picamera import PiCamera

        return PiCamera(size)
    if kind == "v4l2" and rest:
        from heliograph.device.cameras.opencv import V4L2Camera

        return V4L2Camera(rest, size)
    if kind == "video" and rest:
        from heliograph.device.cameras.opencv import VideoFile

        return VideoFile(Path(rest))
    if kind == "folder" and rest:
        from heliograph.device.cameras.folder import WatchedFolder

        return WatchedFolder(Path(rest), memory, max_pixels=max_pixels)
    if kind == "synthetic":
        from heliograph.device.cameras.synthetic import SyntheticCamera

        return SyntheticCamera(*(parse_size(rest) if rest else (640, 480)))
    raise CameraError(f"unknown source {source!r}: expected one of {SOURCES}")
