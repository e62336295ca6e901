"""What the beginning of a stream is worth: about how many dB each of its bytes gains, without a decoder's network."""

from __future__ import annotations

import math

import numpy as np

from heliograph.codec import container, levels
from heliograph.codec.codec import Codec
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import Values
from heliograph.errors import StreamError

SHARES = (1 / 32, 1 / 16, 3 / 32, 1 / 8, 3 / 16, 1 / 4, 1 / 3, 0.42, 1 / 2, 0.6, 0.7, 0.8, 0.9, 1.0)
# Of an error in steps, squared, of a channel: what a decoder's picture lacks even with all values. Fitted to
# beginnings of streams of a codec made for PSNR, which it foretells to 0.3 dB in the mean. Where a codec is made for
# the eye, a step of one channel is worth more pixels than one of another: the first twentieth is off by 5 dB.
REST = 0.04
NOTHING = 3.0  # dB that no picture at all is worse than a grey one
PER_DOUBLING = 3.0  # dB that a stream of twice the bytes gains


def worth(data: bytes, codec: Codec) -> list[tuple[int, float]]:
    """Return bytes of the stream's beginning and dB, from (0, ...) to all of it, rising.

    A decoder's mean squared error goes with that of the values, in steps.

    Raises:
        StreamError: it is none that decodes.
    """
    stream = container.open(data)
    whole = decode_stream(stream, codec).values.astype(np.float64)
    model = codec.coder.model
    steps = np.empty(model.channels)
    steps[model.order] = levels.steps_at(model.steps, stream.header.level)
    ends = {at + length + container.CRC_BYTES for at, length in stream.segments if length}
    cuts = sorted({*ends, *(max(int(len(data) * share), stream.size + 1) for share in SHARES)})
    first = _decibels(np.zeros_like(whole), whole, steps)
    out = [(0, first - NOTHING)]
    for cut in cuts:
        try:
            values = decode_stream(data[:cut], codec, partial=True).values
        except StreamError:
            continue
        out.append((cut, max(_decibels(values.astype(np.float64), whole, steps), out[-1][1])))
    return out


def guess(size: int) -> list[tuple[int, float]]:
    """Return what a stream of so many bytes is worth if nothing is known of it: as much with each doubling."""
    cuts = [(max(int(size * share), 1), PER_DOUBLING * math.log2(32 * share)) for share in SHARES]
    return [(0, -4 * PER_DOUBLING), *sorted(dict(cuts).items())]


def _decibels(values: Values | np.ndarray, whole: np.ndarray, steps: np.ndarray) -> float:
    error = float(np.mean(np.square((whole - values) / steps)))
    return -10 * math.log10(error + REST)
