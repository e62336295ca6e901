"""Lost packets: the channel, the means, and what is left of a picture and of a JPEG."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import PacketError
from heliograph.measure import loss
from heliograph.measure.baselines import decode, encode
from heliograph.measure.loss import arriving, cut_jpeg, packets_at, patterns, row
from heliograph.measure.metrics import psnr
from heliograph.packets.loss import Losses
from heliograph.server.decoders import open_decoder

Picture = npt.NDArray[np.uint8]


def test_the_channel_loses_what_it_should() -> None:
    for burst in (1.0, 5.0):
        lost = [not there for seed in range(20) for there in arriving(500, 0.2, burst, seed)]
        begun = sum(b and not a for a, b in zip([False, *lost], lost, strict=False))
        assert np.mean(lost) == pytest.approx(0.2, abs=0.02)
        assert sum(lost) / begun == pytest.approx(max(burst, 1 / 0.8), rel=0.1)
    assert all(arriving(100, 0.0, 5.0, 1))


def test_rows_by_hand() -> None:
    found = row([[20.0, 30.0], [10.0, 10.0]])
    assert found.psnr == pytest.approx((25 + 10) / 2)
    assert found.below == pytest.approx((25 - 21 + 0) / 2)  # a tenth of the way from 20 to 30


def test_a_cut_jpeg(paint: Callable[[int, int], Picture]) -> None:
    data = encode("jpeg", paint(256, 192), 50)
    whole, half = cut_jpeg(data), cut_jpeg(data[: len(data) * 4 // 5])
    assert whole is not None
    assert half is not None
    assert np.array_equal(whole[:8], half[:8])
    assert not np.array_equal(whole[-8:], half[-8:])
    assert cut_jpeg(data[:20]) is None


def test_draws_and_packets_by_hand(paint: Callable[[int, int], Picture]) -> None:
    assert packets_at(0.5, paint(160, 100), 100) == 10  # 8,000 bits
    assert packets_at(0.52, paint(33, 17), 256) == 0
    drawn = patterns(40, 0.2, 5.0, 3, 4)
    assert drawn == [arriving(40, 0.2, 5.0, 3000 + seed) for seed in range(4)]
    assert patterns(2, 0.0, 1.0, 3, 4) == [[True, True]]


@pytest.fixture(scope="module")
def sent(codec: Codec, paint: Callable[[int, int], Picture]) -> loss.Sent:
    """A picture in 20 packets of 64 bytes."""
    encoder, picture = Encoder(codec), paint(160, 112)

    def within(most: int) -> bytes:
        return encoder.pack(picture, Rate(max_bytes=most), whole=True).data

    return loss.send(within, codec, open_decoder("preview", codec).decode, picture, 20, 64, Losses(0.1))


def test_what_is_left_of_a_picture(sent: loss.Sent, codec: Codec) -> None:
    assert len(sent.packets) == 20
    all_there, none = [True] * 20, [False] * 20
    whole = open_decoder("preview", codec).decode(decode_stream(sent.stream, codec))
    assert np.array_equal(sent.show(all_there), whole)
    assert sent.ours(all_there) == pytest.approx(psnr(sent.picture, whole))
    assert np.array_equal(sent.show(none), np.full_like(sent.picture, 128))
    assert sent.ours(none) == pytest.approx(psnr(sent.picture, np.full_like(sent.picture, 128)))
    late = [n >= 2 for n in range(20)]  # two of twenty are lost, whichever: planned for
    assert sent.ours(late) == pytest.approx(sent.ours(late[::-1]))
    assert sent.ours(none) < sent.ours([n < 10 for n in range(20)]) <= sent.ours(late)


def test_a_jpeg_is_shown_up_to_the_first_packet_that_is_lost(sent: loss.Sent) -> None:
    assert len(sent.jpeg) <= 20 * sent.carried
    assert np.array_equal(sent.show_jpeg([True] * 20), decode(sent.jpeg))
    first = [n != 0 for n in range(20)]
    assert np.array_equal(sent.show_jpeg(first), np.full_like(sent.picture, 128))
    later = [n != 15 for n in range(20)]
    shown = cut_jpeg(sent.jpeg[: 15 * sent.carried])
    assert shown is not None
    assert np.array_equal(sent.show_jpeg(later), shown)
    assert sent.as_jpeg(first) < sent.as_jpeg(later) < sent.as_jpeg([True] * 20)


def test_no_packets_are_refused(codec: Codec, paint: Callable[[int, int], Picture]) -> None:
    with pytest.raises(PacketError, match="0 packets, expected 1 to"):
        loss.send(lambda most: b"", codec, lambda decoded: paint(8, 8), paint(8, 8), 0, 256, Losses(0.1))
