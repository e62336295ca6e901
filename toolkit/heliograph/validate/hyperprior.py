"""Our server decoder beside a float learned codec on the same machine: the scale hyperprior of CompressAI.

    pip install 'heliograph[device,server,hyperprior]'
    python -m heliograph.validate.hyperprior --images DIR [--codec NAME_OR_DIR] [--level 1-8]

Both encode and decode the same pictures one after another in turns, in float32, on all cores, or on the GPU where both
frameworks see one. Printed are megapixels per second of entropy coding and of the networks in the best of some rounds,
and multiply-adds per pixel. Where CompressAI's trained weights cannot be fetched its networks run untrained: they take
as long, and so does its entropy coder, which visits every latent; only the bytes then mean nothing.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import urllib.error
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import manifest
from heliograph.codec.manifest import Codec
from heliograph.codec.pack import pack_latents
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import RuntimeUnavailableError
from heliograph.server.codecs import open_decoder
from heliograph.validate.rate_distortion import load_folder

Picture = npt.NDArray[np.uint8]
ROUNDS = 3
QUALITY = 50
PARTS = ("analyse", "code", "entropy", "network")  # of encoding two, of decoding two
NAMES = ("encoder network", "entropy coding", "entropy decoding", "decoder network")


@dataclass
class Contestant:
    """A codec, its multiply-adds per pixel and what it took: seconds of each round by part."""

    label: str
    encoder_kmac: float
    decoder_kmac: float
    note: str = ""
    bytes: int = 0
    seconds: list[dict[str, float]] = field(default_factory=list)

    def add(self, part: str, work: Callable[[], Any]) -> Any:
        """Do the work and add its time to the last round; return its result."""
        began = time.perf_counter()
        found = work()
        self.seconds[-1][part] = self.seconds[-1].get(part, 0.0) + time.perf_counter() - began
        return found

    def best(self, *parts: str) -> float:
        """Return the seconds of parts together in their best round."""
        return min(sum(round_[p] for p in parts) for round_ in self.seconds)


def open_hyperprior(level: int) -> tuple[Any, bool]:
    """Return CompressAI's `bmshj2018_hyperprior` at a level, ready to code, and whether it is trained.

    Raises:
        RuntimeUnavailableError: compressai and torch are not installed.
    """
    try:
        torch = importlib.import_module("torch")
        zoo = importlib.import_module("compressai.zoo")
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"this comparison needs CompressAI and torch ({error}): pip install 'heliograph[hyperprior]'"
        ) from error
    torch.manual_seed(1)
    try:
        model, trained = zoo.bmshj2018_hyperprior(level, pretrained=True, progress=False), True
    except (urllib.error.URLError, OSError):
        model, trained = zoo.bmshj2018_hyperprior(level, pretrained=False), False
    model.eval().update(force=True)
    return (model.to("cuda") if torch.cuda.is_available() else model), trained


def macs_per_pixel(network: Any, image: Any) -> float:
    """Return the multiply-adds of torch's convolutions per pixel of the image that a call reads or writes.

    Args:
        network: torch module.
        image: what it is called with, float [1, C, H, W]; its output or input has 3 channels.
    """
    torch = importlib.import_module("torch")
    total = 0

    def count(layer: Any, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal total
        # A transposed convolution spends its kernel at every input, a convolution at every output.
        turned = isinstance(layer, torch.nn.ConvTranspose2d)
        at = inputs[0] if turned else output
        total += layer.weight.numel() * at.shape[2] * at.shape[3]

    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        out = network(image)
    for hook in hooks:
        hook.remove()
    shown = image if image.shape[1] == 3 else out
    return float(total) / float(shown.shape[2] * shown.shape[3])


class Hyperprior:
    """The hyperprior as a contestant: CompressAI's `compress` and `decompress`, taken apart to time them."""

    def __init__(self, level: int) -> None:
        self.torch = importlib.import_module("torch")
        self.model, trained = open_hyperprior(level)
        self.device = next(self.model.parameters()).device
        blank = self.torch.zeros(1, 3, 256, 256, device=self.device)
        with self.torch.no_grad():
            y = self.model.g_a(blank)
        self.result = Contestant(
            f"hyperprior (Balle 2018) of CompressAI, level {level}",
            macs_per_pixel(self.model.g_a, blank) / 1000,
            macs_per_pixel(self.model.g_s, y) / 1000,
            "" if trained else "untrained: its weights could not be fetched",
        )

    def run(self, picture: Picture) -> None:
        """Encode and decode one picture whose sides are multiples of 64."""
        torch, model, add = self.torch, self.model, self.result.add
        image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].to(self.device)
        with torch.no_grad():
            y = add("analyse", lambda: self._ready(model.g_a(image.float() / 255)))
            strings, shape = add("code", lambda: self._code(y))
            self.result.bytes += sum(len(s[0]) for s in strings)
            y_hat = add("entropy", lambda: self._ready(self._decode(strings, shape)))
            add("network", lambda: (model.g_s(y_hat).clamp(0, 1) * 255).round().byte().cpu().numpy())

    def _ready(self, x: Any) -> Any:
        if x.is_cuda:
            self.torch.cuda.synchronize()
        return x

    def _scales(self, z_hat: Any) -> tuple[Any, Any]:
        scales = self.model.h_s(z_hat)
        return scales, self.model.gaussian_conditional.build_indexes(scales)

    def _code(self, y: Any) -> tuple[list[list[bytes]], Any]:
        model = self.model
        z = model.h_a(self.torch.abs(y))
        shape = z.size()[-2:]
        z_strings = model.entropy_bottleneck.compress(z)
        _, indexes = self._scales(model.entropy_bottleneck.decompress(z_strings, shape))
        return [model.gaussian_conditional.compress(y, indexes), z_strings], shape

    def _decode(self, strings: list[list[bytes]], shape: Any) -> Any:
        model = self.model
        z_hat = model.entropy_bottleneck.decompress(strings[1], shape)
        _, indexes = self._scales(z_hat)
        return model.gaussian_conditional.decompress(strings[0], indexes, z_hat.dtype)


class Ours:
    """A codec of ours as a contestant: the int8 encoder on a TFLite runtime, the server's decoder with Keras."""

    def __init__(self, codec: Codec, threads: int) -> None:
        self.codec, self.encoder = codec, Encoder(codec, threads=threads)
        self.decoder = open_decoder("server", codec)
        self.result = Contestant(
            f"{codec.name}, quality {QUALITY}",
            float(codec.manifest["encoder"]["kmac_per_pixel"]),
            float(codec.manifest["server_decoder"]["kmac_per_pixel"]),
        )

    def run(self, picture: Picture) -> None:
        """Encode and decode one picture."""
        height, width, _ = picture.shape
        add = self.result.add
        latents = add("analyse", lambda: self.encoder.latents(picture))
        stream = add("code", lambda: pack_latents(self.codec, latents, width, height, QUALITY))
        self.result.bytes += len(stream)
        decoded = add("entropy", lambda: decode_stream(stream, self.codec))
        add("network", lambda: self.decoder.decode(decoded))


def cut(pictures: Sequence[Picture]) -> list[Picture]:
    """Return pictures cut to multiples of 64, which the hyperprior's two networks need."""
    cut_to = [p[: p.shape[0] // 64 * 64, : p.shape[1] // 64 * 64] for p in pictures]
    return [np.ascontiguousarray(p) for p in cut_to if p.size]


def rows(results: Sequence[Contestant], megapixels: float) -> list[str]:
    """Return the table's lines: megapixels per second of each part, and how many times the second is outdone."""
    first, second = results
    lines = []
    for contestant in results:
        bits = 8 * contestant.bytes / len(contestant.seconds) / (megapixels * 1e6)
        rate = f"; {contestant.note}" if contestant.note else f"; {bits:.2f} bits per pixel"
        lines.append(
            f"{contestant.label}: encoder {contestant.encoder_kmac:.1f}, decoder {contestant.decoder_kmac:.1f} kMAC "
            f"per pixel{rate}"
        )
    lines.append(f"{'megapixels per second':<24}{'ours':>10}{'hyperprior':>12}{'ratio':>8}")
    for name, parts in [
        *((name, (part,)) for name, part in zip(NAMES, PARTS, strict=True)),
        ("encoding together", PARTS[:2]),
        ("decoding together", PARTS[2:]),
    ]:
        a, b = (megapixels / c.best(*parts) for c in (first, second))
        lines.append(f"{name:<24}{a:10.2f}{b:12.2f}{a / b:8.1f}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.validate.hyperprior", description=__doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument("--codec", default="accelerator", metavar="NAME_OR_DIR")
    parser.add_argument("--level", type=int, default=4, choices=range(1, 9), metavar="1-8")
    parser.add_argument("--threads", type=int, default=2, help="of both (%(default)s)")
    given = parser.parse_args(arguments)
    theirs = Hyperprior(given.level)
    importlib.import_module("torch").set_num_threads(given.threads)
    ours = Ours(manifest.find(given.codec), given.threads)
    pictures = cut(load_folder(given.images))
    for number in range(ROUNDS + 1):
        for contestant in (ours, theirs):
            contestant.result.seconds.append({})
            for picture in pictures:
                contestant.run(picture)
        if number == 0:  # the first compiles and allocates
            for contestant in (ours, theirs):
                contestant.result.seconds.clear()
                contestant.result.bytes = 0
    megapixels = sum(p.shape[0] * p.shape[1] for p in pictures) / 1e6
    print(
        f"{len(pictures)} pictures, {megapixels:.1f} megapixels, best of {ROUNDS} rounds, on {theirs.device}"
    )
    print("\n".join(rows([ours.result, theirs.result], megapixels)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
