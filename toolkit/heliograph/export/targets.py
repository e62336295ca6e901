"""The targets of an export, each a function from a codec to a bundle."""

from __future__ import annotations

from collections.abc import Callable

from heliograph.codec.codec import Codec
from heliograph.export import camera_bundle, cpu_bundle, edgetpu_bundle, ethosu_bundle, tflm_bundle
from heliograph.export.bundle import Bundle
from heliograph.export.options import Options

TARGETS: dict[str, Callable[[Codec, Options], Bundle]] = {
    "c": camera_bundle.build,
    "cpu": cpu_bundle.build,
    "edgetpu": edgetpu_bundle.build,
    "ethosu": ethosu_bundle.build,
    "tflm": tflm_bundle.build,
}


def build(target: str, codec: Codec, options: Options) -> Bundle:
    """Return the bundle of a codec for a key of TARGETS.

    Raises:
        ExportError: the encoder does not fit the target; every finding is in the text.
        RuntimeUnavailableError: a package or program that the target needs is not installed.
        CodecError: the codec's files are not as hashed.
    """
    return TARGETS[target](codec, options)
