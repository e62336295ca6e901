"""The reader of Coral's compiler log, on logs that the compiler wrote for others; and the handling of its process.

The compiler itself is not to be had here. The scripts that stand in for it test only how a process is run and what
becomes of its files and exit code; what they print is what the real one printed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.export import edgetpu_logs as logs

from heliograph.errors import ExportError
from heliograph.export import edgetpu_compiler
from heliograph.export.edgetpu_compiler import findings, read_log


def test_a_partly_mapped_model() -> None:
    log = read_log(logs.PARTLY_MAPPED)
    assert (log.version, log.succeeded, log.total, log.on_cpu, log.subgraphs) == (
        "2.1.302470888",
        True,
        93,
        10,
        1,
    )
    assert log.cached == round(6.86 * 2**20)
    assert log.streamed == round(1.22 * 2**20)
    assert log.unmapped == [
        ("LOGISTIC", 1, "More than one subgraph is not supported"),
        ("CONCATENATION", 1, "More than one subgraph is not supported"),
    ]
    texts = [str(f) for f in findings(log)]
    assert texts[0] == (
        'error: 1 operations LOGISTIC: the compiler says "More than one subgraph is not supported"; '
        "an earlier operation was not mapped: mend that one"
    )
    assert texts[-1].startswith("note: model: 1279263 bytes of parameters do not fit on the chip")


def test_a_mapped_model_has_no_fatal_finding() -> None:
    log = read_log(logs.MAPPED_WITH_STREAMING)
    assert (log.succeeded, log.total, log.on_cpu, log.streamed) == (True, 246, 0, round(41.75 * 1024))
    assert len(log.operations) == 8
    assert ("LOGISTIC", 64, "Mapped to Edge TPU") in log.operations
    assert [f.fatal for f in findings(log)] == [False]


def test_one_operation_that_stops_all_others() -> None:
    log = read_log(logs.ONE_OPERATION_STOPS_ALL)
    assert log.on_cpu == sum(count for _, count, _ in log.unmapped) == 154 - 1
    assert log.operations[0] == ("TRANSPOSE", 70, "Operation not supported")
    assert "replace it by convolutions" in str(findings(log)[0])


def test_success_with_nothing_mapped_is_no_success() -> None:
    (found,) = findings(read_log(logs.NOTHING_MAPPED))
    assert found.fatal
    assert "nothing of it was mapped" in str(found)


def test_a_log_without_its_table_proves_nothing() -> None:
    text = logs.MAPPED_WITH_STREAMING.split("Operator ")[0]
    assert [str(f) for f in findings(read_log(text)) if f.fatal] == [
        "error: model: the log lists no operations; run it by hand to see what it maps: "
        "edgetpu_compiler -s -o . encoder.tflite"
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (logs.INTERNAL_ERROR, "Internal compiler error. Aborting!"),
        (logs.REJECTED_VERSION, "opcode 'TRANSPOSE_CONV' version '4'"),
        (logs.LARGE_ACTIVATIONS, "large activation tensors in model"),
        (logs.DYNAMIC_SIZES, "dynamic-sized tensors"),
        ("", "no reason given"),
    ],
)
def test_failures_say_why(text: str, reason: str) -> None:
    log = read_log(text)
    assert not log.succeeded
    (found,) = findings(log)
    assert found.fatal
    assert reason in str(found)


def program(folder: Path, text: str, code: int = 0, *, writes: bool = True) -> str:
    """Write a script that prints a log and leaves a file as the compiler does."""
    path = folder / "edgetpu_compiler"
    (folder / "log").write_text(text, encoding="utf-8")
    copy = "cp encoder.tflite encoder_edgetpu.tflite" if writes else ":"
    path.write_text(
        f'#!/bin/sh\n[ "$*" = "-s -o . encoder.tflite" ] || exit 9\n{copy}\ncat {folder}/log\nexit {code}\n',
        encoding="utf-8",
    )
    path.chmod(0o755)
    return str(path)


def test_the_compiled_model_and_its_log_are_kept(tmp_path: Path) -> None:
    found = edgetpu_compiler.compile_model(b"TFL3", program(tmp_path, logs.MAPPED_WITH_STREAMING))
    assert found is not None
    assert found.data == b"TFL3"
    assert found.log.total == 246
    assert "Model compiled successfully" in found.text


def test_what_is_not_mapped_fails(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"2\.1\.302470888 does not map the encoder.*1 operations LOGISTIC"):
        edgetpu_compiler.compile_model(b"TFL3", program(tmp_path, logs.PARTLY_MAPPED))


def test_a_failure_fails(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="Internal compiler error"):
        edgetpu_compiler.compile_model(b"TFL3", program(tmp_path, logs.INTERNAL_ERROR, 1, writes=False))


def test_success_without_a_file_fails(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"wrote no encoder_edgetpu\.tflite; run it by hand"):
        edgetpu_compiler.compile_model(b"TFL3", program(tmp_path, logs.MAPPED_WITH_STREAMING, writes=False))


def test_without_the_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert edgetpu_compiler.compile_model(b"TFL3") is None
    with pytest.raises(ExportError, match="is not a program that can be run"):
        edgetpu_compiler.compile_model(b"TFL3", str(tmp_path / "nothing"))
