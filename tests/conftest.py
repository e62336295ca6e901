"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.codec import container, registry, tiles
from heliograph.codec.codec import Codec
from heliograph.device.encoder import Encoder

ROOT = Path(__file__).resolve().parents[1]
Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="session")
def codec_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real codec, trained for a few steps; made in another process, so that it may be read without Keras.

    scripts/test makes it once for all environments and names its folder in HELIOGRAPH_TEST_CODEC.
    """
    made = os.environ.get("HELIOGRAPH_TEST_CODEC")
    if not made:
        out = tmp_path_factory.mktemp("small_codec")
        command = [sys.executable, str(ROOT / "tests/small_codec.py"), str(out)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        made = done.stdout.splitlines()[-1]
    return Path(made)


@pytest.fixture(scope="session")
def codec(codec_folder: Path) -> Codec:
    """The small codec."""
    return Codec(codec_folder)


@pytest.fixture
def codec_copy(codec_folder: Path, tmp_path: Path) -> Path:
    """A copy of the small codec's folder to be damaged."""
    return shutil.copytree(codec_folder, tmp_path / "codec_copy")


@pytest.fixture(scope="session")
def encoder(codec: Codec) -> Encoder:
    """The small codec's encoder on the first runtime installed."""
    return Encoder(codec)


@pytest.fixture(scope="session")
def shipped() -> Codec:
    """The shipped accelerator codec."""
    if "accelerator" not in registry.shipped():
        pytest.fail("firmware_models/accelerator is missing: the repository ships this codec")
    return registry.open_codec("accelerator")


@pytest.fixture(scope="session")
def bad_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stride4.tflite, shuffled.tflite and float.tflite; the converter leaks, so in its own process."""
    folder = tmp_path_factory.mktemp("bad_models")
    script = ROOT / "tests/export/bad_models.py"
    done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def paint() -> Callable[[int, int], Picture]:
    """Paint a picture uint8 [height, width, 3] with slopes, edges and a little noise."""

    def picture(width: int, height: int) -> Picture:
        y, x = np.mgrid[:height, :width]
        base = np.stack([x, y // 2, (x + y) // 3], axis=-1) % 256  # [H, W, 3]
        base[(x - width // 2) ** 2 + (y - height // 2) ** 2 < (min(width, height) // 3) ** 2] = (200, 60, 30)
        noise = np.random.default_rng(0).normal(0, 4, base.shape)
        return np.clip(base + noise, 0, 255).astype(np.uint8)

    return picture


@pytest.fixture
def photo(tmp_path: Path, paint: Callable[[int, int], Picture]) -> Path:
    """A small picture file."""
    path = tmp_path / "photo.png"
    Image.fromarray(paint(97, 61)).save(path)
    return path


@pytest.fixture
def stream(photo: Path, codec_folder: Path) -> Path:
    """A stream of `photo`, made by the command."""
    path = photo.with_suffix(".helio")
    assert main(["encode", str(photo), "-o", str(path), "--codec", str(codec_folder)]) == 0
    return path


@pytest.fixture
def forge() -> Callable[..., bytes]:
    """Change fields of a stream's header, with good checksums: forge(data, width=..., codec_id=...)."""

    def change(data: bytes, **fields: object) -> bytes:
        stream = container.open(data)
        segments = [stream.segment(n) or b"" for n in range(len(stream.segments))]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tiles, "check_size", lambda width, height: None)
            return container.pack(replace(stream.header, **fields), segments)  # type: ignore[arg-type]

    return change


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a Python program text in a process of its own, with this environment's packages."""

    def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty folder, the only one where programs are looked for."""
    from heliograph.measure import video

    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    video.clear()
    yield folder
    video.clear()


@pytest.fixture
def mount_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a file system of so many KiB and return its folder; the test is left out where that needs root."""
    folder = tmp_path / "disk"

    def mount(size: int) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)
