"""Fixed cameras to measure on: a folder of folders, each with the pictures of one in the order of their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.errors import PictureError
from heliograph.pictures import list_pictures, load_srgb


@dataclass(frozen=True)
class Site:
    """A camera that does not move, and its pictures' files in the order of their names."""

    name: str
    paths: Sequence[Path]

    def pictures(self) -> list[npt.NDArray[np.uint8]]:
        """Return the pictures, uint8 [H, W, 3] each; PictureError if one cannot be read or has another size."""
        pictures = [load_srgb(path) for path in self.paths]
        height, width = pictures[0].shape[:2]
        for path, picture in zip(self.paths, pictures, strict=True):
            if picture.shape != pictures[0].shape:
                raise PictureError(
                    f"{path} is {picture.shape[1]}x{picture.shape[0]}, expected {width}x{height} as "
                    f"{self.paths[0].name} is; give each camera and size a folder of its own"
                )
        return pictures


def find(folder: Path, every: int = 1) -> list[Site]:
    """Return the cameras of a folder, each with every `every`-th of its pictures.

    Raises:
        PictureError: the folder is missing or has no folders, or one of them has fewer than two pictures.
    """
    if not folder.is_dir():
        raise PictureError(
            f"folder {folder} does not exist: give a folder with a folder of pictures for each camera"
        )
    places = sorted(path for path in folder.iterdir() if path.is_dir())
    if not places:
        raise PictureError(f"no folders in {folder}: expected one for each camera; give the folder above")
    sites = [Site(place.name, list_pictures(place)[::every]) for place in places]
    for site in sites:
        if len(site.paths) < 2:
            raise PictureError(
                f"{folder / site.name} has one picture to measure, expected 2 or more; add some"
            )
    return sites
