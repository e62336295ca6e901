"""Decoders that are found by a stream's id and opened once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from heliograph.codec import container
from heliograph.codec.codec import SERVER, Codec
from heliograph.errors import CodecError, RuntimeUnavailableError
from heliograph.server.decoders import Decoder, open_decoder
from heliograph.server.preview import PreviewDecoder


def test_a_copy_without_the_servers_weights_gets_the_preview(codec_copy: Path) -> None:
    (codec_copy / SERVER).unlink()
    assert isinstance(open_decoder("auto", Codec(codec_copy)), PreviewDecoder)
    with pytest.raises(CodecError, match=r"lacks server_decoder\.npz"):
        open_decoder("server", Codec(codec_copy))


def test_weights_that_were_changed_are_an_error_and_no_reason_for_the_preview(codec_copy: Path) -> None:
    (codec_copy / SERVER).write_bytes(b"changed")
    with pytest.raises(CodecError, match=r"server_decoder\.npz was changed"):
        open_decoder("auto", Codec(codec_copy))


def test_without_keras_auto_is_the_preview(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "heliograph.server.decoder", None)  # importing it fails
    assert isinstance(open_decoder("auto", codec), PreviewDecoder)
    with pytest.raises(
        RuntimeUnavailableError,
        match=r"'tensorflow<2.22,>=2.21', or use --decoder preview",
    ):
        open_decoder("server", codec)


def test_a_codec_is_known_after_it_was_added_and_opened_once(stream: Path, codec: Codec) -> None:
    decoder = Decoder(kind="preview")
    with pytest.raises(CodecError, match="stream was made by codec"):
        decoder.decode(stream.read_bytes())
    decoder.registry.add(codec)
    decoded = decoder.values(container.open(stream.read_bytes()))
    assert decoded.codec is codec
    assert decoder.registry.known == [codec]
    assert decoder.of_codec(codec) is decoder.of_codec(codec)
    assert decoder.pixels(decoded).shape == (61, 97, 3)
