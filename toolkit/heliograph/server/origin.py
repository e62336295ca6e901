"""What a decoded picture says of itself, so that nobody takes what a network has made for what a camera has seen."""

from __future__ import annotations

from heliograph import __version__
from heliograph.codec import levels
from heliograph.codec.decoder import CodecDecoder
from heliograph.codec.stream import Decoded


def told(decoded: Decoded, decoder: CodecDecoder) -> dict[str, str]:
    """Return words for a picture's file, by the names that PNG has for them."""
    codec, quality = decoded.codec, levels.to_quality(decoded.level)
    words = {
        "Software": f"Heliograph {__version__}",
        "Codec": f"{codec.name} {codec.id.hex()}",
        "Decoder": f"{decoder.file} {codec.hashes[decoder.file][:16]}",
        "Description": f"Reconstruction: a neural network's picture of a compressed stream of quality {quality:g}. "
        "What is finer than the stream carries is the network's, and no evidence of what was there.",
    }
    return words if decoded.loss.is_none else words | {"Loss": str(decoded.loss)}
