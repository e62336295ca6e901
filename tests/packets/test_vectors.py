"""The bytes of PACKETS.md: vectors.json is the contract, and the page's example is what the code writes."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any

import pytest
from tests.packets import make_vectors

import heliograph
from heliograph.packets import collector, numbers, packet, plan, word
from heliograph.packets.collector import Collector

PAGE = Path(heliograph.__file__).with_name("PACKETS.md").read_text(encoding="utf-8")
CASES = ["one layer", "three layers", "two parts with a label", "with a key"]


def test_the_code_writes_the_vectors(vectors: Any) -> None:
    assert make_vectors.build() == vectors


@pytest.mark.parametrize("name", CASES)
def test_the_vectors_give_the_stream(vectors: Any, name: str) -> None:
    case = vectors["cases"][name]
    key = bytes.fromhex(case["key"]) if case["key"] else None
    collector = Collector(key)
    needed, count = case["layers"][-1][0], len(case["packets"])
    for text in case["packets"][
        count - needed * case["parts"] - 1 :
    ]:  # the last ones, the parity at place 254 with them
        collector.take(bytes.fromhex(text))
    found = collector.best((vectors["device"], vectors["picture"]))
    assert found is not None
    assert (found.stream.hex(), found.label, found.missing) == (vectors["stream"], case["label"], 0)
    assert found.is_whole


def test_the_example_on_the_page(vectors: Any) -> None:
    example = PAGE.split("## 6. Example")[1].split("```")[1]
    lines = [
        re.match(r"((?:[0-9a-f]{2} )*[0-9a-f]{2})(?:  |$)", line.split("   ")[0])
        for line in example.split("\n")
    ]
    first = vectors["cases"]["three layers"]["packets"]
    assert "".join(line[1].replace(" ", "") for line in lines if line) == first[0]
    starts = [bytes.fromhex(text)[8:9].hex() for text in first[:5]]
    assert f"`{' '.join(starts[:4])}`" in PAGE
    assert f"`{starts[4]}`" in PAGE


def test_the_numbers_on_the_page() -> None:
    assert f"`w[0]` is {', '.join(map(str, packet.WIDTHS))} for `W` 0 to {packet.WHOLE - 1}" in PAGE
    assert f"| 1 to {plan.MOST_LABEL} |" in PAGE
    assert f"{packet.LEAST_BYTES} to {packet.MOST_BYTES} bytes" in PAGE
    assert f"Ours holds {collector.MOST_HELD >> 20} MiB and {collector.MOST_ARRIVING} parts" in PAGE
    assert f'"{packet.KEY_PURPOSE}"' in PAGE
    assert f"in units of {numbers.SECONDS} seconds" in PAGE


def test_checks_by_hand(vectors: Any) -> None:
    cases = vectors["cases"]
    keyed, key = bytes.fromhex(cases["with a key"]["packets"][0]), bytes.fromhex(cases["with a key"]["key"])
    assert keyed[-8:] == hmac.digest(key, keyed[:-8], hashlib.sha256)[:8]
    # CRC-32C of "123456789" is e3069283; its low half goes last.
    assert packet._check(b"123456789", None).hex() == "8392"
    assert vectors["word"][:10] == "2c03000003"
    device = vectors["device"].to_bytes(2, "little")
    said = device + bytes.fromhex(vectors["word with a key"])[:5]
    assert vectors["word with a key"][10:] == hmac.digest(key, said, hashlib.sha256)[:8].hex()


def test_a_word_is_read_by_its_device_alone(vectors: Any) -> None:
    data = bytes.fromhex(vectors["word"])
    assert word.read(data, vectors["device"]) == word.Word(vectors["picture"], 3)
    assert word.read(data, vectors["device"] + 1) is None
    assert all(word.read(data[:size], vectors["device"]) is None for size in range(6))
    assert word.read(word.write(word.Word(5, 0), 1), 1) is None
    assert word.read(word.write(word.Word(1 << 28, 1), 1), 1) is None
    keyed = bytes.fromhex(vectors["word with a key"])
    assert word.read(keyed, vectors["device"]) is None
    assert word.read(keyed, vectors["device"], make_vectors.KEY) == word.Word(vectors["picture"], 3)


def test_the_number_of_a_device() -> None:
    # SHA-256 of "abc" begins with ba 78.
    assert packet.device_number("abc") == 0x78BA
