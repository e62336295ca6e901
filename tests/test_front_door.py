"""The front door: what `import heliograph` offers, that it costs nothing, and that it works on a device."""

from __future__ import annotations

import inspect
import subprocess
import threading
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import get_type_hints

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import heliograph
from heliograph import errors, opened
from heliograph.codec.codec import Codec
from heliograph.codec.pack import SHORT_BELOW
from heliograph.codec.registry import Registry
from heliograph.pictures import load_srgb

Run = Callable[..., subprocess.CompletedProcess[str]]
ERRORS = {name for name, value in vars(errors).items() if inspect.isclass(value)}

QUIET = """
import sys, time
began = time.perf_counter()
import heliograph
print(time.perf_counter() - began)
print(sorted(m for m in ("numpy", "PIL", "keras", "tensorflow", "jax") if m in sys.modules))
"""

ON_A_DEVICE = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tensorflow", "keras", "jax", "torch", "skimage", "scipy"}:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Block())
import heliograph
photo, codec = sys.argv[1:]
data = heliograph.encode(photo, max_bytes=500, codec=codec)
picture = heliograph.decode(data, codec=codec)
print(len(data) <= 500, picture.shape, picture.dtype, heliograph.info(data).width)
try:
    heliograph.decode(data, codec=codec, decoder="server")
except heliograph.RuntimeUnavailableError as error:
    print(error)
"""


def test_what_it_offers() -> None:
    others = {"Codec", "Decoder", "Encoder", "Rate", "StreamInfo", "__version__"}
    assert set(heliograph.__all__) == others | ERRORS | {"decode", "encode", "info", "open_codec"}
    assert heliograph.__all__ == sorted(heliograph.__all__)
    assert set(heliograph.__all__) <= set(dir(heliograph))
    for name in heliograph.__all__:
        assert getattr(heliograph, name) is not None
    with pytest.raises(AttributeError, match="module 'heliograph' has no attribute 'encoder'"):
        _ = heliograph.encoder
    assert Path(str(heliograph.__file__)).with_name("py.typed").exists()


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (
            "encode",
            "(picture, *, quality=None, max_bytes=None, bpp=None, keep_scale=False, codec='accelerator')",
        ),
        ("decode", "(data, *, decoder='auto', codec=None, partial=False)"),
        ("info", "(data)"),
        ("open_codec", "(name_or_folder)"),
        ("Rate", "(quality=None, max_bytes=None, bpp=None, keep_scale=False)"),
        (
            "Encoder",
            "(codec, *, slice_tiles=0, layered=False, base=False, fast=False, memory=None, runtime=None, "
            "delegate=None, threads=1)",
        ),
        (
            "Decoder",
            "(codec=None, kind='auto', *, registry=None, runtime=None, threads=1, max_pixels=None, memory=None)",
        ),
    ],
)
def test_signatures_stay(function: str, signature: str) -> None:
    found = inspect.signature(getattr(heliograph, function))
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()]
    assert str(inspect.Signature(bare)) == signature


def test_what_describes_a_stream_is_typed_and_frozen() -> None:
    hints = get_type_hints(heliograph.StreamInfo)
    assert [(f.name, hints[f.name]) for f in fields(heliograph.StreamInfo)] == [
        ("width", int),
        ("height", int),
        ("quality", float),
        ("codec_id", str),
        ("codec", str | None),
        ("bytes", int),
        ("announced", int),
        ("layers", int),
        ("slices", int),
        ("reference", str | None),
        ("depth", int),
        ("reference_quality", float | None),
        ("chain", int),
        ("coded_width", int),
        ("coded_height", int),
        ("base_quality", float | None),
    ]


def test_every_error_is_of_the_one_tree() -> None:
    for name in ERRORS:
        assert issubclass(getattr(heliograph, name), heliograph.HeliographError)


def test_importing_it_takes_no_time_and_no_library(run_python: Run) -> None:
    done = [run_python(QUIET) for _ in range(3)]  # the least of three: this machine may be busy
    assert done[0].returncode == 0, done[0].stderr
    assert min(float(d.stdout.split()[0]) for d in done) < 0.1
    assert {d.stdout.splitlines()[1] for d in done} == {"[]"}


def test_on_a_device_all_of_the_devices_works(run_python: Run, photo: Path, codec_folder: Path) -> None:
    done = run_python(ON_A_DEVICE, photo, codec_folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "True (61, 97, 3) uint8 97"
    assert lines[1].startswith("the server decoder needs Keras and a backend")


def test_a_path_an_image_and_pixels_give_the_same_bytes(photo: Path, codec: Codec) -> None:
    data = heliograph.encode(photo, quality=30, codec=codec)
    assert data == heliograph.encode(str(photo), quality=30, codec=codec.folder)
    assert data == heliograph.encode(load_srgb(photo), quality=30, codec=str(codec.folder))
    with Image.open(photo) as image:
        assert data == heliograph.encode(image, quality=30, codec=codec)
    assert data == heliograph.Encoder(codec).encode(load_srgb(photo), heliograph.Rate(quality=30))


def test_rates(photo: Path, codec: Codec) -> None:
    assert heliograph.info(heliograph.encode(photo, codec=codec)).quality == 50
    assert len(heliograph.encode(photo, max_bytes=400, codec=codec)) <= 400
    assert len(heliograph.encode(photo, bpp=0.5, codec=codec)) <= 0.5 * 97 * 61 / 8
    with pytest.raises(heliograph.RateError, match="quality and bpp exclude each other"):
        heliograph.encode(photo, quality=3, bpp=0.1, codec=codec)


def test_decoders_give_what_the_class_gives(stream: Path, photo: Path, codec: Codec) -> None:
    data = stream.read_bytes()
    picture = heliograph.decode(data, decoder="preview", codec=codec)
    assert picture.shape == (61, 97, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, heliograph.decode(stream, decoder="preview", codec=codec.folder))
    assert np.array_equal(picture, heliograph.Decoder(codec, "preview").decode(data))
    with pytest.raises(heliograph.StreamError, match="stream is cut"):
        heliograph.decode(data[:-1], decoder="preview", codec=codec)
    large = heliograph.encode(photo, quality=100, codec=codec)
    assert len(large) > SHORT_BELOW  # a smaller one is all or nothing
    assert heliograph.decode(large[:-1], decoder="preview", codec=codec, partial=True).shape == (61, 97, 3)
    with pytest.raises(ValueError, match="decoder is 'best', expected one of auto, server, preview"):
        heliograph.decode(data, decoder="best", codec=codec)


def test_a_codec_of_ones_own_is_not_kept_for_other_calls(
    stream: Path, codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "REGISTRY", Registry())  # without what tests of Pillow added
    monkeypatch.setattr(opened, "_decoders", {})
    assert heliograph.decode(stream, decoder="preview", codec=codec).shape == (61, 97, 3)
    with pytest.raises(heliograph.CodecError, match=f"stream was made by codec {codec.id.hex()}"):
        heliograph.decode(stream, decoder="preview")


def test_info(stream: Path, photo: Path, codec: Codec) -> None:
    told = heliograph.info(stream)
    assert (told.width, told.height, told.quality, told.codec_id) == (97, 61, 50, codec.id.hex())
    assert (told.codec, told.layers, told.slices) == (None, 1, 1)  # not among the shipped ones
    assert told.bytes == told.announced == stream.stat().st_size
    assert told.bpp == 8 * told.bytes / (97 * 61)
    assert told.is_whole
    large = heliograph.encode(photo, quality=100, codec=codec)
    assert not heliograph.info(large[:-1]).is_whole
    with pytest.raises(heliograph.StreamError, match="all or nothing"):
        heliograph.info(stream.read_bytes()[:-1])
    with pytest.raises(FrozenInstanceError):
        told.width = 1  # type: ignore[misc]
    with pytest.raises(heliograph.StreamError, match=r"not a \.helio stream"):
        heliograph.info(b"\xff\xd8\xff\xe0")
    with pytest.raises(heliograph.StreamError, match=r"cannot read .*none\.helio"):
        heliograph.info("none.helio")


def test_a_shipped_codec_is_named(photo: Path, shipped: Codec) -> None:
    told = heliograph.info(heliograph.encode(photo, quality=10))
    assert (told.codec, told.codec_id) == ("accelerator", shipped.id.hex())
    assert heliograph.open_codec("accelerator").id == shipped.id


def test_threads_may_encode_and_decode_at_once(paint: Callable[..., object], codec: Codec) -> None:
    pictures = [paint(50 + 10 * n, 40) for n in range(6)]
    expected = [heliograph.encode(p, quality=40, codec=codec) for p in pictures]  # type: ignore[arg-type]
    failed: list[int] = []

    def work(n: int) -> None:
        data = heliograph.encode(pictures[n], quality=40, codec=codec)  # type: ignore[arg-type]
        shown: npt.NDArray[np.uint8] = heliograph.decode(data, decoder="preview", codec=codec)
        if data != expected[n] or shown.shape != (40, 50 + 10 * n, 3):
            failed.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
