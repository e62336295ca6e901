"""How much of the disk devices may take, and how many they may be: what a sender fills must not end it for all."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from heliograph.errors import NotNowError
from heliograph.link.transfer.partial import BLOCK
from heliograph.link.wire.names import is_device

MEASURE_AGAIN = (
    10.0  # seconds after which what is full is measured again: somebody may have moved pictures away
)
_SHARE = 20  # of the time at most goes into measuring: 1 / _SHARE


@dataclass(frozen=True)
class Quotas:
    """Bytes on the disk of one device's folder and of all together, and how many folders there may be."""

    device: int = 4 * 10**9
    total: int = 32 * 10**9
    devices: int = 256


class Usage:
    """What the folders of devices take on the disk: measured, then counted, and measured again where it is too much."""

    def __init__(self, folder: Path, quotas: Quotas) -> None:
        self._folder, self._quotas = folder, quotas
        self._used: dict[str, int] | None = None
        self._again = 0.0

    def count(self, device: str, size: int) -> None:
        """Count bytes that were written, or freed if negative."""
        used = self._devices()
        used[device] = max(used.get(device, 0) + size, 0)

    def admit(self, device: str) -> None:
        """Return if a device has a folder or may have one; NotNowError if there are too many."""
        for _ in range(2):
            if device in (used := self._devices()) or len(used) < self._quotas.devices:
                return
            if not self._measure():
                break
        raise NotNowError(
            f"device {device} is not taken: there are {self._quotas.devices} in {self._folder}; remove folders that "
            "are none of yours, give a larger --max-devices, or take keyed devices only, with --key-file"
        )

    def check(self, device: str, need: int) -> None:
        """Return if a device may take so many bytes more; NotNowError if not."""
        if not need:
            return
        if (full := self._full(device, need)) and self._measure():
            full = self._full(device, need)
        if full:
            raise NotNowError(
                f"no room for {need} bytes of device {device}: {full}; move pictures out of {self._folder}"
            )

    def _full(self, device: str, need: int) -> str:
        """Return what is used up, or nothing."""
        devices = self._devices()
        if (used := devices.get(device, 0)) + need > self._quotas.device:
            return f"it takes {used} of {self._quotas.device} bytes (--device-quota)"
        if (used := sum(devices.values())) + need > self._quotas.total:
            return f"all devices take {used} of {self._quotas.total} bytes (--quota)"
        return ""

    def _devices(self) -> dict[str, int]:
        if self._used is None:
            self._used = _measure(self._folder)
        return self._used

    def _measure(self) -> bool:
        """Measure, but not all the time; return whether that was done."""
        began = time.monotonic()
        if began < self._again:
            return False
        self._used = _measure(self._folder)
        ended = time.monotonic()
        self._again = ended + max(MEASURE_AGAIN, _SHARE * (ended - began))
        return True


def _measure(folder: Path) -> dict[str, int]:
    """Return the bytes on the disk of every device's folder; what cannot be read, or is gone now, counts nothing."""
    sizes: dict[str, int] = {}
    with contextlib.suppress(OSError), os.scandir(folder) as devices:
        for device in devices:
            if not is_device(device.name) or not device.is_dir(follow_symlinks=False):
                continue
            sizes[device.name] = 0
            with contextlib.suppress(OSError), os.scandir(device.path) as files:
                for file in files:
                    with contextlib.suppress(OSError):
                        sizes[device.name] += file.stat(follow_symlinks=False).st_blocks * BLOCK
    return sizes
