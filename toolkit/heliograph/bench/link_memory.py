"""A fixed camera with site memory on a line that is cut, both its ends killed again and again, as real processes.

`heliograph capture`, with its sender, and `heliograph receive`. Each picture carries its number in its pixels, so that
what the server decodes is known to be that picture and no other.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.bench.link_processes import DEVICE, Kept, SimulatedLine, command_of, received
from heliograph.codec import container
from heliograph.errors import HeliographError
from heliograph.pictures import load_srgb
from heliograph.samples import sample_pictures
from heliograph.server.decoders import Decoder

Picture = npt.NDArray[np.uint8]
SIZE, BLOCK = 256, 32  # pixels
DIGITS = SIZE // BLOCK  # of a number, base 2, as black and white blocks in the lowest row


@dataclass(frozen=True)
class Remembered:
    """What became of a fixed camera's pictures: how many arrived, as what, and how many of them refer to others."""

    made: int
    right: int
    twice: int
    undecodable: int
    left: int
    referring: int
    kills: int
    seconds: float

    @property
    def is_perfect(self) -> bool:
        """Whether all arrived and were decoded to the pictures they are."""
        return self.right == self.made and not self.undecodable and not self.left


def scene(number: int, ground: npt.NDArray[np.floating[Any]]) -> Picture:
    """Return picture `number` of a camera: its light changes, its sensor is noisy, its number stands below."""
    rng = np.random.default_rng(number)
    light = 0.9 + 0.1 * np.sin(number / 12)
    shown = ground * light + rng.normal(0, 1.5, ground.shape)
    for digit in range(DIGITS):
        shown[-BLOCK:, digit * BLOCK : (digit + 1) * BLOCK] = 235 if number >> digit & 1 else 20
    return np.asarray(np.clip(shown + 0.5, 0, 255), np.uint8)


def number_of(picture: Picture) -> int:
    """Return the number that stands in a picture of `scene`."""
    row = picture[-BLOCK + 4 : -4].astype(np.float32).mean(axis=(0, 2))  # [SIZE]
    blocks = row.reshape(DIGITS, BLOCK)[:, 4:-4].mean(axis=1)
    return sum(1 << digit for digit, level in enumerate(blocks) if level > 128)


def survive_with_memory(
    folder: Path, *, pictures: int, kills: int, cuts: int, baud: int, seed: int, pause: float, limit: float
) -> Remembered:
    """Send the pictures of a fixed camera while both ends are killed (SIGKILL) together and the line is cut.

    Args:
        folder: empty; pictures come into folder/in little by little, so that it is never empty before the last kill.
        pause: seconds between two kills, on average.
        limit: seconds in all.
    """
    draw = random.Random(seed)
    ground = load_srgb(sample_pictures(colour_only=True)[0])[:SIZE, :SIZE].astype(np.float32)
    source, spool, out = folder / "in", folder / "spool", folder / "out"
    source.mkdir()
    made = 0

    def make(until: int) -> None:
        nonlocal made
        for number in range(made, until):
            hidden = source / f".{number:06d}"
            Image.fromarray(scene(number, ground)).save(hidden, "PNG")
            hidden.rename(source / f"{number:06d}.png")
        made = until

    began = time.monotonic()
    cutting = ["--cuts", str(cuts), "--cut-every", f"{pause / 2:.2f}", "--cut-for", "0.5"]
    with SimulatedLine("--baud", str(baud), "--seed", str(seed), *cutting) as line:
        camera = [sys.executable, "-m", "heliograph", "capture", "--source", f"folder:{source}"]
        camera += ["--spool", str(spool), "--every", "0.5s", "--quality", "30", "--json"]
        camera += ["--port", line.ends[0], "--send-options", f"--device {DEVICE}"]
        server = command_of("receive", line.ends[1], folder, "--json")
        ends = [Kept(camera, folder / "capture.log"), Kept(server, folder / "receive.log")]
        try:
            for kill in range(kills):
                new = range(made + 1, (kill + 1) * pictures // kills + 1)
                rest = draw.uniform(0.2, 2) * pause
                for number in new:
                    make(number)
                    time.sleep(rest / len(new))
                for end in ends:
                    end.kill()
                for end in draw.sample(ends, 2):
                    end.start()
            make(pictures)
            while time.monotonic() - began < limit:
                arrived = received(folder)
                if len(arrived) >= pictures and not list(spool.glob("*.helio")):
                    break
                time.sleep(0.5)
        finally:
            for end in ends:
                end.end()
    seconds = time.monotonic() - began
    numbers, undecodable, referring = judge(out)
    left = len(list(spool.glob("*.helio"))) + len(
        [path for path in out.glob("*/*") if path.suffix in (".partial", ".state")]
    )
    right = len(set(numbers) & set(range(pictures)))
    twice = sum(numbers.values()) - len(numbers)
    return Remembered(pictures, right, twice, undecodable, left, referring, kills, seconds)


def judge(inbox: Path) -> tuple[Counter[int], int, int]:
    """Decode all that arrived; return how often each number is there, how many are undecodable, how many refer."""
    decoder = Decoder(kind="preview", memory=inbox)
    numbers: Counter[int] = Counter()
    undecodable = referring = 0
    for path in sorted(inbox.glob("*/*.helio")):
        data = path.read_bytes()
        referring += container.open(data).header.reference is not None
        try:
            numbers[number_of(decoder.decode(data))] += 1
        except HeliographError as error:
            undecodable += 1
            print(json.dumps({"undecodable": path.name, "error": str(error)}), file=sys.stderr)
    return numbers, undecodable, referring
