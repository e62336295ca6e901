"""How soon a picture is on the page and sharpens, with real ends on a slow line and a real browser.

    python -m heliograph.bench.page_latency --baud 9600 --picture photo.jpg

starts `heliograph receive` and `send` on a simulated line between pseudo-terminals, `heliograph serve` on what is
received, and a headless Chromium that looks on; and prints when which bytes were to be seen.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.bench.browser import chromium
from heliograph.bench.link_processes import SimulatedLine, command_of
from heliograph.codec import container, registry
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder
from heliograph.device.spool import Spool
from heliograph.pictures import load_srgb
from heliograph.samples import sample_pictures

# Notes when the browser has drawn a picture, or has drawn all that further bytes hold: they may add nothing to see.
_NOTE = """
window.seen = [];
function note(figure) {
  window.seen.push([Date.now() / 1000, +figure.dataset.version, +figure.dataset.held,
                    figure.dataset.whole === 'true', figure.picture.naturalWidth]);
}
document.addEventListener('load', (event) => {
  const figure = event.target.closest && event.target.closest('figure');
  if (figure) note(figure);
}, true);
new MutationObserver((changes) => {
  for (const figure of new Set(changes.map((change) => change.target)))
    if (figure.picture && figure.picture.complete && figure.picture.naturalWidth) note(figure);
}).observe(document, {subtree: true, attributeFilter: ['data-held', 'data-whole']});
"""


@dataclass(frozen=True)
class Sight:
    """A version of the picture that was drawn, `seconds` after the sender was started."""

    seconds: float
    version: int
    held: int
    is_whole: bool
    width: int


@dataclass(frozen=True)
class Watched:
    """What was seen of one stream; `complaints` is what the browser's console said."""

    stream: bytes
    sights: list[Sight]
    received: float
    complaints: list[str]

    def layers(self) -> list[tuple[int, float]]:
        """Return, for each layer, the bytes up to its end and when the page first showed them."""
        stream = container.open(self.stream)
        ends = [at + length + container.CRC_BYTES for at, length in stream.segments if length]
        shown = [next((s.seconds for s in self.sights if s.held >= end), float("nan")) for end in ends]
        return list(zip(ends, shown, strict=True))


def watch(
    folder: Path,
    codec: Codec,
    picture: npt.NDArray[np.uint8],
    *,
    quality: float = 50,
    baud: int = 9600,
    patience: float = 120,
) -> Watched:
    """Send a picture over a line and look on until it is whole, or for `patience` seconds."""
    stream = Encoder(codec, layered=True, base=True).encode(picture, Rate(quality=quality))
    Spool(folder / "spool").add(stream)
    (folder / "out").mkdir()
    serve = ["serve", "--inbox", str(folder / "out"), "--port", "0", "--decoder", "preview"]
    serve += ["--codec", str(codec.folder)]
    complaints: list[str] = []
    with ExitStack() as stack:
        line = stack.enter_context(SimulatedLine("--baud", str(baud)))

        def start(command: list[str], **pipes: Any) -> subprocess.Popen[str]:
            process = subprocess.Popen(command, text=True, **pipes)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        start(command_of("receive", line.ends[1], folder, "--baud", str(baud)), **quiet)
        server = start([sys.executable, "-m", "heliograph", *serve], stderr=subprocess.PIPE)
        assert server.stderr is not None
        stack.callback(server.stderr.close)
        url = server.stderr.readline().split()[-1]
        page = stack.enter_context(chromium()).new_context().new_page()
        page.add_init_script(_NOTE)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        _until(page, "document.getElementById('connection').textContent === 'live'", patience)
        began = time.time()
        start(command_of("send", line.ends[0], folder, "--baud", str(baud)), **quiet)
        _until(page, "window.seen.some((s) => s[3])", patience)
        sights = [Sight(at - began, *rest) for at, *rest in page.evaluate("window.seen")]
        (whole,) = (folder / "out").glob("*/*.helio")
        received = whole.stat().st_mtime - began
    return Watched(stream, sights, received, complaints)


def _until(page: Any, condition: str, patience: float) -> None:
    """Wait; Playwright's own way evaluates text in the page, which its policy forbids."""
    ends = time.monotonic() + patience
    while not page.evaluate(condition) and time.monotonic() < ends:
        page.wait_for_timeout(50)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.bench.page_latency", description=__doc__)
    parser.add_argument("--codec", default="accelerator", metavar="NAME_OR_DIR")
    parser.add_argument("--picture", type=Path, help="default: the first colour sample")
    parser.add_argument("--quality", type=float, default=50)
    parser.add_argument("--baud", type=int, default=9600)
    options = parser.parse_args(arguments)
    picture = load_srgb(options.picture or sample_pictures(colour_only=True)[0])
    with tempfile.TemporaryDirectory() as folder:
        codec = registry.open_codec(options.codec)
        record = watch(Path(folder), codec, picture, quality=options.quality, baud=options.baud)
    height, width = picture.shape[:2]
    print(
        f"{width}x{height}, {len(record.stream)} bytes in {len(record.layers())} layers at {options.baud} baud"
    )
    versions = len({sight.version for sight in record.sights})
    print(f"{versions} versions were drawn, the first after {record.sights[0].seconds:.2f} s")
    before = 0.0
    for number, (end, seconds) in enumerate(record.layers(), start=1):
        line = 10 * end / options.baud
        print(
            f"layer {number}: {end:6} bytes, on the page after {seconds:6.2f} s, {seconds - before:5.2f} s after the "
            f"one before; the line alone needs {line:6.2f} s"
        )
        before = seconds
    print(f"whole file on the disk after {record.received:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
