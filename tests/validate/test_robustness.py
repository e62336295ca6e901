"""What breaks, measured on the small codec."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.measure.cache import Cache
from heliograph.validate import robustness
from heliograph.validate.contents import CONTENTS
from heliograph.validate.subject import Subject

Paint = Callable[[int, int], npt.NDArray[np.uint8]]
GOOD = {"gain_db": 1.0, "psnr": 31.0, "worst_shift": 0.5}


def test_what_shocks() -> None:
    assert robustness.shocks([GOOD, GOOD]) == []
    assert robustness.shocks([GOOD | {"psnr": 20.0}, GOOD]) == []  # coarse is expected at the coarse quality
    assert robustness.shocks([GOOD, GOOD | {"psnr": 20.0}]) == ["20.0 dB even at the finest quality measured"]
    assert robustness.shocks([GOOD | {"gain_db": -2.5}, GOOD]) == ["2.5 dB below JPEG at equal bytes"]
    assert robustness.shocks([GOOD | {"gain_db": None}, GOOD | {"worst_shift": 9.0}]) == [
        "a channel's mean moves by 9.0 of 255"
    ]


def test_classes_are_measured_and_kept(subject: Subject, paint: Paint, tmp_path: Path) -> None:
    some = [c for c in CONTENTS if c.name in ("grey", "tiny")]
    with closing(Cache(tmp_path / "cache.sqlite")) as cache:
        first = robustness.contents(subject, [paint(190, 180)], classes=some, qualities=(20, 60), cache=cache)
        assert (cache.hits, cache.misses) == (0, 2 * (1 + 4))
        again = robustness.contents(subject, [paint(190, 180)], classes=some, qualities=(20, 60), cache=cache)
        assert cache.hits == 10
    assert first == again
    found = first["grey"]["preview"]["60"]
    assert found["jpeg_cannot"] in (0, 1)
    assert 0 < found["ms_ssim"] < 1
    assert first["tiny"]["preview"]["60"]["jpeg_cannot"] == 4  # a JPEG file has 600 bytes of tables
    assert first["tiny"]["preview"]["60"]["ms_ssim"] is None


def test_losses_stay_where_they_are(subject: Subject, paint: Paint) -> None:
    picture = paint(1600, 300)
    found = robustness.lost_slices(subject, picture, 0.1, "preview")
    assert found["slices"] == 14
    assert found["lost"] == found["concealed"] == 1
    assert found["changed_far_away"] == 0
    assert found["psnr"] < found["psnr_whole"]


def test_more_of_a_stream_is_better(subject: Subject, paint: Paint) -> None:
    picture = paint(400, 300)
    some, more = (robustness.cut_stream(subject, picture, share, "preview") for share in (0.3, 0.9))
    assert some["bytes"] < more["bytes"]
    assert some["psnr"] < more["psnr"]


def test_a_part_that_ends_in_the_header_is_no_picture(subject: Subject, paint: Paint) -> None:
    found = robustness.cut_stream(subject, paint(16, 16), 0.01, "preview")
    assert found["psnr"] is None
    assert "nothing can be decoded" in found["reason"]


def test_damage_has_means_for_every_share(subject: Subject, paint: Paint) -> None:
    found = robustness.damage(subject, [paint(600, 300)], cache=Cache(None))
    assert set(found["lost-slices"]["preview"]) == {"10%", "30%"}
    assert set(found["cut-streams"]["preview"]) == {"25%", "50%", "75%"}
    assert found["cut-streams"]["preview"]["75%"]["psnr"] == pytest.approx(
        robustness.cut_stream(subject, paint(600, 300), 0.75, "preview")["psnr"]
    )
