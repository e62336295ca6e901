"""Make the bytes of PACKETS.md: python -m tests.packets.make_vectors > tests/packets/vectors.json"""

from __future__ import annotations

import json

from crc32c import crc32c

from heliograph.packets import word
from heliograph.packets.packetizer import Packetizer
from heliograph.packets.plan import Layer, Plan

KEY = bytes(range(32))
DEVICE, PICTURE = 4711, 812
STREAM = bytes((7 * n * n + n) % 251 for n in range(150))


def layered(parts: int, label: str) -> Plan:
    layers = (Layer(4, 8), Layer(5, 4), Layer(9, 13)) if parts == 1 else (Layer(5, 6), Layer(6, 10))
    return Plan(len(STREAM), crc32c(STREAM), layers, 0, parts, label)


def case(plan: Plan, count: int, key: bytes | None) -> dict[str, object]:
    made = Packetizer(STREAM, plan, DEVICE, PICTURE, key=key)
    return {
        "plan": plan.to_bytes().hex(),
        "layers": [[layer.needed, layer.width] for layer in plan.layers],
        "spans": plan.spans,
        "label": plan.label,
        "parts": plan.parts,
        "key": key.hex() if key else None,
        "packets": [packet.hex() for packet in made.packets(count)] + [made.packet(254).hex()],
    }


def build() -> dict[str, object]:
    """Return the vectors, as JSON has them."""
    one = Plan(len(STREAM), crc32c(STREAM), (Layer(11, 15),))
    vectors = {
        "stream": STREAM.hex(),
        "device": DEVICE,
        "picture": PICTURE,
        "cases": {
            "one layer": case(one, 12, None),
            "three layers": case(layered(1, ""), 10, None),
            "two parts with a label": case(layered(2, "a"), 7, None),
            "with a key": case(layered(1, "with a"), 10, KEY),
        },
        "word": word.write(word.Word(PICTURE, 3), DEVICE).hex(),
        "word with a key": word.write(word.Word(PICTURE, 3), DEVICE, KEY).hex(),
    }
    again: dict[str, object] = json.loads(json.dumps(vectors))
    return again


if __name__ == "__main__":
    print(json.dumps(build(), indent=1))
