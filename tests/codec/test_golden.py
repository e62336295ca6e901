"""Golden streams decode to what they always did, in numpy and in C; broken ones fail with their error."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec.codec import ENTROPY, Codec
from heliograph.codec.native_coder import NativeCoder, load_core
from heliograph.codec.numpy_coder import NumpyCoder
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.errors import HeliographError

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STREAMS = json.loads((GOLDEN / "streams.json").read_text(encoding="utf-8"))
ERRORS = json.loads((GOLDEN / "errors/errors.json").read_text(encoding="utf-8"))


@pytest.fixture(params=["numpy", "c"])
def golden(request: pytest.FixtureRequest) -> Codec:
    """The golden codec, decoding in numpy and in C."""
    codec = Codec(GOLDEN / "codec")
    core = load_core()
    assert core is not None
    entropy = codec.read(ENTROPY)
    codec.coder = NativeCoder(entropy, core) if request.param == "c" else NumpyCoder(entropy)
    return codec


def decode(name: str, golden: Codec) -> Decoded:
    """Return what a golden stream decodes to, by way of those that it refers to."""
    other = STREAMS[name]["reference"]
    there = [decode(other, golden)] if other else []
    data = (GOLDEN / f"{name}.helio").read_bytes()
    return decode_stream(data, golden, references={d.picture_id: d.values for d in there})


@pytest.mark.parametrize("name", STREAMS)
def test_a_golden_stream_decodes_to_what_it_always_did(name: str, golden: Codec) -> None:
    decoded = decode(name, golden)
    assert {
        "width": decoded.width,
        "height": decoded.height,
        "level": decoded.level,
        "scale": decoded.scale,
        "reference": STREAMS[name]["reference"],
        "depth": decoded.as_reference().depth,
        "nonzero": int(np.count_nonzero(decoded.values)),
        "values": hashlib.sha256(decoded.values.astype("<i2").tobytes()).hexdigest(),
        "picture_id": decoded.picture_id.hex(),
    } == STREAMS[name]


@pytest.mark.parametrize("name", ERRORS)
def test_a_broken_stream_fails_with_its_error(name: str, golden: Codec) -> None:
    with pytest.raises(HeliographError) as found:
        decode_stream((GOLDEN / f"errors/{name}.helio").read_bytes(), golden)
    assert ERRORS[name] in str(found.value)


def test_every_golden_file_is_listed() -> None:
    assert sorted(p.stem for p in GOLDEN.glob("*.helio")) == sorted(STREAMS)
    assert sorted(p.stem for p in (GOLDEN / "errors").glob("*.helio")) == sorted(ERRORS)


def test_the_worked_example_of_the_format_is_true(golden: Codec) -> None:
    text = resources.files("heliograph").joinpath("FORMAT.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 290
    dump, values = re.findall(r"```\n(.*?)```", text[text.index("## 11. Worked example") :], re.DOTALL)
    stream = bytes.fromhex(" ".join(re.split(r"  +", line)[0] for line in dump.strip().splitlines()))
    assert stream == (GOLDEN / "one-pixel.helio").read_bytes()
    decoded = decode_stream(stream, golden)
    coded = decoded.values[0, 0, golden.coder.model.order]
    assert coded.tolist() == [int(k) for k in values.split()]
