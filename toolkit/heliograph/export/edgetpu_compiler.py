"""Coral's compiler, where it is installed: run, and its log read."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from heliograph.errors import ExportError
from heliograph.export.findings import Finding
from heliograph.export.tools import find_tool, run_tool

PROGRAM = "edgetpu_compiler"
COMMAND = "edgetpu_compiler -s -o . encoder.tflite"
MAPPED = "Mapped to Edge TPU"
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_ROW = re.compile(r"^([A-Z][A-Z0-9_]*|[Cc]ustom[\w-]*|edgetpu-custom-op)\s+(\d+)\s+(\S.*?)\s*$")
_SIZE = re.compile(r"^([\d.]+)\s*([KMG]?i?B)$")
_FAILURES = (
    "ERROR:",
    "Compilation failed:",
    "Internal compiler error",
    "Invalid model",
    "Model could not be parsed",
)
_REMEDIES = {
    "Operation not supported": "replace it by convolutions, pooling, ADD or CONCATENATION",
    "More than one subgraph is not supported": "an earlier operation was not mapped: mend that one",
    "Operation is working on an unsupported data type": "quantise the whole model to int8",
    "Operation is otherwise supported, but not mapped due to some unspecified limitation": "try a smaller tile",
}


@dataclass(frozen=True)
class CompilerLog:
    """What the compiler said.

    Attributes:
        version: of the compiler, or "".
        succeeded: whether it wrote a model, which may still run on the CPU in part or altogether.
        total: operations of the model, or None where the log does not say.
        on_cpu: operations that stay on the CPU.
        cached, streamed: bytes of parameters on the chip, and those that are not.
        operations: kind, count and status of every line of its table.
        errors: the lines that say why it failed.
    """

    version: str
    succeeded: bool
    total: int | None
    on_cpu: int
    cached: int | None
    streamed: int | None
    subgraphs: int | None
    operations: tuple[tuple[str, int, str], ...]
    errors: tuple[str, ...]

    @property
    def unmapped(self) -> list[tuple[str, int, str]]:
        """The lines of operations that stay on the CPU."""
        return [row for row in self.operations if row[2] != MAPPED]


def read_log(text: str) -> CompilerLog:
    """Return what a log of edgetpu_compiler says, whatever its version from 2 to 16."""
    lines = [line.strip() for line in text.splitlines()]
    values = {
        key.strip(): value.strip()
        for key, _, value in (line.partition(": ") for line in lines)
        if value.strip()
    }
    rows = tuple((m[1], int(m[2]), m[3]) for m in map(_ROW.match, lines) if m)
    errors = tuple(line for line in lines if line.startswith(_FAILURES))
    version = next(
        (line.rsplit(" ", 1)[1] for line in lines if line.startswith("Edge TPU Compiler version ")), ""
    )
    on_cpu = _number(values.get("Number of operations that will run on CPU"))
    if on_cpu is None:  # it is left out where all are mapped
        on_cpu = sum(count for _, count, status in rows if status != MAPPED)
    return CompilerLog(
        version=version,
        succeeded=any(line.startswith("Model compiled successfully") for line in lines),
        total=_number(values.get("Total number of operations")),
        on_cpu=on_cpu,
        cached=_bytes(values.get("On-chip memory used for caching model parameters")),
        streamed=_bytes(values.get("Off-chip memory used for streaming uncached model parameters")),
        subgraphs=_number(values.get("Number of Edge TPU subgraphs")),
        operations=rows,
        errors=errors,
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _bytes(text: str | None) -> int | None:
    match = _SIZE.match(text or "")
    return round(float(match[1]) * _UNITS[match[2]]) if match and match[2] in _UNITS else None


def findings(log: CompilerLog) -> list[Finding]:
    """Return what a log complains about; empty when the whole model runs on the chip."""
    complaints = [
        Finding(f"{count} operations {kind}", f'the compiler says "{status}"', _remedy(status))
        for kind, count, status in log.unmapped
    ]
    if not log.succeeded:
        reason = "; ".join(log.errors) or "no reason given"
        complaints.append(
            Finding(
                "model",
                f"the compiler refused it: {reason}",
                "run `heliograph export` without the compiler to see the rules it breaks",
            )
        )
    elif not log.operations and not log.on_cpu and log.subgraphs != 0:
        complaints.append(
            Finding("model", "the log lists no operations", f"run it by hand to see what it maps: {COMMAND}")
        )
    elif log.on_cpu and not complaints:
        complaints.append(
            Finding(
                "model", f"{log.on_cpu} operations stay on the CPU", "run the compiler with -s to see which"
            )
        )
    elif log.subgraphs == 0 and not complaints:
        complaints.append(
            Finding(
                "model", "nothing of it was mapped to the Edge TPU", "run the compiler with -s to see why"
            )
        )
    if log.streamed:
        complaints.append(
            Finding(
                "model",
                f"{log.streamed} bytes of parameters do not fit on the chip",
                "use fewer channels",
                fatal=False,
            )
        )
    return complaints


def _remedy(status: str) -> str:
    return _REMEDIES.get(status, "see coral.ai/docs/edgetpu/models-intro for the operation's limits")


@dataclass(frozen=True)
class EdgeTpuModel:
    """A compiled model and the log that came with it."""

    data: bytes
    text: str
    log: CompilerLog


def compile_model(model: bytes, given: str | None = None) -> EdgeTpuModel | None:
    """Compile a model with Coral's compiler, or return None where it is not installed.

    Raises:
        ExportError: a compiler was named that does not exist, it failed, or it maps less than the whole model.
    """
    program = find_tool(given or PROGRAM)
    if program is None:
        if given is not None:
            raise ExportError(
                f"{given} is not a program that can be run; leave it out to export without compiling"
            )
        return None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "encoder.tflite").write_bytes(model)
        done = run_tool([program, "-s", "-o", ".", "encoder.tflite"], folder=folder)
        text = done.stdout + done.stderr
        log = read_log(text)
        fatal = [str(f) for f in findings(log) if f.fatal]
        if fatal or done.returncode:
            reasons = ". ".join(fatal) or f"exit code {done.returncode}"
            raise ExportError(f"{PROGRAM} {log.version} does not map the encoder to the Edge TPU: {reasons}")
        out = folder / "encoder_edgetpu.tflite"
        if not out.is_file():
            raise ExportError(
                f"{PROGRAM} said it succeeded and wrote no {out.name}; run it by hand: {COMMAND}"
            )
        return EdgeTpuModel(out.read_bytes(), text, log)
