"""Runtimes: their order, what is said when one is missing, and how they agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.cli import main
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device import runtime
from heliograph.device.encoder import Encoder
from heliograph.errors import CodecError, RuntimeUnavailableError

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


def test_runtimes_are_tried_in_order(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(runtime.RUNTIMES) == ["litert", "tflite-runtime", "tf.lite"]
    assert Encoder(codec).runtime == runtime.available()[0]
    loaded = runtime._load
    last = runtime.available()[-1]

    def only_last(name: str) -> object:
        if name != last:
            raise RuntimeUnavailableError(f"{name} is not here")
        return loaded(name)

    monkeypatch.setattr(runtime, "_load", only_last)
    assert Encoder(codec).runtime == last


def test_without_any_runtime_the_error_names_what_to_install(
    codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> object:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(RuntimeUnavailableError) as caught:
        Encoder(codec)
    assert str(caught.value).startswith("no TFLite runtime can be loaded: ")
    assert "pip install 'ai-edge-litert" in str(caught.value)


def test_an_unknown_runtime_is_refused(codec: Codec) -> None:
    with pytest.raises(
        RuntimeUnavailableError, match="unknown runtime 'onnx': choose from litert, tflite-runtime"
    ):
        Encoder(codec, runtime="onnx")


def test_tflite_runtime_with_numpy_2_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "__version__", "2.1.0")
    with pytest.raises(RuntimeUnavailableError, match=r"tflite-runtime needs numpy below 2, got 2\.1\.0"):
        runtime._load("tflite-runtime")


def test_a_missing_delegate_library_is_explained(
    photo: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["encode", str(photo), "--codec", str(codec_folder), "--delegate", "libedgetpu.so.1"]
    assert main(command) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("heliograph: error: cannot load delegate libedgetpu.so.1 into ")
    assert "libedgetpu.so.1: cannot open shared object file" in message
    assert message.endswith("plug the device in, or leave --delegate out to run on the CPU")
    assert not photo.with_suffix(".helio").exists()


def test_a_library_that_is_no_delegate_is_explained(codec: Codec) -> None:
    with pytest.raises(
        RuntimeUnavailableError, match=r"cannot load delegate libm.so.6 .* is no TFLite delegate"
    ):
        Encoder(codec, delegate="libm.so.6")


def test_a_delegate_without_its_device_is_explained(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter, _ = runtime._load(runtime.available()[0])

    def no_device(library: str) -> object:  # libedgetpu.so.1 without a stick fails so, with an empty text
        raise ValueError("")

    monkeypatch.setattr(runtime, "_load", lambda name: (interpreter, no_device))
    monkeypatch.setattr("ctypes.CDLL", lambda library: SimpleNamespace(tflite_plugin_create_delegate=None))
    with pytest.raises(RuntimeUnavailableError, match="the library loaded but found no device"):
        Encoder(codec, delegate="libedgetpu.so.1")


def test_a_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(CodecError, match="cannot load the model"):
        runtime.Model(b"not a model" * 100)


@pytest.mark.parametrize("name", runtime.available())
def test_streams_of_every_runtime_decode_to_within_a_step(name: str, codec: Codec, paint: Paint) -> None:
    picture = paint(300, 200)
    encoder = Encoder(codec, runtime=name, fast=True)
    latents = encoder.latents(picture)
    decoded = decode_stream(encoder.encode(picture, Rate(quality=70)), codec)
    assert (decoded.values != 0).mean() > 0.01
    error = decoded.values - latents.astype(int)  # values are in sixteenths of a latent unit
    assert np.all(np.abs(error) <= codec.steps(decoded.values, decoded.level))


def test_runtimes_agree_but_for_one_unit(codec: Codec, paint: Paint) -> None:
    found = [Encoder(codec, runtime=name).units(paint(256, 256)) for name in runtime.available()]
    for other in found[1:]:
        difference = np.abs(found[0].astype(int) - other)
        assert difference.max() <= 1
        assert (difference == 0).mean() > 0.9


def test_a_model_of_two_inputs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interpreter:
        def __init__(self, **options: object) -> None:
            pass

        def allocate_tensors(self) -> None:
            pass

        def get_input_details(self) -> list[object]:
            return [{}, {}]

        def get_output_details(self) -> list[object]:
            return [{}]

    monkeypatch.setattr(runtime, "_load", lambda name: (Interpreter, None))
    with pytest.raises(CodecError, match="model has 2 inputs and 1 outputs, expected one of both"):
        runtime.Model(b"")
