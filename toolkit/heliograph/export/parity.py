"""Whether another toolchain runs an encoder as TFLite does: latents compared, and what a difference costs.

    python -m heliograph.export.parity --python OTHER_PYTHON [--codec NAME_OR_DIR] [--picture FILE ...] [--runner FILE]

OTHER_PYTHON is that of an environment with the toolchain, by default OpenVINO (`pip install openvino`). A runner for
another one is a file like runners/openvino_runner.py: it reads a .tflite model and inputs, and writes outputs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import registry, tiles
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.values import from_units
from heliograph.device.encoder import Encoder
from heliograph.errors import ExportError, HeliographError
from heliograph.export.bundle import text_table
from heliograph.export.probe import probe_latents
from heliograph.export.tools import last_line, need_tool, run_tool

RUNNERS = Path(__file__).resolve().parent / "runners"
QUALITY = 50
Units = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Parity:
    """How far two runtimes agree on a picture's latents.

    Attributes:
        toolchain: name and version, as the runner says.
        equal: share of the latents; worst: the largest difference in units.
        values: share of values less than half a step apart at a quality of 50.
        growth: change of the stream's bytes there, as a share.
    """

    toolchain: str
    equal: float
    worst: int
    values: float
    growth: float


def run_other(python: str, runner: Path, model: bytes, inputs: Units) -> tuple[str, Units]:
    """Run a model on inputs int8 [N, H, W, 3] with another toolchain: its name, and outputs int8 [N, ...].

    Raises:
        ExportError: the toolchain failed, or its outputs are no int8 tensors of the right shape.
    """
    program = need_tool("python3", python, "make an environment for the toolchain")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "encoder.tflite").write_bytes(model)
        np.save(folder / "inputs.npy", inputs)
        done = run_tool(
            [program, runner.resolve(), "encoder.tflite", "inputs.npy", "outputs.npy"], folder=folder
        )
        if done.returncode:
            raise ExportError(
                f"{runner.name} failed under {python}: {last_line(done)}; install the toolchain there"
            )
        outputs = np.load(folder / "outputs.npy")
    if outputs.dtype != np.int8 or outputs.ndim != 4 or len(outputs) != len(inputs):
        raise ExportError(
            f"{runner.name} gave {outputs.dtype} {list(outputs.shape)}, expected int8 [{len(inputs)}, h, w, C]: "
            "keep the model's quantised ends"
        )
    return done.stdout.strip().splitlines()[-1], outputs


def compare(codec: Codec, picture: npt.NDArray[np.uint8], python: str, runner: Path) -> Parity:
    """Return how a toolchain's latents of a picture uint8 [H, W, 3] compare with those of the runtime here."""
    height, width = picture.shape[:2]
    ours = Encoder(codec).units(picture)
    places, parts = zip(*tiles.cut(picture, codec.tile), strict=True)
    name, outputs = run_other(python, runner, codec.encoder, (np.stack(parts) ^ 0x80).view(np.int8))
    theirs = np.empty_like(ours)
    for (rows, columns), part in zip(places, outputs, strict=True):
        theirs[rows, columns] = part[: rows.stop - rows.start, : columns.stop - columns.start]
    return judge(codec, ours, theirs, width, height, name)


def judge(codec: Codec, ours: Units, theirs: Units, width: int, height: int, toolchain: str) -> Parity:
    """Return how what two runtimes give of one picture compares, int8 [rows, columns, C + copies]."""
    apart = np.abs(ours.astype(np.int32) - theirs.astype(np.int32))
    before, after = (
        Packer(codec, from_units(x, codec.copies), width, height).pack(Rate(quality=QUALITY))
        for x in (ours, theirs)
    )
    moved = np.abs(after.values.astype(np.int32) - before.values)
    return Parity(
        toolchain=toolchain,
        equal=float(np.mean(apart == 0)),
        worst=int(apart.max()),
        values=float(np.mean(2 * moved < codec.steps(before.values, before.level))),
        growth=len(after.data) / len(before.data) - 1,
    )


def table(results: Sequence[tuple[str, Parity]]) -> list[tuple[str, ...]]:
    """Return the rows of a table, its head first."""
    head = ("picture", "toolchain", "equal latents", "largest difference", "same values", "bytes")
    return [
        head,
        *(
            (name, p.toolchain, f"{p.equal:.2%}", f"{p.worst}", f"{p.values:.3%}", f"{p.growth:+.2%}")
            for name, p in results
        ),
    ]


def main() -> int:
    """Compare and print; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codec", default="accelerator", metavar="NAME_OR_DIR")
    parser.add_argument("--python", required=True, metavar="FILE")
    parser.add_argument("--picture", type=Path, nargs="*", default=[None], metavar="FILE")
    parser.add_argument("--runner", type=Path, default=RUNNERS / "openvino_runner.py", metavar="FILE")
    arguments = parser.parse_args()
    try:
        codec = registry.open_codec(arguments.codec)
        results = []
        for path in arguments.picture:
            probe = probe_latents(codec, path)
            results.append(
                (probe.description, compare(codec, probe.picture, arguments.python, arguments.runner))
            )
        print(f"codec {codec.name}; values and bytes at quality {QUALITY}")
        print(text_table(table(results)))
    except HeliographError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
