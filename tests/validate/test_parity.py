"""How far runtimes agree, on real ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import Codec
from heliograph.device.encoder import Encoder
from heliograph.errors import RuntimeUnavailableError
from heliograph.measure.cache import Cache
from heliograph.validate import parity, runners
from heliograph.validate.subject import Subject

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


def test_differences_are_counted() -> None:
    first = np.array([0, 5, -128, 127], np.int8)
    second = np.array([0, 4, 127, 127], np.int8)
    found = parity.apart(first, second)
    assert found == {"values": 4, "equal": 2, "beyond_one": 1, "largest": 255}
    assert parity.shares([found, parity.apart(first, first)]) == {
        "equal": 0.75,
        "beyond_one": 0.125,
        "largest": 255,
    }


def test_the_first_layer_that_parts_is_named() -> None:
    a = {"1 CONV_2D": np.zeros((2, 2, 1), np.int8), "2 ADD": np.zeros((2, 2, 1), np.int8)}
    b = {"1 CONV_2D": a["1 CONV_2D"], "2 ADD": np.ones((2, 2, 1), np.int8)}
    layers = parity.layers_apart(a, b)
    assert [e["equal"] for e in layers] == [1, 0]
    assert parity.first_parting(layers) == "2 ADD"
    assert parity.first_parting(layers[:1]) is None


def test_installed_runtimes_agree_within_the_encoders_last_bits(
    subject: Subject, codec: Codec, encoder: Encoder, paint: Paint, tmp_path: Path
) -> None:
    picture = paint(190, 130)
    found = runners.installed(codec)
    assert [r.name for r in found][:1] == ["LiteRT"]
    assert np.array_equal(found[0].units(picture), encoder.units(picture))
    with closing(Cache(tmp_path / "cache.sqlite")) as cache:
        report = parity.measure(subject, [picture], found, cache=cache)
        misses = cache.misses
        assert parity.measure(subject, [picture], runners.installed(codec), cache=cache) == report
        assert cache.misses == misses
    assert report["unavailable"] == {}
    for name, r in report["runtimes"].items():
        assert r["equal"] > 0.8, name
        assert r["largest"] <= 6, name  # of noise, by an encoder that is hardly trained
        assert r["bd_rate"] is None or abs(r["bd_rate"]) < 0.05
    if "TFLM" in report["runtimes"]:  # its kernels are the reference ones
        micro, reference = report["runtimes"]["TFLM"], report["runtimes"]["LiteRT, reference kernels"]
        assert micro["equal"] == reference["equal"]
    layers = report["runtimes"]["LiteRT, reference kernels"]["layers"]
    assert layers[-1]["shape"] == [16, 16, codec.outputs]
    assert layers[0]["equal"] >= layers[-1]["equal"]


def test_keeping_all_tensors_changes_nothing(codec: Codec, paint: Paint) -> None:
    picture = paint(256, 256)
    first = runners.installed(codec)[0]
    assert first.layers is not None
    assert np.array_equal(list(first.layers(picture).values())[-1], first.units(picture))


def test_another_environment_is_asked(codec: Codec, encoder: Encoder, paint: Paint) -> None:
    picture = paint(60, 40)
    name, (found,) = runners.other_units(sys.executable, codec, [picture])
    assert name == encoder.runtime
    assert np.array_equal(found, encoder.units(picture))


def test_an_environment_that_is_none_is_named(subject: Subject, codec: Codec, paint: Paint) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"cannot run /no/python: .*check --python"):
        runners.other_units("/no/python", codec, [paint(16, 16)])
    found = [r for r in runners.installed(codec, python="/no/python") if "TF" not in r.name]
    report = parity.measure(subject, [paint(16, 16)], [found[0], found[-1]], cache=Cache(None))
    assert "cannot run /no/python" in report["unavailable"]["another environment"]
