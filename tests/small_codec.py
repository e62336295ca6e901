"""Makes the codec that the tests use: the real stages and conversion, with a few steps of training each.

    python tests/small_codec.py FOLDER

prints the codec's folder. What is there already is kept while the code that made it is unchanged.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliograph.train.run import Run

STEPS = 4
ROOT = Path(__file__).resolve().parents[1]


def fingerprint() -> str:
    """Return a hash over the code that makes a codec."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for folder in ("codec", "csrc", "device", "server", "train"):
        for path in sorted((ROOT / "toolkit/heliograph" / folder).rglob("*.[pch]*")):
            if path.suffix in {".py", ".c", ".h"}:
                digest.update(path.read_bytes())
    return digest.hexdigest()


def small_run(folder: Path) -> Run:
    """Return the run below a folder that the small codec comes from."""
    from heliograph.server.network import DecoderSpec
    from heliograph.train.run import Run

    return Run(
        codec="accelerator",
        photos=folder / "photos",
        folder=folder / "run",
        batch=2,
        size=96,
        table_pictures=40,
        decoder=DecoderSpec(widths=(32, 16, 16, 8), blocks=(1, 1, 1, 1)),
        joint_decoder=DecoderSpec(widths=(16, 16, 8, 8), blocks=(1, 1, 1, 1)),
    )


def make(folder: Path) -> Path:
    """Train and convert a small codec below a folder and return where it lies."""
    from heliograph.samples import copy_samples
    from heliograph.train import context_rate, perception, stages

    stamp = folder / "made-by"
    here = folder / "codec"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == fingerprint():
        return here
    shutil.rmtree(folder, ignore_errors=True)
    copy_samples(folder / "photos")
    # XLA would compile for minutes what runs for a few steps.
    setattr(context_rate, "compiled", lambda function: function)  # noqa: B010
    perception._seen_compiled = perception.seen_error
    made = stages.train(small_run(folder), 0, steps=STEPS)
    assert made is not None, "the run left no codec"
    shutil.copytree(made, here)
    stamp.write_text(fingerprint(), encoding="utf-8")
    return here


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
