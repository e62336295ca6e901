"""The fuzzers: their corpus is clean under the sanitizers, a short run finds nothing, and what is found is told."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.fuzz import corpus
from tests.fuzz.fuzz import MOST_MEMORY, Result, execute, fuzz
from tests.fuzz.havoc import change_bytes, change_number

HERE = Path(__file__).resolve().parent
KEPT = sorted((HERE / "corpus").iterdir())
ENVIRONMENT = ["env", f"HELIOGRAPH_ENTROPY={corpus.GOLDEN / 'codec/entropy.bin'}"]

BUILD = ["env", "OPTIMISE=-O0", HERE / "build"]  # to compile more takes longer than to run


def run(*command: object, at: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300, cwd=at)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C fuzzer with sanitizers, told what inputs reach."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here")
    out = tmp_path_factory.mktemp("fuzz") / "core"
    done = run(*BUILD, out, "-fsanitize-coverage=trace-pc")
    if done.returncode and "asan" in done.stderr:
        pytest.skip("the compiler has no sanitizer runtime")
    assert done.returncode == 0, done.stderr
    return out


def test_the_corpus_is_clean_under_the_sanitizers(program: Path) -> None:
    done = run(*ENVIRONMENT, program, "replay", *KEPT)
    assert (done.returncode, done.stdout) == (0, f"{len(KEPT)} inputs\n"), done.stderr[-2000:]


def test_the_corpus_stays_small_and_has_all_targets() -> None:
    assert sum(path.stat().st_size for path in KEPT) < 300_000
    assert {path.read_bytes()[0] % 5 for path in KEPT} == {0, 1, 2, 3, 4}


def test_a_thousand_executions_find_no_bug_and_new_places(program: Path, tmp_path: Path) -> None:
    start, found, kept = (tmp_path / name for name in ("start", "found", "kept"))
    for folder in (start, found, kept):
        folder.mkdir()
    for name, data in corpus.small_streams().items():
        (start / name).write_bytes(corpus.STREAM + data)
    done = run(*ENVIRONMENT, program, "fuzz", 0, 1, found, start, at=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "1000 executions" in done.stdout
    assert f"0 findings, {len(list(found.iterdir()))} inputs more" in done.stdout
    assert list(found.iterdir()), "nothing that the start does not reach: the core tells no places"
    done = run(*ENVIRONMENT, program, "keep", kept, start, found)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 0 < len(list(kept.iterdir())) < len(list(start.iterdir())) + len(list(found.iterdir()))


def test_an_input_that_breaks_the_core_is_kept(program: Path, tmp_path: Path) -> None:
    header, broken = tmp_path / "broken.h", tmp_path / "broken"
    header.write_text("#include <string.h>\n#define memmove(to, from, size) memmove(to, from, (size) + 1)\n")
    assert run(*BUILD, broken, "-include", header).returncode == 0
    done = run(*ENVIRONMENT, broken, "replay", *KEPT, at=tmp_path)
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stderr
    assert "for target" in done.stderr
    finding = tmp_path / "finding"
    assert finding.read_bytes() in [path.read_bytes() for path in KEPT]
    assert "AddressSanitizer" in run(*ENVIRONMENT, broken, "replay", finding, at=tmp_path).stderr
    assert run(*ENVIRONMENT, program, "replay", finding).returncode == 0


@pytest.mark.parametrize(
    "target",
    [
        "stream",
        "entropy-file",
        "frame",
        "message",
        "receiver",
        "one-way-receiver",
        "sender",
        "manifest",
        "npz",
    ],
)
def test_a_few_executions_of_each_target_find_nothing(target: str) -> None:
    result = fuzz(0.0, "test", [target], least=60)[target]
    assert result.findings == []
    assert result.executions == 60


def test_what_is_wrong_with_an_execution_is_told_with_its_seed() -> None:
    result = Result()

    def wasteful(rng: random.Random) -> None:
        del rng
        assert bytes([1]) * (MOST_MEMORY * 1024 + (64 << 20))

    def broken(rng: random.Random) -> None:
        raise KeyError(rng.random())

    execute("message", lambda rng: None, "1.0", result)
    execute("message", broken, "1.1", result)
    execute("message", wasteful, "1.2", result)
    assert result.executions == 3
    assert [finding.splitlines()[0] for finding in result.findings] == [
        "python -m tests.fuzz.fuzz again message 1.1",
        "python -m tests.fuzz.fuzz again message 1.2",
    ]
    assert f"KeyError: {random.Random('1.1').random()}" in result.findings[0]
    assert "KiB" in result.findings[1]


def test_changes_change_and_stay_in_range() -> None:
    draw = random.Random(1)
    assert (
        sum(change_bytes(b"twenty bytes or so..", draw) != b"twenty bytes or so.." for _ in range(100)) > 90
    )
    assert all(0 <= change_number(5, draw, 9) < 9 for _ in range(100))
