"""The shape of a context model: layers, groups, features, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ContextSpec:
    """Shape of a context model: cumulative channels of the layers, channels of a group, features of the two stages.

    `features` are those of pictures alone and of those with a reference.
    """

    layers: tuple[int, ...]
    group: int = 16
    features: tuple[tuple[int, int], tuple[int, int]] = ((8, 16), (8, 16))

    def span(self, layer: int) -> tuple[int, int]:
        """Return the first channel of a layer and the one after its last."""
        return (self.layers[layer - 1] if layer else 0), self.layers[layer]

    def groups(self, layer: int) -> list[slice]:
        """Return the channels of each group of a layer, as `EntropyModel.groups`."""
        start, stop = self.span(layer)
        return [slice(at, min(at + self.group, stop)) for at in range(start, stop, self.group)]

    @property
    def all_groups(self) -> int:
        """Number of groups of all layers."""
        return sum(len(self.groups(layer)) for layer in range(len(self.layers)))


def macs_per_pixel(spec: ContextSpec, predicted: int) -> float:
    """Multiply-adds per picture pixel of contexts of pictures alone when nothing is zero; zeros are skipped."""
    first, second = spec.features[0]
    total = 4.0 * predicted**2 * 15 / 16
    for layer in range(len(spec.layers)):
        start, stop = spec.span(layer)
        count, columns = stop - start, stop - start + len(spec.groups(layer))
        look = second * (9 * first + columns)
        if layer == 0:  # networks on 3/4 of the positions, neighbours in 15/16
            total += first * count * (1 / 4 + 1 / 2) + 3 / 4 * look + 15 / 16 * 4 * columns
        else:
            total += first * (2 * start + count / 2) + look + 4 * columns / 2
    return total / 256
