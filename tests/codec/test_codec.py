"""A codec folder: found by name, folder or id, and checked as it is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliograph.codec.codec import ENCODER, ENTROPY, PREVIEW, SERVER, Codec, codec_id, sha256
from heliograph.codec.registry import Registry, open_codec
from heliograph.errors import CodecError


def test_the_shipped_codec_is_found_by_name_and_is_whole(shipped: Codec) -> None:
    assert open_codec("accelerator").id == shipped.id
    assert Registry().by_id(shipped.id).folder == shipped.folder
    assert shipped.encoder[4:8] == b"TFL3"
    assert {ENCODER, ENTROPY, PREVIEW, SERVER} <= set(shipped.hashes)
    for name in shipped.hashes:
        assert shipped.read(name)


def test_the_shipped_codec_keeps_its_budget(shipped: Codec) -> None:
    described = shipped.manifest["encoder"]
    assert shipped.tile == 256
    assert described["kmac_per_pixel"] <= 4
    assert described["parameters"] <= 500_000


def test_the_id_follows_from_encoder_and_tables(codec: Codec) -> None:
    assert codec.id == codec_id(codec.encoder, codec.read(ENTROPY))
    assert len(codec.id) == 8


def test_another_decoder_keeps_the_id(codec_copy: Path, codec: Codec) -> None:
    (codec_copy / PREVIEW).write_bytes(b"better")
    described = json.loads((codec_copy / "manifest.json").read_text(encoding="utf-8"))
    described["files"][PREVIEW] = sha256(b"better")
    (codec_copy / "manifest.json").write_text(json.dumps(described), encoding="utf-8")
    improved = Codec(codec_copy)
    assert improved.read(PREVIEW) == b"better"
    assert improved.encoder == codec.encoder


def test_an_extra_codec_is_found_by_its_id(codec: Codec) -> None:
    codecs = Registry([codec])
    assert codecs.by_id(codec.id) is codec
    assert codecs.known == [codec]
    with pytest.raises(CodecError, match="stream was made by codec ffffffffffffffff, known here: "):
        codecs.by_id(b"\xff" * 8)


def test_a_missing_file_is_named(codec_copy: Path) -> None:
    (codec_copy / ENTROPY).unlink()
    with pytest.raises(CodecError, match=f"codec accelerator lacks {ENTROPY}: No such file or directory in "):
        _ = Codec(codec_copy).coder


def test_tables_that_are_no_tables_are_refused(codec_copy: Path) -> None:
    (codec_copy / ENTROPY).write_bytes(b"PK\x03\x04 nonsense")
    described = json.loads((codec_copy / "manifest.json").read_text(encoding="utf-8"))
    described["files"][ENTROPY] = sha256(b"PK\x03\x04 nonsense")
    (codec_copy / "manifest.json").write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(CodecError, match=f"{ENTROPY} is no entropy model: .*; copy it again"):
        _ = Codec(codec_copy).coder


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "a", "id": "xyz"}', "\x00"])
def test_a_broken_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(CodecError, match=r"cannot read .*manifest.json: .*; copy the codec folder again"):
        Codec(tmp_path)
