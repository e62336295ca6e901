"""A training run's encoder, fake-quantised and in float, beside the int8 one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import Codec
from heliograph.device.encoder import Encoder
from heliograph.errors import TrainingError
from heliograph.train.experiments import trained
from heliograph.validate import parity

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


def test_the_fake_quantised_encoder_is_the_int8_one_and_float_is_not_far(
    codec: Codec, codec_folder: Path, encoder: Encoder, paint: Paint
) -> None:
    run = codec_folder.parent / "run"
    if not (run / trained.CHECKPOINT).is_file():
        pytest.skip("the small codec's training run was not kept")
    quantised, plain = trained.runners(codec, run)
    picture = paint(256, 256)
    ours = encoder.latents(picture)
    assert parity.apart(quantised.latents(picture), ours)["equal"] / ours.size > 0.95
    assert parity.apart(plain.latents(picture), ours)["largest"] < 64


def test_a_run_without_its_checkpoint_is_named(codec: Codec, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"encoder\.npz is missing: .*--run"):
        trained.runners(codec, tmp_path)
