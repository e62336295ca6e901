"""The slices of a picture, coded at a level: each layer by layer, or a base first, which its layers then refine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from heliograph.codec import levels
from heliograph.codec.coder import Coded, Coder, Reference
from heliograph.codec.tiles import Place
from heliograph.codec.values import ReferencePicture, Values

REFINED_FROM = 100  # bytes of the base below which there is none
MERGED = 1 << 31  # bytes: all layers are always one segment


def base_level(level: int) -> int:
    """Return the level of the base of a refined stream, about a twelfth of its bytes on photographs; below 0: none."""
    return min(2 * level // 5, level - 100)


@dataclass(frozen=True)
class CodedSlices:
    """All slices of a picture, and the level of their bases if they are refined: their first segments are those."""

    slices: list[Coded]
    base_level: int | None = None

    @property
    def bytes(self) -> float:
        """About how many bytes their symbols take, by the tables."""
        return sum(sum(one.bits) for one in self.slices) / 8192


class Slices:
    """The latents of a picture, int16 [h, w, C] in sixteenths and the encoder's order, divided into slices.

    Args:
        places: of the slices.
        strength: of RDOQ, see `Coder.encode`; 0 rounds with the entropy model's dead zone.
        refined: a base goes first, where there is no reference, the codec has contexts for one, and the bases take
            REFINED_FROM bytes at least.
        reference: a picture of equal size, or None.
    """

    def __init__(
        self,
        coder: Coder,
        latents: Values,
        places: list[Place],
        *,
        strength: int,
        refined: bool,
        reference: ReferencePicture | None,
    ) -> None:
        self._coder, self._strength = coder, strength
        self._refined = refined and reference is None and len(coder.model.sets) > 1
        self.latents = [np.ascontiguousarray(latents[place]) for place in places]
        self.references: list[Reference | None] = [None] * len(places)
        if reference is not None:
            ordered = reference.values[..., coder.model.order]
            self.references = [
                Reference(np.ascontiguousarray(ordered[place]), reference.level) for place in places
            ]

    def code(
        self, level: int, *, merge_below: int = 0, short_below: int = 0, only_estimate: bool = False
    ) -> CodedSlices:
        """Quantise and code all slices at a level; see `Coder.encode`. A refined slice never has the short form."""
        below = base_level(level)
        if self._refined and below >= 0:
            bases = CodedSlices(self._code(below, self.references, MERGED, 0, only_estimate=only_estimate))
            if bases.bytes >= REFINED_FROM:
                there: list[Reference | None] = [Reference(base.values, below) for base in bases.slices]
                fine = self._code(level, there, merge_below, 0, only_estimate=only_estimate)
                both = zip(bases.slices, fine, strict=True)
                return CodedSlices([_refined(base, rest) for base, rest in both], below)
        return CodedSlices(
            self._code(level, self.references, merge_below, short_below, only_estimate=only_estimate)
        )

    def _code(
        self,
        level: int,
        references: list[Reference | None],
        merge_below: int,
        short_below: int,
        *,
        only_estimate: bool,
    ) -> list[Coded]:
        """Return the slices with references. RDOQ starts from the nearest residuals."""
        rounding = 128 if self._strength else int(self._coder.model.rounding[levels.row_of(level)])
        return [
            self._coder.encode(
                latents,
                level,
                rounding=rounding,
                strength=self._strength,
                merge_below=merge_below,
                short_below=short_below,
                reference=reference,
                only_estimate=only_estimate,
            )
            for latents, reference in zip(self.latents, references, strict=True)
        ]


def _refined(base: Coded, fine: Coded) -> Coded:
    """Return a slice that is a base, then what refines it."""
    return replace(fine, segments=[*base.segments, *fine.segments], bits=base.bits + fine.bits)
