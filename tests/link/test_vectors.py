"""The bytes of LINK.md: vectors.json is the contract, and a page's example is what the code writes."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.link import make_vectors

import heliograph
from heliograph.link.one_way.receiver import OneWayReceiver
from heliograph.link.transfer.store import Store
from heliograph.link.wire import keys, session
from heliograph.link.wire.frames import Corrupt, FrameCoder, FrameDecoder
from heliograph.link.wire.messages import parse

PAGE = Path(heliograph.__file__).with_name("LINK.md").read_text(encoding="utf-8")


def test_the_code_writes_the_vectors(vectors: Any) -> None:
    assert make_vectors.build() == vectors


def test_frames(vectors: Any) -> None:
    for vector in vectors["frames"]:
        encoded = bytes.fromhex(vector["encoded"])
        assert FrameDecoder(FrameCoder()).feed(encoded) == [bytes.fromhex(vector["body"])]
        assert encoded.index(0) == len(encoded) - 1
    for text in vectors["corrupt"]:
        assert isinstance(FrameCoder().decode(bytes.fromhex(text)), Corrupt), text


def test_messages(vectors: Any) -> None:
    for name, text in vectors["messages"].items():
        assert parse(bytes.fromhex(text)) == make_vectors.MESSAGES[name], name


def test_illegal_messages(vectors: Any) -> None:
    for name, text in vectors["illegal_messages"].items():
        assert parse(bytes.fromhex(text)) is None, name


def test_sessions(vectors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = vectors["sessions"]
    for mode, key in (("plain", None), ("keyed", bytes.fromhex(given_["key"]))):
        monkeypatch.setattr("secrets.token_bytes", lambda n: bytes.fromhex(given_["sender_nonce"]))
        sender = session.Initiator(given_["device"], key)
        assert sender.hello.hex() == given_[mode]["hello"]
        assert isinstance(sender.take(bytes.fromhex(given_[mode]["welcome"])), session.Welcomed)
        if key:
            found = sender.take(bytes.fromhex(given_["sealed_from_receiver"]["body"]))
            assert isinstance(found, session.Packet)
            assert found.message.to_bytes().hex() == given_["sealed_from_receiver"]["message"]


def test_sealed_packets_open_with_the_derived_keys(vectors: Any) -> None:
    aead = pytest.importorskip("cryptography.hazmat.primitives.ciphers.aead")
    hkdf = pytest.importorskip("cryptography.hazmat.primitives.kdf.hkdf")
    hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
    given_ = vectors["sessions"]
    salt = bytes.fromhex(given_["sender_nonce"] + given_["receiver_nonce"])
    info = b"heliograph link 1 session " + given_["device"].encode()
    both = hkdf.HKDF(hashes.SHA256(), 64, salt, info).derive(bytes.fromhex(given_["key"]))
    for half, name in ((both[:32], "sealed_from_sender"), (both[32:], "sealed_from_receiver")):
        body, counter = bytes.fromhex(given_[name]["body"]), given_[name]["counter"]
        nonce = counter.to_bytes(12, "little")
        opened = aead.ChaCha20Poly1305(half).decrypt(nonce, body[7:], body[:7])
        assert opened.hex() == given_[name]["message"]


def test_a_proof_is_the_standard_s_hmac_of_the_nonce(vectors: Any) -> None:
    given_ = vectors["sessions"]
    witness = hashlib.sha256(b"heliograph link 1 witness" + bytes.fromhex(given_["stream"])).digest()
    assert witness.hex() == given_["witness"]
    proof = hmac.new(witness, bytes.fromhex(given_["sender_nonce"]), "sha256").digest()[:16]
    assert proof.hex() == given_["proof"]
    assert vectors["messages"]["done"].endswith(given_["proof"])


def test_one_way(vectors: Any, tmp_path: Path) -> None:
    given_ = vectors["one_way"]
    coder = FrameCoder()
    receiver = OneWayReceiver(Store(tmp_path))
    for text in given_["packets"]:
        receiver.receive(coder.encode(bytes.fromhex(text)), 0.0)
    receiver.close()
    assert (tmp_path / "river-1/a.helio").read_bytes() == make_vectors.STREAM
    keyed, key = bytes.fromhex(given_["keyed_packet"]), bytes.fromhex(given_["key"])
    assert key == keys.derive(make_vectors.KEY, b"", "heliograph packets 1")
    assert keyed[-8:] == hmac.new(key, keyed[1:-8], "sha256").digest()[:8]
    assert given_["word"] == "21" + "2c03000003" + given_["word"][-2:]


def test_the_page_s_example() -> None:
    lines = re.findall(r"^((?:[0-9a-f]{2} )+[0-9a-f]{2})  +", PAGE.split("## 7")[1], re.MULTILINE)
    body, crc, line = (bytes.fromhex(text) for text in lines)
    half = session._Half(0x1234, None, None, up=True)
    half._next = 5
    assert half.pack(make_vectors.MESSAGES["ping"]) == body
    assert FrameCoder().encode(body) == line
    from crc32c import crc32c

    assert crc32c(body).to_bytes(4, "little") == crc


def test_the_page_s_numbers() -> None:
    from heliograph.link.wire import frames, messages, names

    assert f"1 to {frames.MAX_BODY} bytes" in PAGE
    assert f"({frames.MAX_ENCODED} bytes)" in PAGE
    assert messages.MAX_RANGES == 64
    assert (names.MAX_DEVICE, names.MAX_NAME, names.MAX_STREAM) == (32, 96, 2**26)


@given(st.binary(max_size=120))
def test_parsing_never_raises_and_what_it_takes_is_written_the_same(data: bytes) -> None:
    message = parse(data)
    assert message is None or message.to_bytes() == data
