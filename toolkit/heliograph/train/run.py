"""A training run: what it is given, its stages, and its folder, whose files are named here and nowhere else."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import codec as parts
from heliograph.codec.codec import Codec
from heliograph.errors import TrainingError
from heliograph.pictures import list_pictures
from heliograph.server.network import DECODERS, DecoderSpec
from heliograph.train.networks import ENCODERS, EncoderSpec
from heliograph.train.world import World, is_held_out

STEPS_PER_ROUND = 200  # steps between two log lines
CALIBRATION_CROPS = 128
SITES_SHARE = 0.06  # of the crops, where there are pictures of fixed cameras
# The stages in order, each with its share of the minutes; those without a share take what they take.
SHARES: dict[str, float] = {
    "float": 0.41,
    "qat": 0.13,
    "freeze": 0.0,
    "tables": 0.03,
    "decoder": 0.31,
    "preview": 0.12,
}
# What crops are drawn for; each draws its own, by a seed that follows from the run's and the number here.
SUPPLIES = {
    "float": 1,
    "qat": 2,
    "tables": 3,
    "decoder": 4,
    "preview": 5,
    "preview_qat": 6,
    "pairs": 7,
    "ranges": 9,
}


class File(Enum):
    """The files of a run in the order in which they appear: name on disk, and the stage that leaves it.

    Beside a checkpoint that a loop trained lies its log, a .csv of the same name.
    """

    START = "start.npz", "qat"  # stage `qat`'s starting point, where the run began at a finished codec
    ORIGIN = "start.json", "qat"  # which codec that was, and its recipe
    REDUCED = "reduced.npz", "float"  # stage `float`'s, where the run began at a part of one
    FLOAT = "float.npz", "float"
    QAT = "qat.npz", "qat"
    ENCODER_WEIGHTS = "encoder.npz", "freeze"
    FROZEN = "frozen.npz", "freeze"  # stage qat's model as it was frozen, in whose units the decoders are
    STEPS = "steps.npz", "freeze"
    DECODER_START = "decoder_start.npz", "freeze"
    ENCODER = parts.ENCODER, "freeze"
    CONTEXTS = "contexts.npz", "tables"
    REFERENCES = "references.npz", "tables"
    ENTROPY = parts.ENTROPY, "tables"
    DECODER = "decoder.npz", "decoder"
    DECODER_FITTED = "decoder_fitted.npz", "decoder"
    PREVIEW_FLOAT = "preview.npz", "preview"
    PREVIEW_QAT = "preview_qat.npz", "preview"
    PREVIEW_QUANTISED = "preview_quantised.npz", "preview"
    PREVIEW = parts.PREVIEW, "preview"

    def __init__(self, filename: str, stage: str) -> None:
        self.filename, self.stage = filename, stage


# Stages that have no budget of their own are passed over while their result (second) is newer than what it is made of.
_MADE_OF = {"freeze": (File.QAT, File.ENCODER), "tables": (File.ENCODER_WEIGHTS, File.ENTROPY)}
TRAINING = "training"  # folder of a finished codec with what another run starts at,
KEPT = {
    File.QAT: File.FROZEN,
    File.CONTEXTS: File.CONTEXTS,
    File.REFERENCES: File.REFERENCES,
}  # under these names, from these files
_CODEC = (File.ENCODER, File.ENTROPY, File.DECODER_FITTED, File.PREVIEW)  # what a codec is assembled from


@dataclass(frozen=True)
class Run:
    """A training run's settings, files and supplies of crops.

    Args:
        codec: key of ENCODERS, and the name of the codec.
        photos: folder of training pictures.
        folder: of the run.
        resume: go on from what the folder holds; otherwise stages begin anew.
        seed: of all randomness.
        batch: crops per step.
        size: pixels on a side of a crop.
        learning_rate: at the peak.
        table_pictures: photographs whose latents the entropy tables are counted on, and as many pairs.
        sites: folder of folders with pictures of fixed cameras, of which some crops are and on which contexts with a
            reference learn; or None.
        decoder: shape of the server decoder.
        joint_decoder: shape of the one that the encoder learns with, from which the other is grown.
        shape: of the encoder, where it is not the usual one of `codec`.
        finished: the codec whose decoder learns on, or None.
    """

    codec: str
    photos: Path
    folder: Path
    resume: bool = False
    seed: int = 1
    batch: int = 6
    size: int = 160
    learning_rate: float = 5e-4
    table_pictures: int = 300
    sites: Path | None = None
    decoder: DecoderSpec = DECODERS["medium"]
    joint_decoder: DecoderSpec = DECODERS["small"]
    shape: EncoderSpec | None = None
    finished: Codec | None = None

    @property
    def spec(self) -> EncoderSpec:
        """The encoder's shape."""
        return self.shape or ENCODERS[self.codec]

    @property
    def channels(self) -> int:
        """Latent channels."""
        return self.finished.channels if self.finished else self.spec.latent

    @property
    def tile(self) -> int:
        """Pixels on a side of the encoder's tile."""
        return self.finished.tile if self.finished else self.spec.tile

    def path(self, file: File) -> Path:
        """Return where a file lies or will lie."""
        return self.folder / file.filename

    def has(self, file: File) -> bool:
        """Return whether a file is there."""
        return self.path(file).is_file()

    def need(self, file: File) -> Path:
        """Return the path of a file that is there; TrainingError naming the stage that leaves it if it is not."""
        if not self.has(file):
            raise TrainingError(
                f"{self.path(file)} is missing: run stage {file.stage} first (--stage {file.stage})"
            )
        return self.path(file)

    @property
    def begins_at_codec(self) -> bool:
        """Whether the run began at a whole finished codec and has no stage `float`."""
        return self.has(File.START)

    @property
    def has_start(self) -> bool:
        """Whether the run began at a finished codec or a part of one."""
        return self.has(File.START) or self.has(File.REDUCED)

    def shares(self) -> dict[str, float]:
        """Return the run's stages in order, each with its share of the minutes."""
        shares = dict(SHARES)
        if self.begins_at_codec:
            shares["qat"] += shares.pop("float")
        return shares

    def is_done(self, stage: str) -> bool:
        """Return whether a stage has left its result and what that is made of has not changed since.

        Stages that train by a budget are never done here: their loops know from the checkpoint how far they are.
        """
        if stage not in _MADE_OF:
            return False
        source, result = (self.path(file) for file in _MADE_OF[stage])
        there = source.is_file() and result.is_file()
        return there and result.stat().st_mtime >= source.stat().st_mtime

    @property
    def is_complete(self) -> bool:
        """Whether all is there that a codec is assembled from."""
        return all(self.has(file) for file in _CODEC)

    def log(self, file: File) -> Path:
        """Return where the log of the loop that trained a checkpoint lies."""
        return self.path(file).with_suffix(".csv")

    def logs(self) -> list[Path]:
        """Return the logs of all loops, .csv, without the curves of classes."""
        return [log for log in sorted(self.folder.glob("*.csv")) if "." not in log.stem]

    def curves(self) -> list[Path]:
        """Return the curves of classes, .csv."""
        return sorted(self.folder.glob("*.classes.csv"))

    def crops(self, supply: str, *, batch: int | None = None, size: int | None = None) -> World:
        """Return the crops drawn for a key of SUPPLIES."""
        shares = {self.photos: 1.0}
        if self.sites is not None:
            shares = {self.photos: 1 - SITES_SHARE, self.sites: SITES_SHARE}
        return World(
            shares,
            batch=batch or self.batch,
            size=size or self.size,
            steps=STEPS_PER_ROUND,
            seed=self.seed * 100 + SUPPLIES[supply],
        )

    def held_out(self) -> tuple[list[Path], list[Path]]:
        """Return the photographs, and the pictures of fixed cameras, that training never sees."""
        photos = [p for p in list_pictures(self.photos) if is_held_out(p)]
        return photos, [p for p in list_pictures(self.sites) if is_held_out(p)] if self.sites else []

    def calibration(self) -> npt.NDArray[np.float32]:
        """Return the crops that ranges are calibrated on, float32 [N, 256, 256, 3] in [0, 1]."""
        crops = self.crops("ranges", batch=8, size=256)
        images = [crops[i][0]["image"] for i in range(CALIBRATION_CROPS // 8)]
        return (np.concatenate(images) / np.float32(255)).astype(np.float32)


def kept_checkpoint(codec: Codec, file: File) -> Path:
    """Return where a finished codec keeps a checkpoint, a key of KEPT, whether it does or not."""
    return codec.folder / TRAINING / file.filename


def effort(log: Path) -> dict[str, float]:
    """Return steps and seconds at the end of a loop's log."""
    with log.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    return {"steps": int(rows[-1]["step"]), "seconds": round(float(rows[-1]["seconds"]))} if rows else {}
