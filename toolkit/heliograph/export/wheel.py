"""This package as files that another machine installs: its source, and a wheel cross-compiled for 64-bit Arm."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from heliograph import __version__
from heliograph.errors import ExportError
from heliograph.export.c_source import PACKAGE
from heliograph.export.tools import find_tool, last_line, run_tool

CROSS_COMPILER = "aarch64-linux-gnu-gcc"
INSTALL = "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
_PARTS = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "toolkit", "firmware_models", "calibration")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.so", "training", "*.partial")
_ELF_MACHINE_AARCH64 = 0xB7


def source_root() -> Path:
    """Return the repository that this package runs from; ExportError where it was installed without its source."""
    root = PACKAGE.parents[1]
    if not (root / "setup.py").is_file() or not (root / "firmware_models").is_dir():
        raise ExportError(
            "a bundle for cpu carries this package, and it was installed without its source: run "
            "`heliograph export` from the repository"
        )
    return root


def copy_source(folder: Path) -> Path:
    """Copy what a build needs of the repository to a folder inside the given one, and return it."""
    root, copy = source_root(), folder / f"heliograph-{__version__}"
    copy.mkdir()
    for part in _PARTS:
        if (root / part).is_dir():
            shutil.copytree(root / part, copy / part, ignore=_LEFT_OUT)
        else:
            shutil.copy(root / part, copy / part)
    return copy


def source_archive() -> tuple[str, bytes]:
    """Return name and bytes of a .tar.gz that pip installs; the same source gives the same members."""
    with tempfile.TemporaryDirectory() as name:
        copy = copy_source(Path(name))
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for path in sorted(copy.rglob("*")):
                info = archive.gettarinfo(path, str(path.relative_to(copy.parent)))
                info.uid = info.gid = info.mtime = 0
                info.uname = info.gname = ""
                if path.is_file():
                    with path.open("rb") as handle:
                        archive.addfile(info, handle)
                else:
                    archive.addfile(info)
        return f"{copy.name}.tar.gz", out.getvalue()


def aarch64_wheel() -> tuple[str, bytes] | None:
    """Return name and bytes of a wheel for 64-bit Arm Linux with the C core in it; None without the cross-compiler.

    The extension uses Python's stable interface, whose headers are the same on both 64-bit processors.

    Raises:
        ExportError: the build failed, or made an extension for another processor, or none.
    """
    compiler = find_tool(CROSS_COMPILER)
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy = copy_source(folder)
        settings = {
            "CC": str(compiler),
            "LDSHARED": f"{compiler} -shared",
            "CFLAGS": "-O2 -fPIC",
            "LDFLAGS": "",
            "_PYTHON_HOST_PLATFORM": "linux-aarch64",
        }
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--disable-pip-version-check",
        ]
        done = run_tool(
            [*command, "--no-deps", "--wheel-dir", folder, copy],
            folder=folder,
            environment=os.environ | settings,
        )
        wheels = list(folder.glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            raise ExportError(f"the wheel for aarch64 could not be built: {last_line(done)}")
        data = wheels[0].read_bytes()
    check_wheel(data)
    return wheels[0].name, data


def check_wheel(data: bytes) -> None:
    """Raise ExportError unless a wheel has the C core for 64-bit Arm in it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        cores = [n for n in archive.namelist() if n.startswith("heliograph/_core")]
        machines = [int.from_bytes(archive.read(n)[18:20], "little") for n in cores]
    if machines != [_ELF_MACHINE_AARCH64]:
        raise ExportError(
            f"the wheel holds {cores or 'no C core'} for machine {machines}, expected one for aarch64; see the "
            f"compiler's messages with: CC={CROSS_COMPILER} pip wheel --no-deps ."
        )
