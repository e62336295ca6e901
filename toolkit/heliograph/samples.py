"""Sample pictures: the photographs that training, the demo and calibration use when no others are given.

They are not in this repository. `calibration/pictures.json` lists public-domain pictures that scikit-image
carries inside its package, each with its licence and SHA-256, so that nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from heliograph.errors import PictureError

LIST = "pictures.json"


@dataclass(frozen=True)
class Sample:
    """One entry of the list; `sha256` is in hexadecimal, `colour` tells a colour picture from a grey one."""

    file: str
    sha256: str
    licence: str
    source: str
    colour: bool


def listed() -> list[Sample]:
    """Return the list of sample pictures."""
    package = Path(__file__).resolve().parent
    installed = package / "calibration"
    folder = installed if installed.is_dir() else package.parents[1] / "calibration"
    entries = json.loads((folder / LIST).read_text(encoding="utf-8"))["pictures"]
    return [Sample(**entry) for entry in entries]


def picture_folder() -> Path:
    """Return the folder of pictures in the installed scikit-image; PictureError if there is none."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise PictureError(
            "the sample pictures lie in scikit-image, which is not installed: "
            "pip install scikit-image, or give pictures of your own"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def sample_pictures(*, colour_only: bool = False, folder: Path | None = None) -> list[Path]:
    """Return the paths of the sample pictures, every file checked against its hash.

    Args:
        colour_only: leave the grey ones out.
        folder: where they lie; None for the installed scikit-image.

    Raises:
        PictureError: scikit-image is not installed, or a file is missing or is not the one in the list.
    """
    place = folder or picture_folder()
    samples = [s for s in listed() if s.colour or not colour_only]
    for sample in samples:
        path = place / sample.file
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise PictureError(
                f"sample picture {path} cannot be read: {error.strerror}; reinstall scikit-image"
            ) from None
        if digest != sample.sha256:
            raise PictureError(
                f"sample picture {path} is not the listed one: SHA-256 is {digest[:12]}, expected "
                f"{sample.sha256[:12]}; reinstall scikit-image"
            )
    return [place / s.file for s in samples]


def copy_samples(folder: Path) -> Path:
    """Copy the sample pictures into a folder, made if needed, and return it: a photo folder for training."""
    pictures = sample_pictures()
    folder.mkdir(parents=True, exist_ok=True)
    for path in pictures:
        shutil.copyfile(path, folder / path.name)
    return folder
