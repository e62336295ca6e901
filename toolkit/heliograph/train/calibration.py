"""A codec for one's own cameras: the entropy model refitted to a site's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph import progress
from heliograph.codec.codec import ENTROPY, Codec
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.codec.tiles import STRIDE
from heliograph.device.encoder import Encoder
from heliograph.errors import TrainingError
from heliograph.files import write_whole
from heliograph.pictures import list_pictures, load_srgb
from heliograph.server.decoder import ServerDecoder
from heliograph.train import checkpoint, existing, loop
from heliograph.train.context_fit import fit_contexts
from heliograph.train.context_spec import ContextSpec
from heliograph.train.pairs import made_pair, site_pairs
from heliograph.train.run import File, kept_checkpoint

FEWEST = 8  # pictures of a site: half of them fit, half tell what it brought
QUALITIES = (10, 30, 50, 70, 90)
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Comparison:
    """One quality on the pictures held out: mean bytes and mean MSE (8-bit units) before and after."""

    quality: int
    before: tuple[float, float]
    after: tuple[float, float]


def split(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the pictures to fit on and those held out: every second one, in the order of their names.

    Raises:
        TrainingError: fewer than 8 pictures.
    """
    files = list_pictures(folder)
    if len(files) < FEWEST:
        raise TrainingError(
            f"{folder} has {len(files)} pictures, expected at least {FEWEST}: half of them are held out to measure on; "
            "add pictures of what the camera sees"
        )
    return files[::2], files[1::2]


def calibrate(
    codec: Codec,
    files: Sequence[Path],
    out: Path,
    budget: loop.Budget,
    *,
    name: str,
    sites: Path | None = None,
    seed: int = 1,
) -> Codec:
    """Refit a codec's entropy model to pictures; return the new codec, which has another id.

    Args:
        codec: the one to start from; its contexts are trained on where the folder keeps their checkpoint.
        files: pictures of the site.
        out: folder of the new codec; the checkpoint lies beside its files, in `calibration/`.
        budget: of the contexts' training.
        name: of the new codec.
        sites: folder of folders, each with one fixed camera's pictures in order, for contexts with a reference.

    Raises:
        TrainingError: pictures too small to fit contexts on.
        CodecError: the codec lacks its server decoder.
    """
    folder = out / "calibration"
    trained = folder / File.CONTEXTS.filename, folder / File.REFERENCES.filename
    sources = kept_checkpoint(codec, File.CONTEXTS), kept_checkpoint(codec, File.REFERENCES)
    if resume := all(source.is_file() for source in sources):
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in zip(sources, trained, strict=True):
            write_whole(target, checkpoint.as_start(source))
    encoder, rng = Encoder(codec, threads=2), np.random.default_rng(seed)
    pictures = [load_srgb(path) for path in files]
    maps = [encoder.latents(picture) for picture in progress.over(pictures, "encoding")]
    pairs = [made_pair(p, pictures[rng.integers(len(pictures))], rng) for p in pictures]
    pairs += site_pairs(sites) if sites is not None else []
    latent_pairs = [
        (encoder.latents(a), encoder.latents(b)) for a, b in progress.over(pairs, "encoding pairs")
    ]
    model = codec.coder.model
    entropy = fit_contexts(
        [m for part in maps for m in (part, np.ascontiguousarray(part[:, ::-1]))],
        latent_pairs,
        existing.steps_of(codec),
        model.rounding,
        tile=codec.tile // STRIDE,
        trained=trained,
        budget=budget,
        seed=seed,
        spec=ContextSpec(tuple(model.layers), model.group, (model.sets[0].features, model.sets[-1].features)),
        order=model.order if resume else None,
        resume=resume,
    )
    described = {"from": codec.id.hex(), "pictures": len(files), "seed": seed}
    return Codec(existing.write_copy(codec, out, {ENTROPY: entropy}, {"name": name, "calibrated": described}))


def compare(before: Codec, after: Codec, files: Sequence[Path]) -> list[Comparison]:
    """Encode and decode pictures with two codecs of one encoder, whole files, and return what each spent and lost."""
    encoder, decoder = Encoder(before, threads=2), ServerDecoder(before)
    totals = {q: np.zeros((2, 2)) for q in QUALITIES}
    for path in progress.over(files, "measuring"):
        picture = load_srgb(path)
        latents = encoder.latents(picture)
        for quality in QUALITIES:
            for number, codec in enumerate((before, after)):
                packer = Packer(codec, latents, picture.shape[1], picture.shape[0])
                data = packer.pack(Rate(quality=quality)).data
                shown = decoder.decode(decode_stream(data, codec)).astype(np.float64)
                totals[quality][number] += len(data), np.square(shown - picture).mean()
    return [
        Comparison(q, *((float(b) / len(files), float(e) / len(files)) for b, e in totals[q]))
        for q in QUALITIES
    ]
