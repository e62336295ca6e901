"""The bundle for CPUs of the Raspberry Pi class: the package, the codec, and a script that installs and tries them."""

from __future__ import annotations

import io

from PIL import Image

from heliograph.codec.codec import Codec
from heliograph.export import c_source, cost, wheel
from heliograph.export.bundle import COUNTED, UNKNOWN, Bundle, Figure
from heliograph.export.graph import read_graph
from heliograph.export.options import Options
from heliograph.export.probe import probe_latents

SCRIPT = "install.sh"
SAMPLE = "sample.png"
_USE = f"""Copy this folder to the device and run

    ./{SCRIPT}

It installs the package beside it into `environment/`, encodes `{SAMPLE}` to `sample.helio` and describes it. Where the
wheel is not for the device, the source is installed, whose C core is compiled there if a compiler is; without it
entropy coding runs in numpy, slower. A decoder is wherever `heliograph[server]` and this codec are."""


def build(codec: Codec, options: Options) -> Bundle:
    """Pack the package's source, a wheel for 64-bit Arm where it can be cross-compiled, the codec and a script."""
    graph = read_graph(codec.encoder)
    bundle = Bundle("cpu", codec, notes=[_USE], programs={SCRIPT})
    bundle.add_codec()
    bundle.files[SCRIPT] = c_source.read_source(c_source.FIRMWARE / SCRIPT)
    name, data = wheel.source_archive()
    bundle.files[name] = data
    built = wheel.aarch64_wheel()
    if built is None:
        bundle.notes.append(
            f"No wheel for 64-bit Arm: {wheel.CROSS_COMPILER} was not installed ({wheel.INSTALL})."
        )
    else:
        bundle.files[built[0]] = built[1]
    probe = probe_latents(codec, options.picture)
    sample = io.BytesIO()
    Image.fromarray(probe.picture).save(sample, "png")
    bundle.files[SAMPLE] = sample.getvalue()
    bundle.figures += [
        Figure("multiply-adds per pixel", f"{graph.macs / codec.tile**2:.0f}", COUNTED, "in the model"),
        *cost.on_this_computer(codec, options, probe),
        Figure(
            "in all on an Arm CPU, ms per megapixel",
            "-",
            UNKNOWN,
            "no Arm board at hand; install.sh runs there",
        ),
    ]
    return bundle
