"""What every training objective shares: a model whose output is its own loss, and the metrics of the log."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any  # of whichever backend Keras runs on


class Objective(keras.Model):  # type: ignore[misc]
    """A model that returns float32 [B, 3]: loss, bits per pixel and MSE (pictures in [0, 1]) of each crop."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.bpp_metric = keras.metrics.Mean(name="bpp")
        self.psnr_metric = keras.metrics.Mean(name="psnr")

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        self.bpp_metric.update_state(y_pred[:, 1])
        mse = ops.maximum(y_pred[:, 2], 1e-7)
        self.psnr_metric.update_state(-10.0 * ops.log(mse) / float(np.log(10)))
        return ops.mean(y_pred[:, 0])

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self._loss_tracker, self.bpp_metric, self.psnr_metric]

    def compute_metrics(self, x: Tensor, y: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        return self.get_metrics_result()
