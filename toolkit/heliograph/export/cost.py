"""What a megapixel costs, stage by stage, with what was measured and what was estimated kept apart."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

from heliograph.codec import levels
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.device.encoder import Encoder
from heliograph.errors import HeliographError
from heliograph.export import cortexm, tflm
from heliograph.export.bundle import ASSUMED, ESTIMATED, MEASURED, UNKNOWN, Figure
from heliograph.export.cortexm import Measured
from heliograph.export.graph import read_graph
from heliograph.export.needs import CODE, needs
from heliograph.export.options import Options
from heliograph.export.probe import TILES, Probe, probe_latents

REPEATS = 3
# Lai, Suda, Chandra: CMSIS-NN (arXiv 1801.06601): 24.7 million operations in 99.1 ms on a Cortex-M7 at 216 MHz.
CMSIS_NN_MACS_PER_CYCLE = 24.7e6 / 2 / 0.0991 / 216e6  # 0.58
CORTEX_M7_CLOCK = 480e6  # Hz, as common parts have it


def milliseconds(work: Callable[[], object], pixels: int) -> float:
    """Return the time per megapixel of the best of some rounds."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times) * 1e3 / (pixels / 1e6)


def on_this_computer(codec: Codec, options: Options, probe: Probe) -> list[Figure]:
    """Return the measured times of network and entropy coding here, one thread."""
    encoder, level = Encoder(codec), levels.from_quality(options.quality)
    network = milliseconds(lambda: encoder.latents(probe.picture), probe.pixels)
    packer = Packer(codec, probe.latents, probe.width, probe.height)
    entropy = milliseconds(lambda: packer.at(level), probe.pixels)
    bits = 8 * len(packer.at(level)) / probe.pixels
    where = f"this computer ({platform.machine()}), one thread, {probe.description}"
    coder = "C core" if codec.coder.is_native else "numpy"
    return [
        Figure("network, ms per megapixel", f"{network:.1f}", MEASURED, f"{encoder.runtime} on {where}"),
        Figure(
            "entropy coding, ms per megapixel",
            f"{entropy:.1f}",
            MEASURED,
            f"{coder} at {bits:.2f} bits per pixel, {where}",
        ),
        Figure("in all, ms per megapixel", f"{network + entropy:.1f}", MEASURED, "sum of the two"),
    ]


def emulate(codec: Codec, options: Options) -> Measured | None:
    """Encode a picture on an emulated Cortex-M7 and check its bytes; None where the tools are not installed."""
    if cortexm.missing_tools():
        return None
    level = levels.from_quality(options.quality)
    probe = probe_latents(codec, options.picture).corner(TILES * codec.tile)  # the board has 4 MiB
    measurement = cortexm.measure(codec, probe.units, probe.width, probe.height, level)
    cortexm.check(measurement, codec, probe.units, probe.width, probe.height, level)
    return measurement


def entropy_on_cortex_m(measurement: Measured | None, clock: float) -> tuple[list[Figure], float | None]:
    """Return figures of entropy coding on a Cortex-M at a clock in Hz, and its ms per megapixel or None."""
    if measurement is None:
        how = f"needs {', '.join(cortexm.missing_tools())}: {cortexm.INSTALL}"
        return [Figure("entropy coding, instructions per pixel", "-", UNKNOWN, how)], None
    per_pixel = measurement.instructions / measurement.pixels
    time_needed = per_pixel * 1e6 / clock * 1e3
    bits = 8 * len(measurement.stream) / measurement.pixels
    return [
        Figure(
            "entropy coding, instructions per pixel",
            f"{per_pixel:.0f}",
            MEASURED,
            f"QEMU, {measurement.board}, {bits:.2f} bits per pixel; bytes equal to this computer's",
        ),
        Figure(
            "entropy coding, ms per megapixel",
            f"{time_needed:.0f}",
            ESTIMATED,
            f"those instructions at {clock / 1e6:g} MHz, one a cycle (assumed)",
        ),
    ], time_needed


def network_on_cortex_m(macs_per_pixel: float) -> tuple[Figure, float]:
    """Return the assumed time of a network on a Cortex-M7 with CMSIS-NN, and its ms per megapixel."""
    needed = macs_per_pixel * 1e6 / CMSIS_NN_MACS_PER_CYCLE / CORTEX_M7_CLOCK * 1e3
    return Figure(
        "network, ms per megapixel",
        f"{needed:.0f}",
        ASSUMED,
        f"{CMSIS_NN_MACS_PER_CYCLE:.2f} multiply-adds a cycle, as published of CMSIS-NN on a Cortex-M7, at "
        f"{CORTEX_M7_CLOCK / 1e6:g} MHz",
    ), needed


def in_all(parts: list[float | None], name: str = "in all") -> Figure:
    """Return the sum of stages in ms per megapixel, or that one of them is missing."""
    if None in parts:
        return Figure(f"{name}, ms per megapixel", "-", UNKNOWN, "a stage is not known")
    return Figure(
        f"{name}, ms per megapixel", f"{sum(p or 0.0 for p in parts):.0f}", ESTIMATED, "sum of the stages"
    )


def beside_tflm(codec: Codec) -> str:
    """Return what a codec's network takes under TensorFlow Lite Micro, and in plain C, as far as can be said here."""
    graph, found = read_graph(codec.encoder), needs(codec)
    try:
        arena = tflm.measure_arena(codec.encoder, graph)
    except HeliographError as error:
        return f"TensorFlow Lite Micro beside it: not measured ({error})"
    network, _ = network_on_cortex_m(graph.macs / codec.tile**2)
    return (
        f"The same network under TensorFlow Lite Micro: an arena of {arena.total} bytes for one tile, of them "
        f"{arena.head} for tensors; {len(codec.encoder)} bytes of model in flash beside TFLM's code, which is not "
        f"linked here; {network.value} ms per megapixel ({network.how}).\n"
        f"In plain C: {found.lines.bytes_at(codec.tile)} bytes of rows for a picture one tile wide, {found.network} "
        f"bytes of network in flash, and {CODE} bytes of code with entropy coder, container and strips."
    )
