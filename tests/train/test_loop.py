"""The training loop: learning rates, budgets, and layers that move by a share."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest

from heliograph.train.loop import FEWEST_STEPS, Adam, Budget, learning_rate, train


def test_the_learning_rate_rises_stays_and_falls() -> None:
    assert learning_rate(0.0, 1.0) == pytest.approx(0.01)
    assert learning_rate(0.005, 1.0) == pytest.approx(0.51)
    assert learning_rate(0.3, 2.0) == 2.0
    assert learning_rate(0.75, 1.0) == pytest.approx(0.01 + 0.99 / 2)
    assert learning_rate(1.0, 1.0) == pytest.approx(0.01)


def test_a_budget_is_split_in_minutes_and_in_steps() -> None:
    first, rest = Budget(30, None, 7.0).split(2 / 3)
    assert [first.minutes, rest.minutes] == pytest.approx([20, 10])
    assert (first.steps, rest.steps, first.deadline, rest.deadline) == (None, None, 7.0, 7.0)
    first, rest = Budget(0, 4).split(2 / 3)
    assert (first.steps, rest.steps) == (3, 1)
    first, rest = Budget(0, 1).split(2 / 3)
    assert (first.steps, rest.steps) == (1, 1)


def test_a_scaled_layer_moves_by_its_share_of_the_learning_rate() -> None:
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="full"), keras.layers.Dense(2, name="scaled")]
    )
    before = [np.asarray(w) for w in model.get_weights()]
    model.compile(Adam(0.1, scales={"scaled": 0.01}), loss="mse")
    model.train_on_batch(np.ones((8, 4)), np.ones((8, 2)))
    moved = [np.abs(a - b).max() for a, b in zip(model.get_weights(), before, strict=True)]
    assert np.allclose(moved, [0.1, 0.1, 0.001, 0.001], rtol=1e-3)


class Shrinks(keras.Model):  # type: ignore[misc]
    """A weight whose square is the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x: object) -> object:
        y = self.dense(x)
        self.add_loss(keras.ops.mean(y**2))
        return y


class Ones(keras.utils.PyDataset):  # type: ignore[misc]
    """A supply that has no end."""

    offset = 0

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.float32]]:
        return (np.ones((2, 3), np.float32),)


def test_few_minutes_are_some_steps_all_the_same_and_nothing_is_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Shrinks()
    model(np.ones((2, 3), np.float32))
    path = tmp_path / "qat.npz"
    train(model, Ones(), path, budget=Budget(0.001), peak=0.01, resume=False)
    rows = [row.split(",") for row in path.with_suffix(".csv").read_text(encoding="ascii").splitlines()]
    assert rows[0] == ["step", "seconds", "learning_rate", "loss", "bpp", "psnr"]
    assert int(rows[-1][0]) == FEWEST_STEPS
    assert {tuple(row[4:]) for row in rows[1:]} == {("", "")}
    assert "nan" not in capsys.readouterr().err
