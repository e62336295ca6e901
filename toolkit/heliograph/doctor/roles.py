"""The roles of an installation, each an extra of the package, and the packages it needs."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from heliograph.extras import install


@dataclass(frozen=True)
class Package:
    """A distribution with the module it is imported by, and the oldest version that will do, "" for any."""

    name: str
    module: str
    oldest: str = ""


@dataclass(frozen=True)
class Role:
    """What an extra is for.

    Attributes:
        needs: its packages; none for the device, which needs one of several runtimes.
        python: the oldest Python its packages can be installed in.
    """

    what: str
    needs: tuple[Package, ...] = ()
    python: tuple[int, int] = (3, 10)


KERAS = Package("keras", "keras", "3.15")
TENSORFLOW = Package("tensorflow", "tensorflow", "2.21")
JAX = Package("jax", "jax", "0.4.35")
SKIMAGE = Package("scikit-image", "skimage", "0.24")
# There are no wheels of TFLite Micro for other processors.
_MICRO = (Package("tflite-micro", "tflite_micro"),) if platform.machine() == "x86_64" else ()
ROLES: Mapping[str, Role] = {
    "device": Role("encode, capture, preview"),
    "link": Role(
        "send, receive",
        (
            Package("pyserial", "serial", "3.5"),
            Package("cobs", "cobs", "1.2.1"),
            Package("cryptography", "cryptography", "42"),
        ),
    ),
    "opencv": Role(
        "capture from V4L2 cameras and video files", (Package("opencv-python-headless", "cv2", "4.9"),)
    ),
    "server": Role("decode with the large network, on TensorFlow", (KERAS, TENSORFLOW), (3, 11)),
    "server-jax": Role("the same on JAX", (KERAS, JAX), (3, 11)),
    "serve": Role(
        "the page", (Package("starlette", "starlette", "0.40"), Package("uvicorn", "uvicorn", "0.30"))
    ),
    "cluster": Role(
        "decode --engine ray", (Package("ray", "ray.data", "2.40"), Package("fsspec", "fsspec", "2024.2"))
    ),
    "train": Role("train, calibrate", (KERAS, TENSORFLOW, SKIMAGE), (3, 11)),
    "validate": Role(
        "validate, inspect",
        (Package("scipy", "scipy", "1.11"), SKIMAGE, Package("ssimulacra2", "ssimulacra2", "0.3")),
    ),
    "export": Role(
        "export for accelerators and microcontrollers",
        (Package("tflite", "tflite", "2.18"), *_MICRO, Package("ethos-u-vela", "ethosu.vela", "5.2")),
    ),
}


@dataclass(frozen=True)
class Fitness:
    """Whether a role can work here: what is missing or broken, and the line that installs it, "" if nothing is."""

    missing: list[str] = field(default_factory=list)
    install: str = ""

    @property
    def works(self) -> bool:
        return not self.missing


def is_older(version: str, oldest: str) -> bool:
    """Return whether a version is before another, by their numbers."""
    got, wanted = ([int(n) for n in re.findall(r"\d+", text)[:3]] for text in (version, oldest))
    return bool(got) and got < wanted


def fitness(
    role: str, versions: Mapping[str, str | None], problems: Mapping[str, str], *, has_runtime: bool
) -> Fitness:
    """Return whether a role can work.

    Args:
        versions: of distributions, None for what is not installed, "" where none is told.
        problems: why a distribution that is installed cannot be imported.
        has_runtime: whether a TFLite runtime really runs a model.
    """
    missing = []
    if sys.version_info[:2] < ROLES[role].python:
        missing.append("Python {}.{} or later".format(*ROLES[role].python))
    if role == "device" and not has_runtime:
        missing.append("a TFLite runtime that works")
    for package in ROLES[role].needs:
        version = versions[package.name]
        if version is None:
            missing.append(package.name)
        elif is_older(version, package.oldest):
            missing.append(f"{package.name} {package.oldest} or later, not {version}")
        elif package.name in problems:
            missing.append(f"{package.name} that works: {problems[package.name]}")
    return Fitness(missing, install(role) if missing else "")
