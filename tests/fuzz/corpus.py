"""Makes the fuzzer's first corpus from the golden files, in the folder given."""

from __future__ import annotations

import sys
from pathlib import Path

from heliograph.codec import container

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def main(folder: Path) -> None:
    """Write one input per golden stream, segment, latent map and entropy file."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in [*GOLDEN.glob("*.helio"), *(GOLDEN / "errors").glob("*.helio")]:
        data = path.read_bytes()
        (folder / f"stream-{path.stem}").write_bytes(b"\x00" + data)
    for path in GOLDEN.glob("*.helio"):
        data = path.read_bytes()
        stream = container.open(data)
        at, length = stream.segments[0]
        rows, columns = -(-stream.header.height // 16), -(-stream.header.width // 16)
        head = bytes([(rows - 1) & 31, (columns - 1) & 31]) + stream.header.level.to_bytes(2, "little")
        merged = stream.header.parts == 1
        for cut in (0, 2):
            body = head + bytes([int(merged) | cut, 0]) + data[at : at + length]
            (folder / f"slice-{path.stem}-{cut}").write_bytes(b"\x01" + body)
        (folder / f"trip-{path.stem}").write_bytes(b"\x03" + head + bytes([220]) + data[:64])
    (folder / "model").write_bytes(b"\x02" + (GOLDEN / "codec/entropy.bin").read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
