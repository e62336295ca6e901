"""A codec folder from anyone: a codec or a CodecError, nothing else, with bounded memory and without waiting."""

from __future__ import annotations

import copy
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.codec import codec as module
from heliograph.codec.codec import ENCODER, ENTROPY, MANIFEST, SERVER, Codec, codec_id, sha256
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.manifest import MOST_BYTES, check_name
from heliograph.errors import CodecError

Models = Callable[[int], EntropyModel]
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def folder(models: Models, tmp_path: Path) -> Path:
    """A codec with an encoder of no use and a random entropy model."""
    folder = tmp_path / "codec"
    folder.mkdir()
    write(folder, models(1).to_bytes())
    return folder


def write(folder: Path, entropy: bytes) -> None:
    """Write a codec whose hashes and id fit its files."""
    encoder = b"no network"
    manifest = {
        "name": "stranger",
        "id": codec_id(encoder, entropy).hex(),
        "tile": 64,
        "channels": 24,
        "files": {ENCODER: sha256(encoder), ENTROPY: sha256(entropy)},
        "encoder": {"kmac_per_pixel": 0.8, "parameters": 100},
        "server_decoder": {"widths": [16, 16, 8, 8], "blocks": [1, 1, 1, 1]},
    }
    (folder / ENCODER).write_bytes(encoder)
    (folder / ENTROPY).write_bytes(entropy)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def change(folder: Path, **entries: object) -> None:
    """Change entries of a manifest."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(manifest | entries), encoding="utf-8")


def use(folder: Path) -> None:
    """Do with a codec what programs do before they run its networks."""
    codec = Codec(folder)
    for name in codec.hashes:
        codec.read(name)
    assert codec.encoder
    assert codec.coder.model.channels == codec.channels


def use_or_not(folder: Path) -> None:
    """Hold that a folder is a codec or a CodecError of one line, in 8 MiB."""
    said = ""
    tracemalloc.start()
    try:
        use(folder)
    except CodecError as error:
        said = str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in said
    assert peak < 8 << 20


@pytest.mark.parametrize(
    "name",
    [
        "../.bashrc",
        "/etc/passwd",
        "a/b",
        "..",
        ".",
        "",
        ".bashrc",
        "a\\b",
        "a\nb",
        "a\0b",
        "x" * 200,
        "ä.bin",
        ".hidden.bin",
        "../a.bin",
        "Makefile",
        MANIFEST,
    ],
)
def test_a_name_that_is_no_plain_name_of_a_file_is_refused(name: str, folder: Path) -> None:
    change(folder, files={ENCODER: "0" * 64, name: "0" * 64})
    with pytest.raises(
        CodecError, match=r"cannot read .*manifest.json: 'files' .*; copy the codec folder again"
    ):
        Codec(folder)


@pytest.mark.parametrize(
    ("entry", "value", "text"),
    [
        ("tile", float("inf"), "Infinity is no number"),
        ("encoder", {"middle": float("-inf")}, "-Infinity is no number"),
        ("recipe", {"decoder_continued": 3}, "'decoder_continued' of 'recipe' is no list"),
        ("tile", 1e300, "'tile' is no multiple of 32 from 32 to 1024"),
        ("tile", -256, "'tile' is"),
        ("tile", True, "'tile' is"),
        ("tile", 33, "'tile' is"),
        ("channels", 0, "'channels' is not 1 to 512"),
        ("channels", 1 << 40, "'channels' is"),
        ("id", "ab cd ef 01 23 45 67 89", "'id' is not 16 hexadecimal digits"),
        ("id", 7, "'id' is"),
        ("name", "x */ int main(void) { /*", "'name' is no name of a codec"),
        ("name", "\x1b[2J", "'name' is"),
        ("name", "a\ud800", "'name' is"),
        ("architecture", ["accelerator"], "'architecture' is no name"),
        ("encoder", [], "'encoder' is no object"),
        ("encoder", {"kmac_per_pixel": "<script>"}, "'kmac_per_pixel' of 'encoder' is no number from 0"),
        (
            "encoder",
            {"latent_copies": [24] * 3},
            "'latent_copies' are not a list of latents, each from 0 and below 24",
        ),
        ("encoder", {"latent_copies": 3}, "'latent_copies' are not"),
        ("encoder", {"latent_copies": [True]}, "'latent_copies' are not"),
        ("encoder", {"latent_copies": [2, 1]}, "'latent_copies' does not rise"),
        (
            "encoder",
            {"latent_copies": [1, 1]},
            "'latent_copies' does not rise, or has a latent neither once nor",
        ),
        ("server_decoder", {"parameters": -1}, "'parameters' of 'server_decoder' is"),
        ("files", [], "'files' are not at most 64 plain names"),
        ("files", {ENCODER: "g" * 64}, "'files' are"),
        ("files", {f"file{n}.bin": "0" * 64 for n in range(65)}, "'files' are"),
    ],
)
def test_an_entry_that_cannot_be_is_named(entry: str, value: object, text: str, folder: Path) -> None:
    change(folder, **{entry: value})
    with pytest.raises(
        CodecError, match=rf"cannot read .*manifest.json: {text}.*; copy the codec folder again"
    ):
        Codec(folder)


def test_a_number_beyond_all_is_refused(folder: Path) -> None:
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    (folder / MANIFEST).write_text(text.replace("0.8", "1e999"), encoding="utf-8")
    with pytest.raises(CodecError, match="1e999 is no number"):
        Codec(folder)


@pytest.mark.parametrize("deep", [102, 900, 100_000])
def test_a_manifest_nested_deeply_is_refused(deep: int, folder: Path) -> None:
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    (folder / MANIFEST).write_text(
        text[:-1] + f', "recipe": {{"a": {"[" * deep}{"]" * deep}}}}}', encoding="utf-8"
    )
    with pytest.raises(CodecError, match=r"cannot read .*manifest.json: .*; copy the codec folder again"):
        Codec(folder)


def test_a_manifest_without_end_is_refused_unread(folder: Path) -> None:
    with (folder / MANIFEST).open("ab") as handle:
        handle.truncate(1 << 40)
    tracemalloc.start()
    with pytest.raises(CodecError, match=f"it has {1 << 40} bytes, expected at most {MOST_BYTES}; copy"):
        Codec(folder)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("name", [MANIFEST, ENCODER, ENTROPY])
def test_nothing_is_waited_for_and_no_device_is_read(name: str, folder: Path) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(CodecError, match="it is a pipe, a socket or a device, not a file"):
        use(folder)
    for device in ("/dev/zero", "/dev/tty"):
        (folder / name).unlink()
        (folder / name).symlink_to(device)
        with pytest.raises(CodecError, match=r"it is a pipe, a socket or a device|No such device"):
            use(folder)
    (folder / name).unlink()
    (folder / name).symlink_to("/proc/self/mountinfo")  # a file of 0 bytes that has some
    with pytest.raises(CodecError, match="it became longer while it was read"):
        use(folder)
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(CodecError, match="Is a directory"):
        use(folder)


@pytest.mark.parametrize("name", [ENCODER, ENTROPY])
def test_a_file_of_a_codec_has_a_bound(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 24)
    with (folder / name).open("ab") as handle:
        handle.truncate(1 << 40)
    with pytest.raises(CodecError, match=f"lacks {name}: it has {1 << 40} bytes, expected at most"):
        use(folder)


def test_a_link_is_followed_and_what_is_behind_it_must_have_the_hash(folder: Path, tmp_path: Path) -> None:
    (folder / ENCODER).rename(tmp_path / "elsewhere")
    (folder / ENCODER).symlink_to(tmp_path / "elsewhere")
    use(folder)
    (tmp_path / "elsewhere").write_bytes(b"a secret")
    with pytest.raises(CodecError, match="was changed: SHA-256 is"):
        use(folder)


def test_a_file_that_the_manifest_does_not_name_is_not_read(folder: Path) -> None:
    os.mkfifo(folder / SERVER)
    with pytest.raises(CodecError, match=f"the manifest of codec stranger names no {SERVER}"):
        Codec(folder).read(SERVER)


@pytest.mark.parametrize("name", ["accelerator", "Küche (north), 2nd", "7", "a.b+c-d_e"])
def test_names_of_codecs(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a\n", "*/", "a" * 101])
def test_no_names_of_codecs(name: str) -> None:
    with pytest.raises(CodecError, match="expected a letter or digit and up to 99"):
        check_name(name)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80) | st.just("0" * 64),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
    max_leaves=10,
)


@in_one_folder
@given(data=st.data(), value=values)
def test_any_value_in_any_place_of_a_manifest(data: st.DataObject, value: object, folder: Path) -> None:
    whole = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest: Any = copy.deepcopy(whole)
    inner = manifest
    while True:
        key = data.draw(st.sampled_from(sorted(inner)) | st.text(max_size=20))
        if not isinstance(inner.get(key), dict) or data.draw(st.booleans()):
            break
        inner = inner[key]
    inner[key] = value
    check_manifest(folder, json.dumps(manifest).encode(), json.dumps(whole).encode())


@in_one_folder
@given(place=st.floats(0, 1), size=st.integers(0, 9), put=st.binary(max_size=9))
def test_any_bytes_in_any_place_of_a_manifest(place: float, size: int, put: bytes, folder: Path) -> None:
    whole = (folder / MANIFEST).read_bytes()
    at = int(place * len(whole))
    check_manifest(folder, whole[:at] + put + whole[at + size :], whole)


def check_manifest(folder: Path, changed: bytes, whole: bytes) -> None:
    (folder / MANIFEST).write_bytes(changed)
    use_or_not(folder)
    (folder / MANIFEST).write_bytes(whole)


@in_one_folder
@given(place=st.floats(0, 1), size=st.integers(0, 9), put=st.binary(max_size=9))
def test_any_bytes_in_any_place_of_an_entropy_model(
    place: float, size: int, put: bytes, folder: Path, models: Models
) -> None:
    whole = models(1).to_bytes()
    # Half of all places are in the first 64 bytes, where the sizes are.
    at = int(128 * place) if place < 0.5 else int((2 * place - 1) * len(whole))
    write(folder, whole[:at] + put + whole[at + size :])
    use_or_not(folder)
