"""Classes of pictures: always the same crops, and what is measured on them."""

from __future__ import annotations

import csv
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from heliograph.server.network import DecoderSpec, build_decoder
from heliograph.train.networks import EncoderSpec, build_encoder
from heliograph.train.objective import LAMBDAS, Joint, make_variables
from heliograph.train.perception import distortion
from heliograph.train.validation import COLUMNS, COUNT, QUALITIES, ClassCurve, class_crops, measure

SMALL = EncoderSpec(middle=24, latent=64, pooled=4, squeezed=8, mixed=8, tile=96)
DRAWN = ["dead leaves", "edges", "graphics", "smooth"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "0021a.png"
    noise = np.random.default_rng(5).integers(0, 256, (130, 170, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def test_classes_are_the_same_every_time(photo: Path) -> None:
    first, second = (class_crops([photo], [photo], 96) for _ in range(2))
    assert sorted(first) == sorted(
        [*DRAWN, "dark", "infrared", "photographs", "saturated", "sites", "small", "stamped"]
    )
    for name, crops in first.items():
        assert crops.shape == (COUNT, 96, 96, 3)
        assert np.array_equal(crops, second[name])
    grey = first["infrared"]
    assert np.array_equal(grey[..., 0], grey[..., 2])
    assert first["dark"].mean() < first["photographs"].mean()


def test_without_photographs_there_are_drawn_classes() -> None:
    assert sorted(class_crops([], [], 96)) == DRAWN


def test_a_curve_has_a_line_for_each_class(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    decoder = build_decoder(DecoderSpec(widths=(16, 8, 8, 8), blocks=(1, 1, 1, 1)), SMALL.latent)
    model = Joint(build_encoder(SMALL, normalised=True), decoder, seed=1)
    make_variables(model)
    crops = {name: c for name, c in class_crops([], [], 96).items() if name != "smooth"}
    curve = ClassCurve(model, crops, tmp_path / "float.classes.csv")
    curve(10, 3.21)
    curve(20, 6.0)
    with curve.path.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["step"], row["class"]) for row in rows] == [
        (step, name) for step in ("10", "20") for name in ("dead leaves", "edges", "graphics")
    ]
    loss, bpp, lost = measure(model, crops["edges"])
    pictures = (crops["edges"] / 255).astype(np.float32)
    step = np.asarray(model.steps(QUALITIES))[:, None, None]
    shown = model.decoder([np.round(np.asarray(model.encoder(pictures)) / step) * step, QUALITIES])
    expected = np.asarray(distortion(shown, pictures))
    assert lost == pytest.approx(expected.mean(), rel=1e-2)
    lam = LAMBDAS[0] * (LAMBDAS[1] / LAMBDAS[0]) ** QUALITIES[:, 0]
    assert loss < (lam * expected).sum() + bpp * COUNT  # each crop's is over the root of its lambda
    assert [float(rows[1][name]) for name in COLUMNS[3:]] == pytest.approx([loss, bpp, lost], abs=1e-3)
