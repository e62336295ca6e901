"""Cameras, ports, accelerators and compilers of this machine, as the kernel and the makers' programs tell them."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heliograph.doctor.asking import Answer, ask_program
from heliograph.export.tools import find_tool

# Program, how it is asked for its version, and what installs it.
COMPILERS = {
    "vela": ("--version", "pip install '.[export]'"),
    "edgetpu_compiler": (
        "--version",
        "Coral's apt repository, x86-64 only: https://coral.ai/docs/edgetpu/compiler",
    ),
    "arm-none-eabi-gcc": ("--version", "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    "qemu-system-arm": ("--version", "apt-get install qemu-system-arm"),
    "qemu-aarch64": ("--version", "apt-get install qemu-user"),
}
# USB ids of the Edge TPU before and after its program was loaded.
_CORAL = {("1a6e", "089a"): "not started yet", ("18d1", "9302"): "ready"}


def compiler_questions() -> dict[str, Callable[[], Answer]]:
    """Return for each program that is found what asks for the line with its version."""
    programs = {name: find_tool(name) for name in COMPILERS}
    return {
        name: lambda path=path, name=name: ask_program([str(path), COMPILERS[name][0]])  # type: ignore[misc]
        for name, path in programs.items()
        if path is not None
    }


def cameras() -> list[str]:
    """Return V4L2 devices with their names, and picamera2 where it is installed."""
    entries = []
    for device in sorted(Path("/dev").glob("video*")):
        name = _read(Path("/sys/class/video4linux") / device.name / "name") or "unknown"
        entries.append(f"v4l2:{device} ({name}){_right(device)}")
    if importlib.util.find_spec("picamera2") is not None:
        entries.append("picamera2 is installed")
    return entries


def ports() -> list[str] | None:
    """Return serial ports with what is known of them, None without pyserial."""
    try:
        list_ports: Any = importlib.import_module("serial.tools.list_ports")
    except ImportError:
        return None
    return [
        f"{port.device} ({port.description}){_right(Path(port.device))}"
        for port in sorted(list_ports.comports())
    ]


def accelerators() -> list[str]:
    """Return Edge TPUs and Nvidia's GPUs, as far as the kernel or the driver knows them."""
    entries = [f"Edge TPU, PCIe: {device}{_right(device)}" for device in sorted(Path("/dev").glob("apex_*"))]
    for device in sorted(Path("/sys/bus/usb/devices").glob("*")):
        state = _CORAL.get((_read(device / "idVendor"), _read(device / "idProduct")))
        if state is not None:
            entries.append(f"Edge TPU, USB: {state}")
    smi = find_tool("nvidia-smi")
    if smi is not None:
        answer = ask_program(
            [str(smi), "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        )
        entries += [f"GPU: {line}" for line in answer.value or [f"nvidia-smi: {answer.problem}"]]
    return entries


def board() -> str:
    """Return what a single-board computer calls itself, or ""."""
    return _read(Path("/proc/device-tree/model"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _right(device: Path) -> str:
    return "" if os.access(device, os.R_OK | os.W_OK) else ", which this user may not open"
