"""The Pillow plugin: streams as images, images as streams, and errors as Pillow's users expect them."""

from __future__ import annotations

import io
import pickle
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

import heliograph.pillow
from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import CodecError, PictureError, StreamError
from heliograph.server.preview import PreviewDecoder


@pytest.fixture(autouse=True)
def plugin(codec: Codec) -> Iterator[None]:
    """The plugin with the small codec, decoding by the preview decoder: no test here needs Keras loaded."""
    heliograph.pillow.use_decoder("preview")
    heliograph.pillow.add_codec(codec)
    yield
    heliograph.pillow.use_decoder("auto")


def test_open_knows_size_and_mode_before_a_pixel_is_decoded(stream: Path, codec: Codec) -> None:
    with Image.open(stream) as image:
        assert (image.format, image.mode, image.size) == ("HELIO", "RGB", (97, 61))
        assert image.info == {"quality": 50.0, "codec": codec.id.hex()}
        assert image.get_format_mimetype() == "image/x-helio"
        assert image.tile == []  # nothing was decoded


def test_the_pixels_are_those_of_the_decoder(stream: Path, codec: Codec) -> None:
    expected = PreviewDecoder(codec).decode(decode_stream(stream.read_bytes(), codec))
    with Image.open(stream) as image:
        assert np.array_equal(np.asarray(image), expected)
        assert image.load() is not None  # again
        assert np.array_equal(np.asarray(pickle.loads(pickle.dumps(image))), expected)
    with stream.open("rb") as file:
        image = Image.open(file)
        image.load()
        assert not file.closed  # whoever opened it closes it
    assert np.array_equal(np.asarray(image), expected)


def test_the_server_decoder_is_taken_where_it_can_be(stream: Path, codec: Codec) -> None:
    from heliograph.server.decoder import ServerDecoder

    heliograph.pillow.use_decoder("auto")
    expected = ServerDecoder(codec).decode(decode_stream(stream.read_bytes(), codec))
    with Image.open(stream) as image:
        assert np.array_equal(np.asarray(image), expected)
    with pytest.raises(ValueError, match="decoder is 'best', expected one of auto, server, preview"):
        heliograph.pillow.use_decoder("best")


def test_a_stream_within_a_file_ends_where_its_header_says(stream: Path) -> None:
    image = Image.open(io.BytesIO(stream.read_bytes() + b"what follows"))
    image.load()
    assert image.size == (97, 61)


@pytest.fixture
def whole(photo: Path, codec: Codec) -> bytes:
    """A stream of `photo` that is not short, so that a part of it is of use."""
    with Image.open(photo) as image:
        latents = Encoder(codec).latents(np.asarray(image))
    return Packer(codec, latents, 97, 61, whole=True).at(623)


def test_a_cut_short_stream_is_no_image(stream: Path) -> None:
    with pytest.raises(UnidentifiedImageError, match="one as small as this is all or nothing"):
        Image.open(io.BytesIO(stream.read_bytes()[:-1]))


def test_cut_streams_load_only_if_truncated_images_are_allowed(
    whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = whole[:-40]
    with Image.open(io.BytesIO(data)) as image, pytest.raises(OSError, match="stream is cut") as caught:
        image.load()
    assert isinstance(caught.value, StreamError)
    assert "decode what is there with PIL.ImageFile.LOAD_TRUNCATED_IMAGES = True" in str(caught.value)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(io.BytesIO(data)) as image:
        assert np.asarray(image).shape == (61, 97, 3)
        assert "1 cut" in image.info["loss"]


def test_verify_checks_every_checksum(whole: bytes) -> None:
    data = bytearray(whole)
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    data[-7] ^= 1
    with Image.open(io.BytesIO(data)) as image, pytest.raises(OSError, match="CRC-32C of segment 0"):
        image.verify()
    with Image.open(io.BytesIO(data)) as image, pytest.raises(StreamError, match="CRC-32C of segment 0"):
        image.load()
    with Image.open(io.BytesIO(data[:-9])) as image, pytest.raises(OSError, match="stream is cut"):
        image.verify()


def test_what_is_no_stream_is_not_identified(stream: Path) -> None:
    with pytest.raises(UnidentifiedImageError, match="cannot identify image file"):
        Image.open(io.BytesIO(b"HL" + stream.read_bytes()))
    for damaged, reason in (
        (b"HLO\x09" + bytes(40), "format version 9"),
        (stream.read_bytes()[:14], "cut in its header"),
    ):
        with pytest.raises(UnidentifiedImageError, match=reason) as caught:
            Image.open(io.BytesIO(damaged))
        assert isinstance(caught.value, StreamError)


def test_a_header_longer_than_the_first_read_is_read(codec: Codec) -> None:
    header = container.Header(codec.id, 1600, 1600, 500, 1, 1)
    with Image.open(io.BytesIO(container.pack(header, [b""] * 10000))) as image:
        assert image.size == (1600, 1600)


def test_an_unknown_codec_is_named(stream: Path, forge: Callable[..., bytes]) -> None:
    data = forge(stream.read_bytes(), codec_id=b"\x07" * 8)
    image = Image.open(io.BytesIO(data))
    with pytest.raises(CodecError, match=r"give its folder to heliograph\.pillow\.add_codec") as caught:
        image.load()
    assert isinstance(caught.value, OSError)


def test_pillows_check_for_bombs_holds(
    stream: Path, forge: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = forge(stream.read_bytes(), width=200, height=100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15_000)
    with pytest.warns(Image.DecompressionBombWarning, match="20000 pixels"):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_000)
    with pytest.raises(Image.DecompressionBombError, match="20000 pixels"):
        Image.open(io.BytesIO(data))


def test_importing_the_plugin_leaves_pillows_limit_alone(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_python(
        "from PIL import Image; before = Image.MAX_IMAGE_PIXELS; import heliograph, heliograph.pillow, sys;"
        "import heliograph.pictures, heliograph.cli;"
        "assert Image.MAX_IMAGE_PIXELS == before; assert 'keras' not in sys.modules; print('same')"
    )
    assert done.stdout == "same\n", done.stderr


def test_save_keeps_within_a_budget(photo: Path, codec: Codec, codec_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "saved.helio"
    with Image.open(photo) as image:
        image.save(out, codec=codec_folder, max_bytes=500)
        assert 400 < out.stat().st_size <= 500
        by_number = out.read_bytes()
        image.save(out, codec=codec_folder, max_bytes="0.5k")
        assert out.read_bytes() == by_number
        image.save(out, codec=str(codec_folder), bpp=0.5)
        assert out.stat().st_size * 8 <= 0.5 * 97 * 61
        image.save(out, codec=codec, quality=80)
        assert out.read_bytes() == Encoder(codec).encode(np.asarray(image), Rate(quality=80))
        image.save(out, codec=codec)
        assert out.read_bytes() == Encoder(codec).encode(np.asarray(image), Rate(quality=50))


def test_saving_applies_orientation_and_lays_transparency_over_black(codec: Codec) -> None:
    wide = Image.new("RGBA", (64, 32), (255, 255, 255, 0))
    wide.getexif()[0x0112] = 6  # turned by 90 degrees
    buffer = io.BytesIO()
    wide.save(buffer, "HELIO", codec=codec, quality=90)
    with Image.open(buffer) as image:
        assert image.size == (32, 64)
    assert buffer.getvalue() == Encoder(codec).encode(np.zeros((64, 32, 3), np.uint8), Rate(quality=90))


def test_a_budget_that_cannot_be_kept_leaves_no_file(photo: Path, codec: Codec, tmp_path: Path) -> None:
    out = tmp_path / "saved.helio"
    with Image.open(photo) as image:
        with pytest.raises(PictureError, match="bytes"):
            image.save(out, codec=codec, max_bytes=3)
        with pytest.raises(ValueError, match="quality and bpp exclude each other"):
            image.save(out, codec=codec, quality=3, bpp=1)
        with pytest.raises(ValueError, match="quality is 101, expected 0 to 100"):
            image.save(out, codec=codec, quality=101)
        with pytest.raises(ValueError, match="'8x' is no number of bytes"):
            image.save(out, codec=codec, max_bytes="8x")
        with pytest.raises(CodecError, match="no codec named 'none'"):
            image.save(out, codec="none")
    assert not out.exists()


def test_pillows_own_operations_work_on_it(stream: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Image.open(stream) as image:
            image.thumbnail((40, 40))
            assert image.size == (40, 25)
        with Image.open(stream) as image:
            assert image.convert("L").mode == "L"
            assert image.copy().size == image.rotate(90).size
