"""Real `heliograph receive` processes on a small disk: what they take of memory, files and log, and what they keep."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = 64 << 10


@dataclass(frozen=True)
class Sample:
    """What a receiver took at a time: bytes of memory in use, open files, bytes of log so far."""

    time: float
    memory: int
    files: int
    log: int


class ReceiverProcess:
    """A `heliograph receive`, its inbox `out` and its words in a file."""

    def __init__(self, name: str, port: int, out: Path, log: Path, *options: str) -> None:
        self.name, self.out, self.log = name, out, log
        self.samples: list[Sample] = []
        self.has_died = False
        command = [sys.executable, "-m", "heliograph", "receive", "--port", f"socket://127.0.0.1:{port}"]
        with log.open("ab") as file:
            self.process = subprocess.Popen([*command, "--out", str(out), *options], stdout=file, stderr=file)

    def sample(self, now: float) -> None:
        """Look at the process."""
        home = Path(f"/proc/{self.process.pid}")
        with contextlib.suppress(OSError):  # it has ended, which `end` notes
            pages = int((home / "statm").read_text(encoding="ascii").split()[1])
            files = len(list((home / "fd").iterdir()))
            memory = pages * os.sysconf("SC_PAGE_SIZE")
            self.samples.append(Sample(now, memory, files, self.log.stat().st_size))

    def end(self) -> None:
        """End it as a user would, and note if it had ended before."""
        self.has_died = self.process.poll() is not None
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        """Return the last line of its log."""
        return (self.log.read_text(encoding="utf-8", errors="replace").splitlines() or [""])[-1]

    def kept(self) -> dict[str, list[bytes]]:
        """Return the SHA-256 of every whole stream, by device."""
        found: dict[str, list[bytes]] = {}
        for path in sorted(self.out.glob("*/*.helio")):
            found.setdefault(path.parent.name, []).append(hashlib.sha256(path.read_bytes()).digest())
        return found


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mount a file system of `size` bytes at a folder; False, and nothing is mounted, where that needs root."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size >> 10}k", "tmpfs", str(folder)]
    try:
        is_mounted = not subprocess.run(command, capture_output=True).returncode
    except FileNotFoundError:
        is_mounted = False
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", str(folder)], check=True)


class Ballast:
    """A file that takes what is free on a small disk, from time to time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self) -> None:
        """Take all that is free now."""
        with contextlib.suppress(OSError), self._path.open("ab", buffering=0) as file:
            for size in (BLOCK, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def empty(self) -> None:
        """Free it."""
        self._path.unlink(missing_ok=True)
