"""Compare what scripts/demo encoded and decoded with JPEG, WebP and AVIF files of at most as many bytes.

    python scripts/compare.py FOLDER [SHEET]

prints a table and writes FOLDER/side-by-side.png, or SHEET, whose ending says in which format.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from heliograph.errors import RuntimeUnavailableError
from heliograph.measure.baselines import BASELINES, at_bytes, decode, encode
from heliograph.measure.metrics import psnr, ssimulacra2
from heliograph.pictures import load_srgb

Picture = npt.NDArray[np.uint8]
RIVALS = {"avif": "AVIF", "webp": "WebP", "jpeg": "JPEG"}
SHOWN = "quality-30/coffee"  # the stream of the sheet
COLUMNS, LABEL = 3, 28  # of the sheet: panels in a row, pixels of a label


@dataclass(frozen=True)
class File:
    """A compressed picture: whose, its bytes, what it decodes to, uint8 [H, W, 3], and how good that is.

    `ssimulacra2` is None where the package is not installed, `is_over` tells a file that is larger than allowed
    because its format cannot be smaller.
    """

    name: str
    size: int
    shown: Picture
    psnr: float
    ssimulacra2: float | None
    is_over: bool = False

    @property
    def label(self) -> str:
        """What stands above it in the sheet."""
        score = "" if self.ssimulacra2 is None else f", SSIMULACRA2 {self.ssimulacra2:.0f}"
        size = f"{self.size} bytes" + (" at least" if self.is_over else "")
        return f"{self.name}: {size}, {self.psnr:.1f} dB{score}"

    @property
    def cells(self) -> str:
        """Its columns in the table."""
        score = "" if self.ssimulacra2 is None else f"{self.ssimulacra2:.1f}"
        return " " * 13 + "-" if self.is_over else f"{self.psnr:7.2f} {score:>6}"


def measured(name: str, original: Picture, size: int, shown: Picture, *, is_over: bool = False) -> File:
    """Return a file with its PSNR in dB and its SSIMULACRA2."""
    try:
        score = ssimulacra2(original, shown)
    except RuntimeUnavailableError:
        score = None
    return File(name, size, shown, psnr(original, shown), score, is_over)


def rival(name: str, original: Picture, budget: int) -> File:
    """Return a format's best file of at most `budget` bytes, or its smallest, which is larger."""
    found = at_bytes(name, original, budget)
    if found:
        return measured(RIVALS[name], original, len(found[0]), found[1])
    data = encode(name, original, 1)
    return measured(RIVALS[name], original, len(data), decode(data), is_over=True)


def files(original: Picture, shown: Picture, size: int) -> list[File]:
    """Return our file of `size` bytes, decoded to `shown`, and those of the formats this Pillow has."""
    installed = [name for name in RIVALS if BASELINES[name].installed]
    return [measured("Heliograph", original, size, shown), *(rival(n, original, size) for n in installed)]


def sheet(path: Path, original: Picture, compared: list[File]) -> None:
    """Write the original and what became of it, labelled, in rows."""
    panels = [("original", original), *((file.label, file.shown) for file in compared)]
    height, width = original.shape[0] + LABEL, original.shape[1]
    rows = -(-len(panels) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * width, rows * height), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for number, (label, picture) in enumerate(panels):
        left, top = number % COLUMNS * width, number // COLUMNS * height
        draw.text((left + 4, top + 5), label, fill="black", font=font)
        page.paste(Image.fromarray(picture), (left, top + LABEL))
    page.save(path, quality=90)


def results(path: Path) -> list[dict[str, Any]]:
    """Return the results that `heliograph --json` printed into a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main(folder: Path, page: Path) -> None:
    """Print the table and write the sheet."""
    decoded = {result["input"]: result["output"] for result in results(folder / "decoded.jsonl")}

    def line(made: dict[str, Any]) -> str:
        original, shown = load_srgb(Path(made["input"])), load_srgb(Path(decoded[made["output"]]))
        compared = files(original, shown, made["stream_bytes"])
        name = Path(made["output"]).relative_to(folder).with_suffix("").as_posix()
        if name == SHOWN:
            sheet(page, original, compared)
        return f"{name:22} {made['stream_bytes']:6}" + "".join(f"  {file.cells}" for file in compared)

    names = ["Heliograph", *(label for name, label in RIVALS.items() if BASELINES[name].installed)]
    print(f"{'stream':22} {'bytes':>6}" + "".join(f"  {name:>14}" for name in names))
    print(" " * 29 + "     dB  SSIM2  " * len(names))
    with ThreadPoolExecutor(
        os.cpu_count()
    ) as pool:  # Pillow's codecs and numpy release the interpreter's lock
        for text in pool.map(line, results(folder / "encoded.jsonl")):
            print(text, flush=True)
    print(
        "Beside each stream the best AVIF (speed 6), WebP (method 4) and JPEG (optimised, 4:2:0) of at most as many"
    )
    print(
        "bytes; dB is PSNR over RGB, SSIM2 is SSIMULACRA2, - stands where a format's smallest file is larger."
    )
    print(f"Side by side: {page}")


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    main(given[0], given[1] if len(given) > 1 else given[0] / "side-by-side.png")
