"""What a coder does with a slice of a picture: latents to segments, and segments to values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.values import Values
from heliograph.errors import StreamError

MOST_ROUNDING, MOST_STRENGTH = 128, 1024
OUT_OF_RANGE = (
    "a size, level, rounding, strength, count or reference is out of range"  # as the C core says it
)


@dataclass(frozen=True)
class Reference:
    """What another picture has at a slice: values int16 [rows, columns, C] in coding order, and its level."""

    values: Values
    level: int


@dataclass(frozen=True)
class Coded:
    """A slice that was coded.

    Attributes:
        segments: one for each layer, or one of all; empty where all residuals are zero.
        values: int16 [rows, columns, C] in coding order, what decoding the segments gives.
        bits: of each layer, in 1/1024 bit, from the tables.
        is_short: whether the one segment is the payload of the short form.
    """

    segments: list[bytes]
    values: Values
    bits: tuple[int, ...]
    is_short: bool = False


@dataclass(frozen=True)
class DecodedSlice:
    """Values int16 [rows, columns, C] in coding order, and how many flags and residuals of each layer were read."""

    values: Values
    read: tuple[int, ...]


def corrupt(reason: str) -> StreamError:
    """Return the error for bytes that no encoder writes."""
    return StreamError(f"stream is corrupt: {reason}; fetch the file again")


class Coder(Protocol):
    """Codes slices with an entropy model, in C or in numpy, to the same bytes. Safe in several threads.

    Arguments out of range are a ValueError, bad bytes a StreamError.
    """

    model: EntropyModel

    @property
    def is_native(self) -> bool:
        """Whether the C core does the work."""

    def encode(
        self,
        latents: Values,
        level: int,
        *,
        rounding: int,
        strength: int,
        merge_below: int = 0,
        short_below: int = 0,
        reference: Reference | None = None,
        only_estimate: bool = False,
    ) -> Coded:
        """Quantise and code a slice's latents int16 [rows, columns, C] in the encoder's order.

        A residual is the nearest to the latent by `rounding`. With RDOQ it moves by one towards 0, and then all of a
        group to 0, where that saves more bits than the error it adds is worth: `strength` bits for the square of a
        step. None ends more than a step from its latent but those of a group that was set to 0; contexts see what was
        decided before.

        Args:
            latents: in sixteenths of a unit, -2048 to 2047.
            rounding: 0 to 128 in 1/256 of a step.
            strength: of RDOQ, 0 (without) to 1024.
            merge_below: bytes; if the estimate of all layers is below, they are one segment.
            short_below: bytes, at most half of `container.MAX_SHORT`; if the estimate of all layers is below, and
                the slice has no more positions than the short form may, they are its payload.
            reference: of equal size; the entropy model has a second set of contexts.
            only_estimate: make no segments.
        """

    def decode(
        self,
        segments: list[bytes],
        rows: int,
        columns: int,
        level: int,
        *,
        merged: bool,
        short: bool = False,
        cut: bool = False,
        reference: Reference | None = None,
    ) -> DecodedSlice:
        """Decode the first segments of a slice.

        Args:
            segments: payloads in order, empty where all residuals are zero. Layers that are not given have the values
                of the reference; without one their prediction.
            merged: the segment is one of all layers.
            short: it is the payload of the short form; then it is merged, given, and not cut.
            cut: the last segment may end early; what is lost is as in layers that are not given.

        Raises:
            StreamError: bytes no encoder writes, or a segment that ends early without `cut`.
        """
