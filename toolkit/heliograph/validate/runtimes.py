"""How fast a codec's encoder is and how far TFLite runtimes agree on its latents.

    python -m heliograph.validate.runtimes --images DIR [--codec NAME_OR_DIR] [--python OTHER_PYTHON]

Each runtime of this environment, and of another environment's Python, encodes the same pictures on one thread.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import manifest
from heliograph.codec.manifest import Codec
from heliograph.codec.pack import pack_latents
from heliograph.device.encoder import Encoder
from heliograph.device.runtime import available
from heliograph.errors import RuntimeUnavailableError
from heliograph.validate import baselines
from heliograph.validate.rate_distortion import load_folder

Picture = npt.NDArray[np.uint8]
REPEATS = 3
QUALITY = 50  # of the entropy stage and the baselines' timings: about half a bit per pixel
# Run by another environment's Python, which has the device's part of the package and no more.
_OTHER = """
import sys, numpy as np
from heliograph.codec import manifest
from heliograph.device.encoder import Encoder
from heliograph.device.runtime import available
codec, pictures, out = sys.argv[1:]
name = available()[0]
encoder = Encoder(manifest.find(codec), runtime=name)
with np.load(pictures) as stored:
    np.savez(out, name=name, **{k: encoder.latents(stored[k]) for k in stored.files})
"""


def seconds_per_megapixel(work: Callable[[Picture], object], pictures: Sequence[Picture]) -> float:
    """Return the best of some rounds over all pictures, in seconds per million pixels."""
    pixels = sum(p.shape[0] * p.shape[1] for p in pictures) / 1e6
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for picture in pictures:
            work(picture)
        times.append((time.perf_counter() - began) / pixels)
    return float(min(times))


def reference_latents(codec: Codec, pictures: Sequence[Picture]) -> list[npt.NDArray[np.int8]]:
    """Return the latents by LiteRT's reference kernels, which TensorFlow Lite Micro shares."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    encoder = Encoder(codec, runtime="litert")
    plain = Interpreter(
        model_content=codec.encoder, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=2
    )
    plain.allocate_tensors()
    encoder._model._interpreter = plain
    return [encoder.latents(picture) for picture in pictures]


def other_latents(
    python: str, codec: Codec, pictures: Sequence[Picture]
) -> tuple[str, list[npt.NDArray[np.int8]]]:
    """Return the name of the first runtime of another environment and its latents."""
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "pictures.npz", Path(folder) / "latents.npz"
        np.savez(given, *pictures)
        # Elsewhere than in the repository, so that the installed package is imported; the path to Python stays
        # unresolved, since it is its place that makes an environment of it.
        command = [str(Path(python).absolute()), "-c", _OTHER]
        command += [str(codec.folder.resolve()), str(given), str(out)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        except OSError as error:
            raise RuntimeUnavailableError(f"cannot run {python}: {error.strerror}; check --python") from error
        if done.returncode:
            reason = (done.stderr.splitlines() or ["no message"])[-1]
            raise RuntimeUnavailableError(f"{python} cannot encode: {reason}; install heliograph there")
        with np.load(out) as stored:
            return str(stored["name"]), [stored[f"arr_{i}"] for i in range(len(pictures))]


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument("--codec", default="accelerator", metavar="NAME_OR_DIR")
    parser.add_argument("--python", help="Python of another environment, such as .venv-device/bin/python")
    a = parser.parse_args()
    codec, pictures = manifest.find(a.codec), load_folder(a.images)
    facts = codec.manifest["encoder"]
    print(f"{codec.name}: {facts['parameters']} parameters, {facts['kmac_per_pixel']} kMAC/pixel")
    print(f"{len(pictures)} pictures, one thread, best of {REPEATS} rounds")
    latents = {}
    for name in available():
        encoder = Encoder(codec, runtime=name)
        latents[name] = [encoder.latents(p) for p in pictures]
        taken = seconds_per_megapixel(encoder.latents, pictures)
        print(f"  encoder network, {name:<20} {1000 * taken:8.1f} ms per megapixel")
    maps = {id(p): m for p, m in zip(pictures, next(iter(latents.values())), strict=True)}
    taken = seconds_per_megapixel(
        lambda p: pack_latents(codec, maps[id(p)], p.shape[1], p.shape[0], QUALITY), pictures
    )
    print(f"  steps and entropy coding, quality {QUALITY}   {1000 * taken:8.1f} ms per megapixel")
    for name in ("jpeg", "webp", "avif"):
        one = name
        taken = seconds_per_megapixel(lambda p, one=one: baselines.encode(one, p, 50), pictures)  # type: ignore[misc]
        print(f"  {name + ' through Pillow':<37} {1000 * taken:8.1f} ms per megapixel")
    latents["reference kernels"] = reference_latents(codec, pictures)
    if a.python:
        name, found = other_latents(a.python, codec, pictures)
        latents[f"{name} ({a.python})"] = found
    first, *others = latents
    for name in others:
        pairs = list(zip(latents[first], latents[name], strict=True))
        apart = np.concatenate([np.abs(x.astype(np.int16) - y).reshape(-1) for x, y in pairs])
        print(f"{first} and {name}: {np.mean(apart == 0):.2%} of latents equal, at most {apart.max()} apart")
    return 0


if __name__ == "__main__":
    sys.exit(main())
