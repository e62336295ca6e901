"""The bundle for Arm's Ethos-U: models compiled by Vela, and the C sources around them."""

from __future__ import annotations

from heliograph.codec.codec import Codec
from heliograph.export import c_source, cost, ethosu
from heliograph.export.bundle import ESTIMATED, Bundle, Figure, tool_version
from heliograph.export.findings import refuse
from heliograph.export.graph import read_graph
from heliograph.export.options import Options

HOST_CLOCK = (
    400e6  # Hz, of a Cortex-M55 or M85 beside the accelerator; its instructions are counted as a Cortex-M7's
)
_USE = """`encoder_ethos-u*.tflite` are the same network compiled for each accelerator. Put the bytes of yours in the
place of `encoder_model.c` of a `tflm` bundle, make `AddEthosU` the only operation of its resolver, and link Arm's
driver. `c/` holds the entropy coder, the codec's tables and the example around the network.

"Multipliers used" is over the cycles in which the multipliers' unit works, "with waits" over all cycles: the difference
is the time that weights take from the assumed memory, and is another on another board (`--vela-system`,
`--vela-memory`)."""


def build(codec: Codec, options: Options) -> Bundle:
    """Compile with Vela for every accelerator; refuse what it cannot place or keep busy."""
    graph = read_graph(codec.encoder)
    bundle = Bundle("ethosu", codec, notes=[_USE])
    compiled = []
    for name in ethosu.ACCELERATORS:
        is_u55 = name.startswith("ethos-u55")  # a board's memories are named for one family
        system, memory = (options.vela_system, options.vela_memory) if is_u55 else (None, None)
        result = ethosu.compile_model(
            codec.encoder, graph, name, vela=options.vela, system=system, memory=memory
        )
        bundle.findings += ethosu.findings(result, graph)
        compiled.append(result)
    refuse(bundle.findings, "the Ethos-U")
    bundle.add_codec()
    bundle.files |= {f"c/{name}": data for name, data in c_source.sources(codec).items()}
    bundle.tables.append(("Vela's estimates", ethosu.table(compiled, codec.tile)))
    bundle.tools["ethos-u-vela"] = tool_version("ethos-u-vela")
    figures, entropy = cost.entropy_on_cortex_m(cost.emulate(codec, options), HOST_CLOCK)
    for result in compiled:
        bundle.files[f"encoder_{result.accelerator}.tflite"] = result.model
        network = result.milliseconds * 1e6 / codec.tile**2
        how = f"Vela, {result.clock / 1e6:g} MHz, {result.system}, {result.memory}"
        bundle.figures.append(
            Figure(f"network on {result.accelerator}, ms per megapixel", f"{network:.1f}", ESTIMATED, how)
        )
        bundle.figures.append(cost.in_all([network, entropy], f"in all with {result.accelerator}"))
    bundle.figures += figures
    return bundle
