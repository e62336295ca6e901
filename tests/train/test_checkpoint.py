"""Checkpoints: what does not fit or cannot be read is named, and what is kept loses no shape."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from heliograph.errors import TrainingError
from heliograph.train import checkpoint


def dense(units: int) -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, name="layer")], name="model")


def test_weights_and_what_was_done_come_back(tmp_path: Path) -> None:
    model, other = dense(2), dense(2)
    checkpoint.save(tmp_path / "a.npz", model, step=7, seconds=1.5)
    assert checkpoint.load(tmp_path / "a.npz", other) == {"step": 7, "seconds": 1.5}
    assert np.array_equal(np.asarray(other.get_weights()[0]), np.asarray(model.get_weights()[0]))


def test_another_shape_is_named(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.npz", dense(2))
    with pytest.raises(TrainingError, match=r"layer/kernel is \(3, 4\), the file has \(3, 2\)"):
        checkpoint.load(tmp_path / "a.npz", dense(4))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    checkpoint.save(path, dense(2))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(TrainingError, match=r"cannot read checkpoint .*a\.npz.*delete it to start"):
        checkpoint.load(path, dense(2))


def test_an_optimiser_is_left_out_of_what_is_kept(tmp_path: Path) -> None:
    model = dense(2)
    optimiser = keras.optimizers.Adam(name="adam")
    optimiser.build(model.trainable_variables)
    checkpoint.save(tmp_path / "a.npz", model, optimiser, step=3)
    (tmp_path / "b.npz").write_bytes(checkpoint.to_keep(tmp_path / "a.npz"))
    with np.load(tmp_path / "b.npz") as stored:
        kinds = {k: stored[k].dtype.name for k in stored.files}
    assert kinds == {
        "0:model/layer/kernel": "float16",
        "0:model/layer/bias": "float16",
        "step": "int64",
    }
    assert checkpoint.resume(tmp_path / "a.npz", dense(2), optimiser) == {"step": 3}
    assert checkpoint.resume(tmp_path / "b.npz", dense(2), optimiser) == {"step": 3}


def test_what_is_no_checkpoint_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.npy").rename(path)
    with pytest.raises(TrainingError, match="cannot read checkpoint"):
        checkpoint.load(path, dense(2))
    np.savez(path, step=np.array("seven"))
    with pytest.raises(TrainingError, match="'step' holds no numbers"):
        checkpoint.as_start(path)
    np.savez(path, step=np.array([None]))
    with pytest.raises(TrainingError, match="Object arrays cannot be loaded"):
        checkpoint.resume(path, dense(2), keras.optimizers.Adam())
    np.savez_compressed(path, bomb=np.zeros(10_000))
    monkeypatch.setattr(checkpoint, "MOST_BYTES", 79_999)
    with pytest.raises(TrainingError, match="it would take 80128 bytes of memory, expected at most 79999"):
        checkpoint.to_keep(path)
