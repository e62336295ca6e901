"""The bundle for Coral's Edge TPU."""

from __future__ import annotations

from heliograph.codec.codec import Codec
from heliograph.export import c_source, cost, edgetpu, edgetpu_compiler
from heliograph.export.bundle import ESTIMATED, UNKNOWN, Bundle, Figure, tool_version
from heliograph.export.findings import refuse
from heliograph.export.graph import read_graph
from heliograph.export.options import Options
from heliograph.export.probe import probe_latents

COMPILED = "encoder_edgetpu.tflite"
SCRIPT = "encode_edgetpu.py"
PEAK_TOPS = 4  # of the chip, two operations to a multiply-accumulate
_NOT_COMPILED = f"""**Not compiled.** Coral's compiler was not on the PATH. The encoder in `codec/` runs on the CPU
until it is compiled, on an x86-64 Debian or Ubuntu with `edgetpu-compiler` from Coral's package repository:

    cd codec && {edgetpu_compiler.COMMAND} && mv {COMPILED} ..

It must report every operation as mapped. The static check found no reason why it should not."""
_USE = f"""On the device, with `heliograph[device]` and Coral's runtime `libedgetpu.so.1` installed:

    python {SCRIPT} PICTURE OUT.helio --quality 30

runs `{COMPILED}` on the Edge TPU; streams decode wherever the codec is known. `--cpu` runs
`codec/encoder.tflite` instead."""


def build(codec: Codec, options: Options) -> Bundle:
    """Check against the published rules; compile where Coral's compiler is installed."""
    graph = read_graph(codec.encoder)
    bundle = Bundle("edgetpu", codec)
    bundle.findings = edgetpu.check(graph)
    refuse(bundle.findings, "the Edge TPU")
    bundle.add_codec()
    bundle.files[SCRIPT] = c_source.read_source(c_source.FIRMWARE / SCRIPT)
    bundle.tools["tflite"] = tool_version("tflite")
    peak, layer = graph.peak
    head = ("layers that map", "parameters, bytes", "most activations at once, bytes", "at")
    verdict = f"{edgetpu.mapped(graph, bundle.findings)} of {len(graph.layers)}"
    row = (verdict, str(graph.parameter_bytes), str(peak), layer.label if layer else "input")
    bundle.tables.append(("Static check against the published rules", [head, row]))
    compiled = edgetpu_compiler.compile_model(codec.encoder, options.edgetpu_compiler)
    if compiled is None:
        bundle.notes.append(_NOT_COMPILED)
        bundle.figures.append(Figure("compiled by edgetpu_compiler", "no", UNKNOWN, edgetpu_compiler.COMMAND))
    else:
        bundle.files[COMPILED] = compiled.data
        bundle.files["edgetpu_compiler.log"] = compiled.text.encode()
        bundle.tools["edgetpu_compiler"] = compiled.log.version
        bundle.findings += edgetpu_compiler.findings(compiled.log)
        cached = str(compiled.log.cached)
        bundle.figures.append(
            Figure("parameters on the chip, bytes", cached, ESTIMATED, "edgetpu_compiler's log")
        )
    bundle.notes.append(_USE)
    bound = 2 * graph.macs / codec.tile**2 * 1e6 / (PEAK_TOPS * 1e12) * 1e3
    bundle.figures.append(
        Figure(
            "network, ms per megapixel, no less than",
            f"{bound:.1f}",
            ESTIMATED,
            f"multiply-adds at the chip's peak of {PEAK_TOPS} TOPS; the bus and the layers' shapes add to it",
        )
    )
    for figure in cost.on_this_computer(codec, options, probe_latents(codec, options.picture)):
        bundle.figures.append(Figure(f"on a CPU: {figure.what}", figure.value, figure.basis, figure.how))
    bundle.figures.append(
        Figure(
            "in all on an Edge TPU, ms per megapixel",
            "-",
            UNKNOWN,
            "no Edge TPU at hand; entropy coding runs on its host's CPU",
        )
    )
    return bundle
