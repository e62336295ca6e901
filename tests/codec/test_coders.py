"""Slices: numpy and C give the same bytes and the same values, whatever the bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec import rans
from heliograph.codec.coder import Coded, Coder, DecodedSlice, Reference
from heliograph.codec.contexts import steps_by_position
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.native_coder import NativeCoder, load_core
from heliograph.codec.numpy_coder import NumpyCoder
from heliograph.codec.values import Values
from heliograph.errors import StreamError

Coders = Callable[..., tuple[Coder, Coder]]
Latents = Callable[[int, int, int, float], Values]


@dataclass(frozen=True)
class Slice:
    """Latents of a seed, how they are coded, and how far from them a reference is, if there is one."""

    seed: int
    rows: int
    columns: int
    scale: float
    level: int
    merged: bool
    noise: float | None


slices = st.builds(
    Slice,
    seed=st.integers(0, 1000),
    rows=st.integers(1, 13),
    columns=st.integers(1, 13),
    scale=st.sampled_from([0.3, 3.0, 60.0]),
    level=st.integers(0, 1023),
    merged=st.booleans(),
    noise=st.sampled_from([None, 0.0, 20.0, 900.0]),
)
MERGED = {True: 1 << 30, False: 0}  # bytes below which a slice is one segment


def exact(coder: Coder, latents: Values) -> npt.NDArray[np.int64]:
    """Return latents in coding order."""
    return latents[..., coder.model.order].astype(np.int64)


def refer(coder: Coder, latents: Values, noise: float | None) -> Reference | None:
    """Return a reference so far from the latents, in 1/16, at a level of its own; None without noise."""
    if noise is None:
        return None
    r = np.random.default_rng(7)
    values = exact(coder, latents) + np.round(r.laplace(0, noise, latents.shape)).astype(np.int64)
    return Reference(np.clip(values, -2048, 2047).astype(np.int16), 611)


def same(a: Coded, b: Coded) -> bool:
    """Return whether two coders did the same."""
    return a.segments == b.segments and a.bits == b.bits and np.array_equal(a.values, b.values)


@settings(deadline=None, max_examples=80)
@given(rounding=st.integers(0, 128), strength=st.sampled_from([0, 1, 20, 1024]), piece=slices)
def test_c_and_numpy_code_the_same_and_decoding_inverts_it(
    rounding: int,
    strength: int,
    piece: Slice,
    coders: Coders,
    latents: Latents,
) -> None:
    slow, fast = coders(piece.seed % 4)
    picture = latents(piece.seed, piece.rows, piece.columns, piece.scale)
    reference = refer(slow, picture, piece.noise)
    a, b = (
        coder.encode(
            picture,
            piece.level,
            rounding=rounding,
            strength=strength,
            merge_below=MERGED[piece.merged],
            reference=reference,
        )
        for coder in (slow, fast)
    )
    assert same(a, b)
    assert len(a.segments) == (1 if piece.merged else 3)
    for coder in (slow, fast):
        found = coder.decode(
            a.segments, piece.rows, piece.columns, piece.level, merged=piece.merged, reference=reference
        )
        assert np.array_equal(found.values, a.values)
    only = [
        coder.encode(
            picture,
            piece.level,
            rounding=rounding,
            strength=strength,
            reference=reference,
            only_estimate=True,
        )
        for coder in (slow, fast)
    ]
    assert same(*only)
    assert only[0].segments == []
    assert only[0].bits == a.bits
    assert np.array_equal(only[0].values, a.values)


@settings(deadline=None, max_examples=80)
@given(place=st.floats(0, 0.999), share=st.floats(0, 0.999), change=st.integers(0, 255), piece=slices)
def test_c_and_numpy_agree_on_changed_and_cut_bytes(
    place: float,
    share: float,
    change: int,
    piece: Slice,
    coders: Coders,
    latents: Latents,
) -> None:
    slow, fast = coders(piece.seed % 4)
    picture = latents(piece.seed, piece.rows, piece.columns, piece.scale)
    reference = refer(slow, picture, piece.noise)
    coded = fast.encode(
        picture, piece.level, rounding=128, strength=0, merge_below=MERGED[piece.merged], reference=reference
    )
    last = int(share * len(coded.segments))
    damaged = bytearray(coded.segments[last])
    if damaged:
        damaged[int(place * len(damaged))] ^= change
    given_segments = [*coded.segments[:last], bytes(damaged[: int(share * 2 * len(damaged))])]

    def attempt(coder: Coder) -> DecodedSlice | str:
        try:
            return coder.decode(
                given_segments,
                piece.rows,
                piece.columns,
                piece.level,
                merged=piece.merged,
                cut=share < 0.5,
                reference=reference,
            )
        except StreamError:
            return "refused"

    a, b = attempt(slow), attempt(fast)
    if isinstance(a, str) or isinstance(b, str):
        assert a == b
    else:
        assert np.array_equal(a.values, b.values)
        assert a.read == b.read


@settings(deadline=None, max_examples=40)
@given(rounding=st.integers(0, 128), strength=st.integers(0, 40), piece=slices)
def test_only_in_groups_set_to_zero_is_a_value_more_than_a_step_from_its_latent(
    rounding: int,
    strength: int,
    piece: Slice,
    coders: Coders,
    latents: Latents,
) -> None:
    _, coder = coders(piece.seed % 4)
    picture = latents(piece.seed, piece.rows, piece.columns, piece.scale)
    coded = coder.encode(picture, piece.level, rounding=rounding, strength=strength)
    far = np.abs(exact(coder, picture) - coded.values) > steps_by_position(
        coder.model, coded.values, piece.level
    )
    if not strength:
        assert not far.any()
    for group in (g for layer in (1, 2) for g in coder.model.groups(layer)):  # what is expected there is 0
        in_one = far[..., group].any(axis=-1)
        assert not coded.values[..., group][in_one].any()


def test_a_group_is_set_to_zero_where_its_flag_saves_more(coders: Coders) -> None:
    """One position, one residual of 1 in the last group: an error of 1/4 instead of 9/16 squared steps."""
    for coder in coders(1):
        level = 400
        picture = np.zeros((1, 1, 24), np.int16)
        step = steps_by_position(coder.model, picture, level)[0, 0]
        last = int(coder.model.order[23])
        picture[0, 0, last] = 16 * round(0.75 * step[23] / 16)
        plain = coder.encode(picture, level, rounding=128, strength=0)
        assert plain.values[0, 0, 23] == step[23]
        strengths = [
            s for s in range(1, 400) if coder.encode(picture, level, rounding=128, strength=s).values.any()
        ]
        bits = (plain.bits[2] - coder.encode(0 * picture, level, rounding=128, strength=0).bits[2]) / 1024
        e = int(picture[0, 0, last]) / int(step[23])
        assert strengths[0] == pytest.approx(bits / (2 * e - 1), abs=1)
        assert strengths == list(range(strengths[0], 400))


def test_latents_may_lie_between_units(coders: Coders) -> None:
    """What copies of a latent have in common: halves and quarters of a unit, which both coders tell apart."""
    r = np.random.default_rng(6)
    picture = (4 * r.integers(-40, 41, (6, 7, 24))).astype(np.int16)
    for strength in (0, 20):
        slow, fast = (c.encode(picture, 1023, rounding=128, strength=strength) for c in coders(2))
        assert same(slow, fast)
    whole = coders(2)[1].encode(picture // 16 * 16, 1023, rounding=128, strength=20)
    assert not np.array_equal(whole.values, fast.values)


def test_latents_beyond_their_range_or_of_another_type_are_refused(coders: Coders) -> None:
    for coder in coders(1):
        for wrong in (np.full((1, 1, 24), 2048, np.int16), np.full((1, 1, 24), -2049, np.int16)):
            with pytest.raises(ValueError, match="out of range"):
                coder.encode(wrong, 500, rounding=128, strength=0)
        with pytest.raises(ValueError, match="out of range"):
            coder.encode(np.zeros((1, 1, 24), np.int8), 500, rounding=128, strength=0)


def test_rounding_to_nearest_leaves_half_a_step(coders: Coders, latents: Latents) -> None:
    for coder in coders(3):
        picture = latents(3, 9, 9, 30.0)
        for noise in (None, 20.0):
            coded = coder.encode(
                picture, 500, rounding=128, strength=0, reference=refer(coder, picture, noise)
            )
            error = np.abs(exact(coder, picture) - coded.values)
            assert np.all(2 * error <= steps_by_position(coder.model, coded.values, 500))


def test_rdoq_lowers_bits_and_error_together_weighed(coders: Coders, latents: Latents) -> None:
    coder, level = coders(2)[1], 600
    picture = latents(4, 12, 16, 20.0)

    def cost(strength: int) -> float:
        coded = coder.encode(picture, level, rounding=128, strength=strength)
        error = (exact(coder, picture) - coded.values) / steps_by_position(coder.model, coded.values, level)
        return sum(coded.bits) / 1024 + 8 * float(np.square(error).sum())

    assert cost(8) < cost(0)


def test_a_longer_prefix_of_a_segment_gives_more_symbols(coders: Coders, latents: Latents) -> None:
    for coder in coders(2):
        coded = coder.encode(
            latents(1, 12, 12, 20.0), 600, rounding=128, strength=0, merge_below=MERGED[True]
        )
        (segment,) = coded.segments
        whole = sum(coder.decode([segment], 12, 12, 600, merged=True).read)
        read = [
            sum(coder.decode([segment[:n]], 12, 12, 600, merged=True, cut=True).read)
            for n in range(0, len(segment) + 1, 50)
        ]
        assert read == sorted(read)
        assert read[0] == 0
        assert whole > read[-1] > 0.9 * whole * (1 - 50 / len(segment))


def test_what_is_lost_is_the_references_and_what_is_empty_is_expected(
    coders: Coders, latents: Latents
) -> None:
    for coder in coders(1):
        picture = latents(2, 9, 7, 20.0)
        reference = refer(coder, picture, 200.0)
        assert reference is not None
        coded = coder.encode(picture, 700, rounding=128, strength=0, reference=reference)
        one, two, three = coded.segments
        decode = partial(coder.decode, rows=9, columns=7, level=700, merged=False, reference=reference)
        nothing = decode([])
        assert np.array_equal(nothing.values, reference.values)
        assert nothing.read == (0, 0, 0)
        first = decode([one])
        assert np.array_equal(first.values[..., :6], coded.values[..., :6])
        assert np.array_equal(first.values[..., 6:], reference.values[..., 6:])
        half = decode([one[: len(one) // 2]], cut=True)
        known, lost = half.values == coded.values, half.values == reference.values
        assert (known | lost)[..., :6].all()
        assert 0.2 < known[..., :6].mean() < 0.8
        assert np.array_equal(half.values[..., 6:], reference.values[..., 6:])
        thinned = decode([one, b"", b""])
        assert np.array_equal(thinned.values[..., :6], coded.values[..., :6])
        assert not np.array_equal(thinned.values[..., 6:], reference.values[..., 6:])
        assert np.array_equal(decode([one, two, three]).values, coded.values)


def test_without_a_reference_what_is_lost_is_expected(coders: Coders, latents: Latents) -> None:
    for coder in coders(1):
        coded = coder.encode(latents(2, 9, 7, 20.0), 700, rounding=128, strength=0)
        first = coder.decode(coded.segments[:1], 9, 7, 700, merged=False).values
        assert np.array_equal(first[..., :6], coded.values[..., :6])
        assert not first[..., 6:].any()
        segment = coded.segments[0]
        half = coder.decode([segment[: len(segment) // 2]], 9, 7, 700, merged=False, cut=True).values
        assert half[1::2, ::2, :4].any()  # the last pass was lost: their predicted channels are interpolated
        assert not half[1::2, ::2, 4:].any()


def test_a_cut_among_the_flags_keeps_the_groups_that_are_known_to_be_zero(coders: Coders) -> None:
    """One position, a flag for each of two groups: 0 for the first and 1 for the second, whose residuals are lost."""
    for coder in coders(1):
        picture = np.zeros((1, 1, 24), np.int16)
        picture[..., coder.model.order[4:6]] = 100
        reference = Reference(np.full((1, 1, 24), 3, np.int16), 500)
        coded = coder.encode(picture, 500, rounding=128, strength=0, reference=reference)
        expected = coded.values[0, 0, :4]
        assert not np.array_equal(expected, [3, 3, 3, 3])
        segment = coded.segments[0]
        seen = set()
        for n in range(1, len(segment)):
            found = coder.decode([segment[:n]], 1, 1, 500, merged=False, cut=True, reference=reference)
            seen.add(found.read[0])
            if found.read[0] >= 1:
                assert np.array_equal(found.values[0, 0, :4], expected)
            if found.read[0] < 3:
                assert found.values[0, 0, 4:6].tolist() == [3, 3]
        assert len(seen) > 1


def test_a_callers_mistake_is_no_corrupt_stream(coders: Coders, latents: Latents) -> None:
    picture = latents(1, 4, 4, 20.0)
    text = "a size, level, rounding, strength, count or reference is out of range"
    small = Reference(np.zeros((3, 4, 24), np.int16), 500)
    finer = Reference(np.zeros((4, 4, 24), np.int16), 1024)
    for coder in coders(1):
        segments = coder.encode(picture, 500, rounding=110, strength=0, merge_below=MERGED[True]).segments
        for level, rounding, strength, reference in (
            (1024, 110, 0, None),
            (-1, 110, 0, None),
            (500, 129, 8, None),
            (500, -1, 8, None),
            (500, 110, 1025, None),
            (500, 110, -1, None),
            (500, 110, 8, small),
            (500, 110, 8, finer),
        ):
            with pytest.raises(ValueError, match=text):
                coder.encode(picture, level, rounding=rounding, strength=strength, reference=reference)
        for rows, level, reference in ((0, 500, None), (4, 1024, None), (4, 500, small), (4, 500, finer)):
            with pytest.raises(ValueError, match=text):
                coder.decode(segments, rows, 4, level, merged=True, reference=reference)
        with pytest.raises(ValueError, match=text):
            coder.decode(segments * 4, 4, 4, 500, merged=False)
        with pytest.raises(StreamError, match="stream is corrupt"):
            coder.decode([segments[0][:-2]], 4, 4, 500, merged=True)


def test_a_model_of_one_set_takes_no_reference(coders: Coders, latents: Latents) -> None:
    picture = latents(1, 4, 4, 20.0)
    reference = Reference(np.zeros((4, 4, 24), np.int16), 500)
    for coder in coders(1, 1):
        coded = coder.encode(picture, 500, rounding=128, strength=0)
        assert np.array_equal(coder.decode(coded.segments, 4, 4, 500, merged=False).values, coded.values)
        with pytest.raises(ValueError, match="reference is out of range"):
            coder.encode(picture, 500, rounding=128, strength=0, reference=reference)
        with pytest.raises(ValueError, match="reference is out of range"):
            coder.decode(coded.segments, 4, 4, 500, merged=False, reference=reference)


def test_the_finest_step_has_the_largest_residuals(models: Callable[..., EntropyModel]) -> None:
    data = replace(models(2), steps=np.full((26, 24), 4, np.uint16)).to_bytes()
    core = load_core()
    assert core is not None
    picture = np.random.default_rng(0).choice([-2048, -4, 0, 8, 2044], (5, 5, 24)).astype(np.int16)
    opposite = Reference(np.where(picture < 0, 2044, -2048).astype(np.int16), 1023)  # up to 1023 steps away
    slow, fast = NumpyCoder(data), NativeCoder(data, core)
    for reference in (None, opposite):
        a, b = (c.encode(picture, 1023, rounding=128, strength=0, reference=reference) for c in (slow, fast))
        assert same(a, b)
        for coder in (slow, fast):
            found = coder.decode(a.segments, 5, 5, 1023, merged=False, reference=reference)
            assert np.array_equal(found.values, a.values)
            error = np.abs(exact(coder, picture) - found.values)
            assert np.all(2 * error <= steps_by_position(coder.model, found.values, 1023))
            assert error[..., : coder.model.span(0)[1]].max() <= 2


def test_the_largest_residuals_survive(coders: Coders) -> None:
    r = np.random.default_rng(0)
    picture = r.choice([-2048, 0, 2047], (5, 5, 24)).astype(np.int16)
    opposite = Reference(np.where(picture < 0, 2047, -2048).astype(np.int16), 1023)
    for coder in coders(1):
        for reference in (None, opposite):
            coded = coder.encode(picture, 1023, rounding=128, strength=0, reference=reference)
            found = coder.decode(coded.segments, 5, 5, 1023, merged=False, reference=reference)
            assert np.array_equal(found.values, coded.values)
            error = np.abs(exact(coder, picture) - found.values)
            assert np.all(2 * error <= steps_by_position(coder.model, found.values, 1023))


def test_all_zero_takes_no_bytes(coders: Coders) -> None:
    nothing = np.zeros((4, 4, 24), np.int16)
    for coder in coders(1):
        coded = coder.encode(nothing, 500, rounding=128, strength=20)
        assert coded.segments == [b"", b"", b""]
        assert not coded.values.any()
        assert not coder.decode([b"", b"", b""], 4, 4, 500, merged=False).values.any()


def test_segments_are_merged_below_an_estimate(coders: Coders, latents: Latents) -> None:
    picture = latents(1, 6, 6, 20.0)
    for coder in coders(1):
        encode = partial(coder.encode, picture, 500, rounding=128, strength=0)
        size = sum(encode(only_estimate=True).bits) // 8192
        assert [len(encode(merge_below=most).segments) for most in (size, size + 1)] == [3, 1]


def test_states_cost_less_than_a_percent_above_a_kilobyte(coders: Coders, latents: Latents) -> None:
    _, coder = coders(0)
    for side in (11, 16, 40, 90):
        coded = coder.encode(
            latents(5, side, side, 20.0), 700, rounding=128, strength=0, merge_below=MERGED[True]
        )
        (segment,) = coded.segments
        assert len(segment) > 1000
        assert len(segment) < 1.01 * sum(coded.bits) / 8192


def test_costs_are_the_logarithm_to_half_a_unit() -> None:
    f = np.arange(1, 16384)
    assert np.abs(rans.costs(f) - 1024 * (14 - np.log2(f))).max() < 0.51


@pytest.mark.parametrize(("kilobytes", "lanes"), [(0.5, 1), (1.9, 1), (2, 2), (4.5, 4), (70, 64), (900, 64)])
def test_lanes_follow_the_bytes(kilobytes: float, lanes: int) -> None:
    assert rans.choose_lanes(int(kilobytes * 8192 * 1024)) == lanes
