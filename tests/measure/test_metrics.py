"""Picture quality against values computed by hand and by another implementation."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from heliograph.errors import RuntimeUnavailableError
from heliograph.measure import metrics
from heliograph.measure.metrics import ms_ssim, mse, psnr, psnr_y, ssimulacra2

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


def test_psnr_of_a_constant_difference() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert mse(black, black + 5) == 25
    assert psnr(black, black + 5) == pytest.approx(20 * np.log10(255 / 5))
    assert psnr_y(black, black + 5) == pytest.approx(20 * np.log10(255 / 5))
    assert psnr(black, black) == np.inf


def test_psnr_agrees_with_scikit_image(paint: Paint) -> None:
    a = paint(70, 50)
    b = a // 8 * 8
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b))


def test_ms_ssim_falls_with_distortion(paint: Paint) -> None:
    a = paint(200, 180)
    coarse, coarser = a // 16 * 16, a // 64 * 64
    assert ms_ssim(a, a) == pytest.approx(1)
    assert 1 > ms_ssim(a, coarse) > ms_ssim(a, coarser) > 0


def test_ms_ssim_needs_176_pixels() -> None:
    small, enough = np.zeros((175, 300, 3), np.uint8), np.zeros((176, 300, 3), np.uint8)
    assert np.isnan(ms_ssim(small, small))
    assert ms_ssim(enough, enough) == 1


def test_pictures_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="expected two uint8 pictures of one shape"):
        psnr(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8))


def test_ms_ssim_agrees_with_tensorflow(paint: Paint) -> None:
    import tensorflow as tf

    a = paint(192, 176)  # even at all scales: implementations pad odd ones differently
    b = np.clip(a.astype(int) + np.random.default_rng(4).normal(0, 12, a.shape), 0, 255).astype(np.uint8)
    assert ms_ssim(a, b) == pytest.approx(float(tf.image.ssim_multiscale(a, b, 255)), abs=1e-5)


def test_ssimulacra2_is_100_for_equal_pictures_and_falls(paint: Paint) -> None:
    a = paint(96, 80)
    assert ssimulacra2(a, a) == pytest.approx(100)
    assert 100 > ssimulacra2(a, a // 8 * 8) > ssimulacra2(a, a // 64 * 64)


def test_ssimulacra2_says_how_to_install_it(paint: Paint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ssimulacra2", None)
    a = paint(16, 16)
    with pytest.raises(RuntimeUnavailableError, match="pip install ssimulacra2"):
        ssimulacra2(a, a)


def test_ms_ssim_agrees_with_scikit_image_at_one_scale(paint: Paint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_WEIGHTS", (1.0,))  # one scale of weight 1 is plain SSIM
    a = paint(181, 178)
    b = np.clip(a.astype(int) + np.random.default_rng(5).normal(0, 9, a.shape), 0, 255).astype(np.uint8)
    full = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=-1, full=True
    )[1]
    assert ms_ssim(a, b) == pytest.approx(float(full[5:-5, 5:-5].mean()), abs=2e-5)
