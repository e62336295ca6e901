"""Arm's compiler Vela, really run: what of a model lands on an Ethos-U, how busy it is, and how long it takes."""

from __future__ import annotations

import csv
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heliograph.errors import ExportError
from heliograph.export.findings import Finding
from heliograph.export.graph import Graph
from heliograph.export.tools import last_line, need_tool, run_tool
from heliograph.extras import install

INSTALL = f"{install('export')}, or name it with --vela"
LEAST_UTILISATION = 0.5
GATE = "ethos-u55-128"  # where the least utilisation is required
FEW_PIECES = 4  # commands that a layer may become; 2x2/2 and 3x3 layers become one or two
CONFIGURATION = "Arm/vela.ini"  # comes with Vela


@dataclass(frozen=True)
class Accelerator:
    """A processor that Vela compiles for: multiply-accumulates per cycle, and the system it is assumed to sit in."""

    macs: int
    system: str
    memory: str


# Weights on the chip: encoders are small enough for it. With weights in external flash (Shared_Sram, Vela's own choice)
# a small encoder waits for them 40 % of the time on a U55-256, which says more of the flash than of the network.
_U55 = ("Ethos_U55_High_End_Embedded", "Sram_Only")
_U65 = ("Ethos_U65_High_End", "Dedicated_Sram")
ACCELERATORS = {
    "ethos-u55-64": Accelerator(64, *_U55),
    "ethos-u55-128": Accelerator(128, *_U55),
    "ethos-u55-256": Accelerator(256, *_U55),
    "ethos-u65-256": Accelerator(256, *_U65),
    "ethos-u65-512": Accelerator(512, *_U65),
}


@dataclass(frozen=True)
class LayerResult:
    """What Vela made of one layer, which it may cut into `pieces`; `cycles` include waiting for memory."""

    name: str
    kind: str
    on_npu: bool
    pieces: int
    cycles: int
    macs: int


@dataclass(frozen=True)
class Compiled:
    """A compiled model with Vela's estimates.

    Attributes:
        sram, flash: bytes; flash is whatever else the memory mode uses: flash on or off the chip, or DRAM.
        busy_cycles: of the multipliers' unit; cycles: with waiting for memory.
        clock: of the accelerator in Hz.
        macs: of the layers on the accelerator, as they were given, not as they were cut.
    """

    accelerator: str
    model: bytes
    system: str
    memory: str
    sram: int
    flash: int
    busy_cycles: int
    cycles: int
    clock: float
    macs: int
    layers: tuple[LayerResult, ...]

    @property
    def milliseconds(self) -> float:
        """Estimated time of one run."""
        return 1000 * self.cycles / self.clock

    @property
    def utilisation(self) -> float:
        """Share of the multipliers' capacity that is used while the unit works."""
        return (
            self.macs / (self.busy_cycles * ACCELERATORS[self.accelerator].macs) if self.busy_cycles else 0.0
        )

    @property
    def utilisation_with_waits(self) -> float:
        """The same over all cycles, where the assumed memory's speed counts too."""
        return self.macs / (self.cycles * ACCELERATORS[self.accelerator].macs) if self.cycles else 0.0

    @property
    def on_npu(self) -> float:
        """Share of the layers that run on the accelerator."""
        return sum(layer.on_npu for layer in self.layers) / len(self.layers) if self.layers else 0.0


def compile_model(
    model: bytes,
    graph: Graph,
    accelerator: str,
    *,
    vela: str | None = None,
    system: str | None = None,
    memory: str | None = None,
) -> Compiled:
    """Compile a model with Vela.

    Args:
        vela: the program, or None to look for it.
        system, memory: Vela's names of a system configuration and a memory mode, or None for this accelerator's usual.

    Raises:
        RuntimeUnavailableError: Vela is not installed.
        ExportError: Vela failed, or wrote something else than expected.
    """
    program = need_tool("vela", vela, INSTALL)
    preset = ACCELERATORS[accelerator]
    system, memory = system or preset.system, memory or preset.memory
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "encoder.tflite").write_bytes(model)
        command: list[str | Path] = [program, "encoder.tflite", "--accelerator-config", accelerator]
        command += ["--config", CONFIGURATION, "--system-config", system, "--memory-mode", memory]
        done = run_tool([*command, "--verbose-performance", "--output-dir", "out"], folder=folder)
        if done.returncode:
            raise ExportError(
                f"vela failed for {accelerator}: {last_line(done)}; see vela --help for its options"
            )
        try:
            return _read(folder / "out", graph, accelerator, system, memory)
        except (OSError, KeyError, ValueError, StopIteration) as error:
            raise ExportError(
                f"vela's output for {accelerator} is not as that of version 5 ({error!r}); install ethos-u-vela>=5.2"
            ) from error


def _read(folder: Path, graph: Graph, accelerator: str, system: str, memory: str) -> Compiled:
    (summary_path,) = folder.glob("*_summary_*.csv")
    (layers_path,) = folder.glob("*_per-layer.csv")
    with summary_path.open(newline="", encoding="utf-8") as file:
        summary = next(csv.DictReader(file))
    with layers_path.open(newline="", encoding="utf-8") as file:
        layers = _layers(list(csv.DictReader(file)))
    on_cpu = {layer.name for layer in layers if not layer.on_npu}
    stores = ("dram_memory_used", "on_chip_flash_memory_used", "off_chip_flash_memory_used")
    return Compiled(
        accelerator=accelerator,
        # Without a layer on the accelerator there is nothing to compile, and Vela writes no model.
        model=b"".join(path.read_bytes() for path in folder.glob("*_vela.tflite")),
        system=system,
        memory=memory,
        sram=round(1024 * float(summary["sram_memory_used"])),
        flash=round(1024 * sum(float(summary[name]) for name in stores)),
        busy_cycles=int(float(summary["cycles_npu"])),
        cycles=int(float(summary["cycles_total"])),
        clock=float(summary["core_clock"]),
        macs=sum(layer.macs for layer in graph.layers if layer.outputs[0].label not in on_cpu),
        layers=layers,
    )


def _layers(rows: list[dict[str, str]]) -> tuple[LayerResult, ...]:
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[row["Name"], row["Original Operator"]].append(row)
    return tuple(
        LayerResult(
            name=name.split(";")[0],
            kind=kind,
            on_npu=all(row["Target"] == "NPU" for row in part),
            pieces=len(part),
            cycles=sum(int(float(row["Op Cycles"])) for row in part),
            macs=sum(int(float(row["MAC Count"])) for row in part),
        )
        for (name, kind), part in groups.items()
    )


def findings(compiled: Compiled, graph: Graph) -> list[Finding]:
    """Return what is wrong with a compiled model: layers on the CPU, layers cut to pieces, idle multipliers."""
    faults, width = [], ACCELERATORS[compiled.accelerator].macs
    is_idle = compiled.accelerator == GATE and compiled.utilisation < LEAST_UTILISATION
    for layer in compiled.layers:
        where = f"{_original(layer, graph)} on {compiled.accelerator}"
        if not layer.on_npu:
            faults.append(
                Finding(
                    where,
                    "it runs on the CPU, expected the NPU",
                    f"see vela --supported-ops-report for {layer.kind}",
                )
            )
        elif layer.pieces > FEW_PIECES:
            faults.append(
                Finding(
                    where,
                    f"Vela cuts it into {layer.pieces} operations, {layer.cycles} cycles",
                    "replace a stride above 3 by layers of stride 2",
                )
            )
        elif (
            is_idle
            and layer.macs
            and layer.cycles
            and layer.macs / (layer.cycles * width) < LEAST_UTILISATION
        ):
            faults.append(
                Finding(
                    where,
                    f"it keeps {layer.macs / (layer.cycles * width):.0%} of the multipliers busy for "
                    f"{layer.cycles / compiled.cycles:.0%} of the time",
                    "use more channels, a larger tile, or weights in faster memory",
                )
            )
    if is_idle:
        faults.append(
            Finding(
                f"model on {compiled.accelerator}",
                f"{compiled.utilisation:.0%} of the multipliers are used, expected {LEAST_UTILISATION:.0%} at least",
                "start with the layers named here",
            )
        )
    return faults


def _original(layer: LayerResult, graph: Graph) -> str:
    """Return the label of the model's layer that Vela names so."""
    wanted = layer.kind.upper()  # "Conv2D" of CONV_2D
    for candidate in graph.layers:
        is_kind = candidate.kind.replace("_", "") == wanted
        # What is written straight into a concatenation goes by the concatenation's name.
        readers = [other for other in graph.layers if set(candidate.outputs) & set(other.inputs)]
        names = {t.label for one in (candidate, *readers) for t in one.outputs}
        if is_kind and layer.name in names:
            return candidate.label
    return f"{layer.kind} ({layer.name})"


def table(compiled: Sequence[Compiled], tile: int) -> list[tuple[str, ...]]:
    """Return the rows of a table, its head first; `tile` is the input's side in pixels."""
    head = (
        "accelerator",
        "layers on it",
        "multipliers used",
        "with waits",
        "SRAM, KiB",
        "flash or DRAM, KiB",
        "kcycles per tile",
        "ms per tile",
        "ms per megapixel",
    )
    rows = [
        (
            c.accelerator,
            f"{c.on_npu:.0%}",
            f"{c.utilisation:.0%}",
            f"{c.utilisation_with_waits:.0%}",
            f"{c.sram / 1024:.0f}",
            f"{c.flash / 1024:.0f}",
            f"{c.cycles / 1000:.0f}",
            f"{c.milliseconds:.2f}",
            f"{c.milliseconds * 1e6 / tile**2:.1f}",
        )
        for c in compiled
    ]
    return [head, *rows]
