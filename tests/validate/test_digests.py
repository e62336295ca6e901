"""Streams made elsewhere decode to the symbols their maker recorded, or the difference is found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.cli import main
from heliograph.codec import codec as codec_module
from heliograph.codec.codec import Codec
from heliograph.codec.stream import decode_stream
from heliograph.errors import StreamError
from heliograph.validate import digests

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def made(photo: Path, codec_folder: Path, tmp_path: Path) -> Path:
    """A folder with a stream and its digest."""
    folder = tmp_path / "made"
    command = ["encode", str(photo), "-o", f"{folder}/", "--codec", str(codec_folder), "--with-digest"]
    assert main(command) == 0
    return folder


def test_a_stream_is_as_recorded(made: Path, codec: Codec) -> None:
    (found,) = digests.check_folder(made, codec)
    assert found.problem == ""
    assert "numpy" in found.made_by
    facts = json.loads((made / "photo.helio.digest").read_text(encoding="utf-8"))
    assert facts["codec"] == codec.id.hex()


def test_the_digest_is_over_every_value(made: Path, codec: Codec) -> None:
    decoded = decode_stream((made / "photo.helio").read_bytes(), codec)
    values = decoded.values.copy()
    values[-1, -1, -1] += 1
    assert digests.digest(replace(decoded, values=values)) != digests.digest(decoded)
    assert digests.digest(replace(decoded, level=decoded.level + 1)) != digests.digest(decoded)


def test_the_numpy_coder_reads_what_the_c_core_recorded(
    made: Path, codec_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec_module, "load_core", lambda: None)
    plain = Codec(codec_folder)
    assert not plain.coder.is_native
    (found,) = digests.check_folder(made, plain)
    assert found.problem == ""


def test_a_decoder_that_reads_other_values_is_found(
    made: Path, codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(data: bytes, extra: Codec | None = None) -> object:
        decoded = decode_stream(data, extra)
        return replace(decoded, values=np.roll(decoded.values, 1, axis=0))

    monkeypatch.setattr(digests, "decode_stream", wrong)
    (found,) = digests.check_folder(made, codec)
    assert "its maker recorded" in found.problem


def test_streams_that_changed_or_have_no_digest_are_found_and_the_exit_code_says_so(
    made: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray((made / "photo.helio").read_bytes())
    data[-1] ^= 1
    (made / "changed.helio").write_bytes(bytes(data))
    shutil.copy(made / "photo.helio.digest", made / "changed.helio.digest")
    (made / "bare.helio").write_bytes(bytes(data))
    assert main(["validate", "--codec", str(codec_folder), "--streams", str(made)]) == 1
    out = capsys.readouterr().out
    assert "streams: 1 of 3 as recorded" in out
    assert "changed.helio: the stream is not the one that the digest was taken of" in out
    assert "bare.helio: cannot read bare.helio.digest" in out
    assert "encode with --with-digest" in out


def test_pipes_and_vast_files_are_found_and_not_read(made: Path) -> None:
    digest = (made / "photo.helio.digest").read_bytes()
    for name in ("pipe", "vast", "pipe-digest"):
        (made / f"{name}.helio").touch()
        (made / f"{name}.helio.digest").write_bytes(digest)
    for name in ("pipe.helio", "pipe-digest.helio.digest"):
        (made / name).unlink()
        os.mkfifo(made / name)
    with (made / "vast.helio").open("wb") as handle:
        handle.truncate(1 << 40)
    problems = {Path(found.stream).stem: found.problem for found in digests.check_folder(made)}
    assert "it is a pipe, a socket or a device, not a file" in problems["pipe"]
    assert "cannot read pipe-digest.helio.digest" in problems["pipe-digest"]
    assert f"it has {1 << 40} bytes, expected at most" in problems["vast"]


def test_all_as_recorded_is_exit_code_0(made: Path, codec_folder: Path) -> None:
    assert main(["validate", "--codec", str(codec_folder), "--streams", str(made)]) == 0


def test_a_folder_without_streams_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r"no \.helio streams in .*--with-digest"):
        digests.check_folder(tmp_path)


def test_the_other_environment_agrees(photo: Path, codec_folder: Path, codec: Codec, tmp_path: Path) -> None:
    python = ROOT / ".venv-device/bin/python"
    if not python.exists():
        pytest.skip("no .venv-device: scripts/setup makes it")
    out = tmp_path / "device"
    program = "import sys; from heliograph.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [
        python,
        "-c",
        program,
        "encode",
        photo,
        "-o",
        f"{out}/",
        "--codec",
        codec_folder,
        "--with-digest",
    ]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (found,) = digests.check_folder(out, codec)
    assert found.problem == ""
    assert "tflite-runtime" in found.made_by or "litert" in found.made_by
