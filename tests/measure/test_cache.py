"""Measurements are kept under what they depend on."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from heliograph.errors import OutputError
from heliograph.measure import cache as module
from heliograph.measure.cache import Cache, picture_hash


def test_a_value_is_found_again_by_another_run(tmp_path: Path) -> None:
    path = tmp_path / "made" / "cache.sqlite"
    with closing(Cache(path)) as first:
        key = first.key("codec", {"picture": "a", "quality": 5})
        assert first.get(key) is None
        first.put(key, {"psnr": 31.25, "ms_ssim": None})
    with closing(Cache(path)) as second:
        assert second.get(second.key("codec", {"quality": 5, "picture": "a"})) == {
            "psnr": 31.25,
            "ms_ssim": None,
        }
        assert (second.hits, second.misses) == (1, 0)


def test_keys_differ_by_kind_facts_and_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Cache(None)
    keys = {before.key("codec", {"q": 5}), before.key("codec", {"q": 6}), before.key("content", {"q": 5})}
    monkeypatch.setattr(module, "code_hash", lambda sources=(): "other sources")
    keys.add(Cache(None).key("codec", {"q": 5}))
    assert len(keys) == 4


def test_other_codecs_are_measured_anew_only_where_their_own_code_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, hash_of = Cache(None), module.code_hash
    monkeypatch.setattr(
        module, "code_hash", lambda *sources: hash_of(*sources) if sources else "another codec"
    )
    after = Cache(None)
    assert after.key("baseline", {"q": 5}) == before.key("baseline", {"q": 5})
    assert after.key("codec", {"q": 5}) != before.key("codec", {"q": 5})


def test_all_sources_of_a_measurement_exist() -> None:
    package = Path(module.__file__).parents[1]
    assert all((package / name).exists() for name in (*module._SOURCES, *module._OF_BASELINES))


def test_no_path_keeps_nothing() -> None:
    cache = Cache(None)
    key = cache.key("codec", {})
    cache.put(key, 1)
    assert cache.get(key) is None


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    path.write_bytes(b"this is no database, but long enough to be taken for one" * 40)
    with pytest.raises(OutputError, match=f"cannot use {path} as a cache: .*--no-cache"):
        Cache(path)


def test_pictures_are_told_apart_by_shape_and_pixels() -> None:
    a = np.zeros((4, 6, 3), np.uint8)
    b = a.copy()
    b[0, 0, 0] = 1
    assert len({picture_hash(a), picture_hash(b), picture_hash(a.reshape(6, 4, 3))}) == 3
    assert picture_hash(a[::1]) == picture_hash(a.copy())
