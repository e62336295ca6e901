"""Key files: only their owner's, only whole ones; and derivation by the standard."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from heliograph.errors import LinkError
from heliograph.link.wire import keys


def test_a_new_key_is_read_back_and_nobody_else_may(tmp_path: Path) -> None:
    keys.new_key_file(tmp_path / "a.key")
    keys.new_key_file(tmp_path / "b.key")
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    assert keys.read_key_file(tmp_path / "a.key") != keys.read_key_file(tmp_path / "b.key")
    assert len(keys.read_key_file(tmp_path / "a.key")) == keys.KEY_BYTES


def test_a_key_is_not_overwritten(tmp_path: Path) -> None:
    keys.new_key_file(tmp_path / "a.key")
    before = (tmp_path / "a.key").read_bytes()
    with pytest.raises(LinkError, match="exists already and devices may hold it"):
        keys.new_key_file(tmp_path / "a.key")
    assert (tmp_path / "a.key").read_bytes() == before
    with pytest.raises(LinkError, match=r"cannot write key file .*: No such file or directory"):
        keys.new_key_file(tmp_path / "none/a.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_files_others_may_use_are_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.key"
    keys.new_key_file(path)
    path.chmod(mode)
    with pytest.raises(LinkError, match=rf"can be read or written by others \(mode {mode:04o}.*chmod 600"):
        keys.read_key_file(path)


@pytest.mark.parametrize(
    "text", ["", "secret", "heliograph-key-1 00ff", "heliograph-key-1 " + "g" * 64, "x" * 5000]
)
def test_other_files_are_no_keys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(LinkError, match="is no key file: expected one line"):
        keys.read_key_file(path)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="heliograph send --new-key"):
        keys.read_key_file(tmp_path / "none.key")


def test_derivation_is_rfc_5869() -> None:
    hkdf = pytest.importorskip("cryptography.hazmat.primitives.kdf.hkdf")
    hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
    for salt, size in ((b"", 32), (b"salt" * 8, 64), (bytes(13), 100)):
        expected = hkdf.HKDF(hashes.SHA256(), size, salt, b"purpose").derive(b"k" * 32)
        assert keys.derive(b"k" * 32, salt, "purpose", size) == expected


def test_without_cryptography_the_error_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(
        LinkError, match=r"--key-file needs the package cryptography .*pip install .*'cryptography>=42'"
    ):
        keys.Seal(bytes(32))
