"""Where figures were measured: versions of everything that could change them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import heliograph
from heliograph.codec.native_coder import load_core

PACKAGES = (
    "numpy",
    "pillow",
    "scipy",
    "keras",
    "tensorflow",
    "jax",
    "ai-edge-litert",
    "tflite-runtime",
    "tflite-micro",
    "ssimulacra2",
)


def version(package: str) -> str | None:
    """Return the version of an installed distribution, None where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(*packages: str) -> dict[str, str | None]:
    """Return the versions of distributions by name."""
    return {name: version(name) for name in packages}


def processor() -> str:
    """Return the processor's name as the kernel tells it, or the architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def describe() -> dict[str, str]:
    """Return name and value of what describes this machine and its software."""
    facts = {
        "heliograph": heliograph.__version__,
        "entropy coder": "C" if load_core() else "Python",
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "load average": f"{os.getloadavg()[0]:.1f}",  # other work slows every time in a report
    }
    return facts | {name: v for name in PACKAGES if (v := version(name))}
