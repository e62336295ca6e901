"""Runs heliograph capture in this process, freshly started, and prints as JSON what it took.

    python scripts/measure_capture.py SOURCE COUNT [options of heliograph capture]

`import_seconds` is the time to import all that capture uses before it opens a camera, from an interpreter that
has imported nothing; `peak_megabytes` the highest resident memory of the process (VmHWM of the kernel, libraries
included); `seconds` for each picture the time from asking the source for it until its stream is on the disk.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import tempfile
import time
from pathlib import Path


def measure(source: str, count: int, options: list[str]) -> dict[str, object]:
    """Capture into a folder that is removed and return the figures."""
    began = time.perf_counter()
    from heliograph.cli import main

    imported = time.perf_counter() - began
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(printed):
        command = ["capture", "--source", source, "--every", "0", "--count", str(count), "--spool", folder]
        code = main([*command, *options])
    if code:
        sys.exit(code)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak is not None
    return {
        "import_seconds": round(imported, 3),
        "peak_megabytes": round(int(peak[1]) * 1024 / 1e6, 1),
        "seconds": [float(n) for n in re.findall(r"([\d.]+) s$", printed.getvalue(), re.MULTILINE)],
        "bytes": [int(n) for n in re.findall(r"(\d+) bytes,", printed.getvalue())],
        "heavy_modules": sorted({"tensorflow", "keras", "jax", "cv2", "picamera2", "PIL"} & set(sys.modules)),
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3:])))
