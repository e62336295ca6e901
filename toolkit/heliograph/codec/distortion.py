"""What quantisation costs in pixels, foretold from latents alone: no decoder is on the device."""

from __future__ import annotations

from heliograph.codec import levels

# Of RDOQ: bits that an error of one step, squared, counts as. 17 and 20 save the most with `accelerator`, 14 a fifth of
# a percent less (heliograph.bench.rdoq).
STRENGTH = 20
LAMBDA_LOW, LAMBDA_HIGH = (
    0.001,
    0.09,
)  # bits that an error of one 8-bit unit, squared, is worth at quality 0 and 100


def squared_step(level: int) -> float:
    """Return the square of a pixel's error, in 8-bit units and summed over the picture, that one step squared makes.

    The steps of a quality were fitted where a bit buys as much in latents as in pixels: one step squared is worth
    STRENGTH bits and one unit squared lambda bits. On photographs this is within a tenth at qualities from 0 on.
    Below them steps grow by a known factor.
    """
    quality = max(0.0, levels.to_quality(level)) / (levels.QUALITIES - 1)
    beyond = max(0, levels.LEVEL_0 - level) / 64
    growth = 1 + beyond + beyond**2
    return float(STRENGTH / (LAMBDA_LOW * (LAMBDA_HIGH / LAMBDA_LOW) ** quality) * growth**2)
