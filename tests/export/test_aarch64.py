"""The C core on a 64-bit Arm, with NEON, under QEMU's user mode: golden streams, latents, and a camera's stream.

Skipped without an aarch64 compiler and qemu-aarch64; `scripts/check-aarch64` has the wheel and a runtime.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec import registry
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.codec.values import from_units
from heliograph.export import c_source, camera_source
from heliograph.export.camera_boards import expected_stream, reference_latents
from heliograph.export.cortexm import tiles_of_latents
from heliograph.export.needs import needs
from heliograph.export.probe import synthetic_picture

INSTALL = "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static"
COMPILER = "aarch64-linux-gnu-gcc"
EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FLAGS = ["-std=c99", "-O3", "-static", "-Wall", "-Wextra", "-Wconversion", "-Werror"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        EMULATOR is None or shutil.which(COMPILER) is None, reason=f"left out, tools are missing: {INSTALL}"
    ),
]


def run(folder: Path, *command: object) -> str:
    """Run a command to its end."""
    done = subprocess.run([str(c) for c in command], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compile_into(folder: Path, files: dict[str, bytes], sources: list[str]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    run(folder, COMPILER, *FLAGS, *sources, "-o", "program")
    symbols = run(folder, "aarch64-linux-gnu-objdump", "-d", "program")
    assert "smlal" in symbols or "sadalp" in symbols, "no vector instructions: NEON was not used"


def test_golden_streams_and_a_picture_by_the_entropy_core(tmp_path: Path) -> None:
    codec = Codec(GOLDEN / "codec")
    expected = json.loads((GOLDEN / "streams.json").read_text(encoding="utf-8"))
    files = c_source.sources(codec)
    for path in (c_source.FIRMWARE / "emulate/measure.c", c_source.FIRMWARE / "emulate/startup.h"):
        files[path.name] = path.read_bytes()
    files["hosted_startup.c"] = Path(__file__).with_name("hosted_startup.c").read_bytes()
    for name in expected:
        files[name] = (GOLDEN / f"{name}.helio").read_bytes()
    units = np.random.default_rng(3).integers(-60, 60, (7, 9, codec.outputs)).astype(np.int8)
    files["latents.bin"] = tiles_of_latents(units, codec.tile // 16).tobytes()
    jobs = [f"{name} {told['reference'] or '-'}" for name, told in expected.items()]
    files["job.txt"] = ("144 112 500\n" + "\n".join(jobs)).encode()
    sources = ["heliograph.c", "erasure.c", "picture.c", "codec.c", "measure.c", "hosted_startup.c"]
    compile_into(tmp_path, files, sources)
    printed = run(tmp_path, EMULATOR, "-cpu", "cortex-a72", "program")
    assert printed.count(" ok ") == len(expected)
    for name, told in expected.items():
        values = np.fromfile(tmp_path / f"{name}.values", "<i2").reshape(-1, codec.channels)
        restored = codec.coder.model.restore_order(values)
        assert hashlib.sha256(restored.tobytes()).hexdigest() == told["values"], name
    own = Packer(codec, from_units(units, codec.copies), 144, 112, slice_tiles=1).at(500)
    assert (tmp_path / "encoded.helio").read_bytes() == own


@pytest.mark.parametrize("name", sorted(registry.shipped()))
def test_a_camera_makes_the_stream_of_the_reference_kernels(name: str, tmp_path: Path) -> None:
    codec = registry.open_codec(name)
    compile_into(tmp_path, camera_source.sources(codec), ["main.c", "heliograph.c", "codec.c"])
    picture = synthetic_picture(300)[:130, :290]
    (tmp_path / "a.ppm").write_bytes(b"P6\n290 130\n255\n" + picture.tobytes())
    run(tmp_path, EMULATOR, "-cpu", "cortex-a72", "program", "a.ppm", "a.helio", "70")
    latents = reference_latents(codec, picture)
    expected = expected_stream(codec, latents, 290, 130, 223 + 8 * 70, side=needs(codec).side)
    assert (tmp_path / "a.helio").read_bytes() == expected
