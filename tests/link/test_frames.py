"""Frames: any split of the bytes gives the same frames, and no noise raises or piles up."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import LinkError
from heliograph.link.wire.frames import MAX_BODY, MAX_ENCODED, Corrupt, FrameCoder, FrameDecoder, FrameEncoder

CODER = FrameCoder()
bodies = st.lists(st.binary(min_size=1, max_size=600), max_size=8)


def feed(data: bytes, cuts: list[int]) -> list[bytes | Corrupt]:
    decoder, found = FrameDecoder(CODER), []
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for a, b in itertools.pairwise(bounds):
        found += decoder.feed(data[a:b])
    return found


@given(bodies, st.lists(st.integers(0, 10**6), max_size=20))
def test_any_split_gives_the_frames(given_bodies: list[bytes], cuts: list[int]) -> None:
    assert feed(b"".join(map(CODER.encode, given_bodies)), cuts) == given_bodies


@given(bodies, st.binary(max_size=300), st.lists(st.integers(0, 10**6), max_size=20))
def test_frames_after_noise_and_a_delimiter_are_read(
    given_bodies: list[bytes], noise: bytes, cuts: list[int]
) -> None:
    found = feed(noise + b"\0" + b"".join(map(CODER.encode, given_bodies)), cuts)
    assert [f for f in found if isinstance(f, bytes)][-len(given_bodies) or len(found) :] == given_bodies


@given(st.binary(max_size=5000), st.lists(st.integers(0, 10**6), max_size=20))
def test_statuses_do_not_depend_on_the_split(noise: bytes, cuts: list[int]) -> None:
    assert feed(noise, cuts) == feed(noise, [])


def test_each_flipped_bit_is_noticed() -> None:
    encoded = CODER.encode(bytes(range(40)) * 3)
    for bit in range(8 * (len(encoded) - 1)):
        damaged = bytearray(encoded)
        damaged[bit // 8] ^= 1 << bit % 8
        found = feed(bytes(damaged), [])
        assert not [f for f in found if isinstance(f, bytes)], bit


def test_memory_is_bounded_on_a_line_without_delimiters() -> None:
    decoder = FrameDecoder(CODER)
    noise = random.Random(0).randbytes(100_000).replace(b"\0", b"\1")
    for at in range(0, len(noise), 777):
        assert decoder.feed(noise[at : at + 777]) == []
        assert len(decoder._rest) <= MAX_ENCODED
    assert decoder.feed(b"\0") == [Corrupt("longer than a frame may be", 100_000)]
    assert decoder.feed(CODER.encode(b"next")) == [b"next"]


def test_what_is_wrong_is_said() -> None:
    assert feed(b"\x05\x01\0", []) == [Corrupt("not COBS", 2)]
    assert feed(b"\x02\x01\0", []) == [Corrupt("shorter than a frame must be", 2)]
    assert feed(b"\x06\x01\x02\x03\x04\x05\0", []) == [Corrupt("CRC-32C does not fit", 6)]


def test_limits_of_a_frame() -> None:
    assert feed(CODER.encode(b"x" * MAX_BODY), []) == [b"x" * MAX_BODY]
    assert len(CODER.encode(b"x" * MAX_BODY)) <= MAX_ENCODED + 1
    for body in (b"", b"x" * (MAX_BODY + 1)):
        with pytest.raises(ValueError, match="expected 1 to 2048"):
            CODER.encode(body)


def test_without_cobs_the_error_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(LinkError, match=r"pip install .*'cobs>=1.2.1'"):
        FrameCoder()


def test_after_a_silence_a_delimiter_ends_what_noise_began() -> None:
    encoder = FrameEncoder(CODER)
    frame = CODER.encode(b"body")
    assert [encoder.encode(b"body", now) for now in (5.0, 5.05, 5.125, 5.3)] == [
        b"\0" + frame,
        frame,
        frame,
        b"\0" + frame,
    ]
    assert encoder.last == 5.3
