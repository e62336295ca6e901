"""The targets of an export, each a function from a codec to a bundle."""

from __future__ import annotations

from collections.abc import Callable

from heliograph.codec.manifest import Codec
from heliograph.export import edgetpu, edgetpu_compiler, ethosu
from heliograph.export.bundle import ESTIMATED, UNKNOWN, Bundle, Figure, tool_version
from heliograph.export.findings import refuse
from heliograph.export.graph import read_graph
from heliograph.export.options import Options

PEAK_TOPS = 4  # of the Edge TPU, two operations to a multiply-accumulate


def build(target: str, codec: Codec, options: Options) -> Bundle:
    """Return the bundle of a codec for a key of TARGETS.

    Raises:
        ExportError: the encoder does not fit the target; every finding is in the text.
        RuntimeUnavailableError: a package or program that the target needs is not installed.
        CodecError: the codec's files are not as hashed.
    """
    return TARGETS[target](codec, options)


def build_edgetpu(codec: Codec, options: Options) -> Bundle:
    """Check against the published rules; compile where Coral's compiler is installed."""
    graph = read_graph(codec.encoder)
    bundle = Bundle("edgetpu", codec)
    bundle.findings = edgetpu.check(graph)
    refuse(bundle.findings, "the Edge TPU")
    bundle.add_codec()
    bundle.tools["tflite"] = tool_version("tflite")
    peak, layer = graph.peak
    bundle.tables.append(
        (
            "Static check against the published rules",
            [
                ("layers that map", "parameters, bytes", "most activations at once, bytes", "at"),
                (
                    f"{edgetpu.mapped(graph, bundle.findings)} of {len(graph.layers)}",
                    str(graph.parameter_bytes),
                    str(peak),
                    layer.label if layer else "input",
                ),
            ],
        )
    )
    compiled = edgetpu_compiler.compile_model(codec.encoder, options.edgetpu_compiler)
    if compiled is None:
        bundle.notes.append(
            "**Not compiled.** Coral's compiler was not on the PATH. The encoder in `codec/` runs on the CPU until "
            "it is compiled, on an x86-64 Debian or Ubuntu with `edgetpu-compiler` from Coral's package repository:\n\n"
            f"    cd {{this folder}}/codec && {edgetpu_compiler.COMMAND} && mv encoder_edgetpu.tflite ..\n\n"
            "All operations must be reported as mapped. The static check found no reason why they should not be."
        )
        bundle.figures.append(Figure("compiled by edgetpu_compiler", "no", UNKNOWN, edgetpu_compiler.COMMAND))
    else:
        bundle.files["encoder_edgetpu.tflite"] = compiled.data
        bundle.files["edgetpu_compiler.log"] = compiled.text.encode()
        bundle.tools["edgetpu_compiler"] = compiled.log.version
        bundle.findings += edgetpu_compiler.findings(compiled.log)
        bundle.figures.append(
            Figure(
                "parameters on the chip, bytes", str(compiled.log.cached), ESTIMATED, "edgetpu_compiler's log"
            )
        )
    bound = 2 * graph.macs / codec.tile**2 * 1e6 / (PEAK_TOPS * 1e12) * 1e3
    bundle.figures.append(
        Figure(
            "network, ms per megapixel, no less than",
            f"{bound:.1f}",
            ESTIMATED,
            f"multiply-adds at the peak of {PEAK_TOPS} TOPS",
        )
    )
    return bundle


def build_ethosu(codec: Codec, options: Options) -> Bundle:
    """Compile with Vela for every accelerator; refuse what it cannot place or keep busy."""
    graph = read_graph(codec.encoder)
    bundle = Bundle("ethosu", codec)
    compiled = [
        ethosu.compile_model(
            codec.encoder,
            graph,
            name,
            vela=options.vela,
            system=options.vela_system if name.startswith("ethos-u55") else None,
            memory=options.vela_memory if name.startswith("ethos-u55") else None,
        )
        for name in ethosu.ACCELERATORS
    ]
    for one in compiled:
        bundle.findings += ethosu.findings(one, graph)
    refuse(bundle.findings, "the Ethos-U")
    bundle.add_codec()
    for one in compiled:
        bundle.files[f"encoder_{one.accelerator}.tflite"] = one.model
        bundle.figures.append(
            Figure(
                f"network on {one.accelerator}, ms per megapixel",
                f"{one.milliseconds * 1e6 / codec.tile**2:.1f}",
                ESTIMATED,
                f"Vela, {one.clock / 1e6:g} MHz, {one.system}, {one.memory}",
            )
        )
    bundle.tables.append(("Vela's estimates", ethosu.table(compiled, codec.tile)))
    bundle.tools["ethos-u-vela"] = tool_version("ethos-u-vela")
    return bundle


TARGETS: dict[str, Callable[[Codec, Options], Bundle]] = {"edgetpu": build_edgetpu, "ethosu": build_ethosu}
