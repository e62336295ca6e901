"""The erasure code: the specification's vectors, other people's implementation, any k of n, and C as numpy."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from heliograph.packets.erasure import OUT_OF_RANGE, rebuild, rebuild_in_numpy

CSRC = Path(__file__).resolve().parents[2] / "toolkit/heliograph/csrc"
Rebuild = Callable[[Sequence[int], bytes, int, Sequence[int]], bytes]
BOTH = pytest.mark.parametrize("rebuild", [rebuild, rebuild_in_numpy], ids=["native", "numpy"])


def times(a: int, b: int) -> int:
    """Return a product in GF(256), by the schoolbook."""
    product = 0
    for bit in range(8):
        product ^= (a << bit) * (b >> bit & 1)
    for bit in range(14, 7, -1):
        product ^= (0x11D << bit - 8) * (product >> bit & 1)
    return product


@cache
def power(base: int, exponent: int) -> int:
    value = 1
    for _ in range(exponent):
        value = times(value, base)
    return value


@cache
def inverse(a: int) -> int:
    return next(b for b in range(256) if times(a, b) == 1)


def by_equations(source: bytes, place: int) -> int:
    """Return a byte of the code by solving for the polynomial's coefficients, which the code itself never has."""
    points = [0] + [power(2, n) for n in range(254)]
    rows = [[power(points[n], d) for d in range(len(source))] + [value] for n, value in enumerate(source)]
    for column in range(len(source)):
        pivot = next(r for r in range(column, len(rows)) if rows[r][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = inverse(rows[column][column])
        rows[column] = [times(scale, value) for value in rows[column]]
        for row in range(len(rows)):
            if row != column:
                factor = rows[row][column]
                rows[row] = [a ^ times(factor, b) for a, b in zip(rows[row], rows[column], strict=True)]
    found = 0
    for degree, solved in enumerate(rows):
        found ^= times(solved[-1], power(points[place], degree))
    return found


@BOTH
def test_by_hand(rebuild: Rebuild) -> None:
    # Of one piece all are copies. Of two the polynomial is a line: the first at point 0, the second at point 1, and at
    # point 2 = place 2 lies 01 + 2 * (01 ^ 03) = 05; at point 4 = place 3 lies 01 + 4 * 02 = 09.
    assert rebuild([0], b"\x37\x00", 2, [0, 9, 254]) == b"\x37\x00" * 3
    assert rebuild([0, 1], b"\x01\x03", 1, [0, 1, 2, 3]) == bytes([1, 3, 5, 9])
    assert rebuild([3, 2], b"\x09\x05", 1, [1, 0]) == bytes([3, 1])
    # Place 8 is point 128, and 128 * 2 is 1d.
    assert rebuild([0, 1], b"\x01\x03", 1, [8]) == bytes([0x01 ^ 0x1D])


@BOTH
def test_as_equations_say(rebuild: Rebuild) -> None:
    draw = random.Random(0)
    for count in (1, 2, 3, 5):
        source = draw.randbytes(count)
        places = [0, count - 1, count, 100, 254]
        assert list(rebuild(range(count), source, 1, places)) == [by_equations(source, p) for p in places]


@BOTH
def test_it_is_the_code_of_zfec(rebuild: Rebuild) -> None:
    zfec = pytest.importorskip("zfec")
    draw = random.Random(1)
    for count in (1, 2, 7, 83, 200, 255):
        pieces = [draw.randbytes(11) for _ in range(count)]
        theirs = zfec.Encoder(count, 256).encode(pieces, list(range(255)))
        assert rebuild(range(count), b"".join(pieces), 11, range(255)) == b"".join(theirs)
        heard = draw.sample(range(255), count)
        assert zfec.Decoder(count, 256).decode([theirs[n] for n in heard], heard) == pieces
        assert rebuild(heard, b"".join(theirs[n] for n in heard), 11, range(count)) == b"".join(pieces)


def random_subsets(count: int) -> None:
    draw = random.Random(2)
    for _ in range(count):
        k = min(draw.randint(1, 255), draw.randint(1, 255), draw.randint(1, 255))
        size = draw.randint(1, 12)
        source = draw.randbytes(k * size)
        heard = draw.sample(range(255), k)
        pieces = rebuild(range(k), source, size, heard)
        assert rebuild(heard, pieces, size, range(k)) == source


def test_any_k_of_255_places_give_the_source() -> None:
    random_subsets(300)


@pytest.mark.slow
def test_any_k_of_255_places_give_the_source_ten_thousand_times() -> None:
    random_subsets(10_000)


def test_numpy_gives_the_bytes_of_c() -> None:
    draw = random.Random(3)
    for _ in range(50):
        k, size = draw.randint(1, 255), draw.randint(1, 40)
        data = draw.randbytes(draw.randint(0, k * size))
        there, wanted = draw.sample(range(255), k), draw.sample(range(255), 20)
        assert rebuild(there, data, size, wanted) == rebuild_in_numpy(there, data, size, wanted)


@BOTH
def test_data_that_ends_early_ends_in_zeros(rebuild: Rebuild) -> None:
    for data in (b"", b"abc", b"abcdef", b"abcdefgh"):
        padded = data.ljust(9, b"\0")
        assert rebuild(range(3), data, 3, range(9)) == rebuild(range(3), padded, 3, range(9))


@BOTH
@pytest.mark.parametrize(
    ("places", "data", "piece", "wanted"),
    [
        ([], b"", 1, [0]),
        ([1, 1], b"ab", 1, [0]),
        ([0, 255], b"ab", 1, [0]),
        ([0], b"ab", 1, [1]),
        ([0], b"", 0, [1]),
    ],
    ids=["no-piece", "twice", "place", "long", "no-bytes"],
)
def test_out_of_range(
    rebuild: Rebuild, places: list[int], data: bytes, piece: int, wanted: list[int]
) -> None:
    with pytest.raises(ValueError, match=OUT_OF_RANGE):
        rebuild(places, data, piece, wanted)


def test_a_place_that_is_none_is_not_wanted() -> None:
    with pytest.raises(ValueError, match=OUT_OF_RANGE):
        rebuild([0], b"a", 1, [255])


PROGRAM = """
#include "erasure.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    static uint8_t all[255 * 30], heard[255 * 30], source[255 * 30], out[30], places[255], first[255], weights[255];
    uint32_t round, i, j;
    srand(1);
    for (i = 0; i < 255; i++) first[i] = places[i] = (uint8_t)i;
    for (round = 0; round < 200; round++) {
        uint32_t k = 1 + (uint32_t)rand() % 255, size = 1 + (uint32_t)rand() % 30;
        uint8_t *exact = malloc(k * size); /* so that what reads beyond it is found */
        for (i = 0; i < k * size; i++) exact[i] = source[i] = (uint8_t)rand();
        if (!hg_erasure_weigh(first, k, weights)) return 1;
        for (i = 0; i < 255; i++)
            hg_erasure_piece(first, weights, k, NULL, 0, exact, k * size, size, i, all + i * size);
        for (i = 0; i < k; i++) {
            uint8_t other;
            j = i + (uint32_t)rand() % (255 - i);
            other = places[i];
            places[i] = places[j];
            places[j] = other;
            memcpy(heard + i * size, all + places[i] * size, size);
        }
        if (!hg_erasure_weigh(places, k, weights)) return 2;
        for (i = 0; i < k; i++) {
            hg_erasure_piece(places, weights, k, NULL, 0, heard, k * size, size, i, out);
            if (memcmp(out, source + i * size, size)) return 3;
        }
        j = (uint32_t)rand() % (k * size + 1); /* a head of so many bytes, then the rest */
        if (!hg_erasure_weigh(NULL, k, weights)) return 4;
        for (i = 0; i < 255; i += 1 + (uint32_t)rand() % 9) {
            hg_erasure_piece(NULL, weights, k, source, j, exact + j, k * size - j, size, i, out);
            if (memcmp(out, all + i * size, size)) return 5;
        }
        hg_erasure_piece(first, weights, 1, NULL, 0, NULL, 0, size, 3, out);
        free(exact);
    }
    places[0] = 255;
    places[1] = places[2];
    return hg_erasure_weigh(first, 0, weights) || hg_erasure_weigh(first, 256, weights) ||
           hg_erasure_weigh(places, 1, weights) || hg_erasure_weigh(places + 1, 2, weights);
}
"""


def test_the_c_is_c99_and_clean_under_sanitizers(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here")
    source = (CSRC / "erasure.c").read_text(encoding="utf-8")
    assert set(re.findall(r"#include\s+(\S+)", source)) == {'"erasure.h"', "<string.h>"}
    (tmp_path / "program.c").write_text(PROGRAM)
    core: list[str | Path] = [
        compiler,
        "-std=c99",
        "-O1",
        f"-I{CSRC}",
        "-c",
        CSRC / "erasure.c",
        "-o",
        tmp_path / "core.o",
    ]
    strict = ["-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-pedantic", "-Werror"]
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    subprocess.run([*core, *strict, *checks], check=True)
    whole: list[str | Path] = [
        compiler,
        "-std=c99",
        f"-I{CSRC}",
        *checks,
        tmp_path / "program.c",
        tmp_path / "core.o",
    ]
    subprocess.run([*whole, "-o", tmp_path / "program"], check=True)
    assert subprocess.run([tmp_path / "program"]).returncode == 0
