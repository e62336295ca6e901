"""What every training objective shares: a model whose output is its own loss, and the metrics of the log."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


class Objective(keras.Model):  # type: ignore[misc]
    """A model that returns float32 [B, 3]: loss, bits per pixel and MSE (pictures in [0, 1]) of each crop."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.bpp_metric = keras.metrics.Mean(name="bpp")
        self.psnr_metric = keras.metrics.Mean(name="psnr")

    def compute_loss(
        self,
        x: object = None,
        y: object = None,
        y_pred: object = None,
        sample_weight: object = None,
        training: bool = True,
    ) -> object:
        self.bpp_metric.update_state(y_pred[:, 1])  # type: ignore[index]
        mse = ops.maximum(y_pred[:, 2], 1e-7)  # type: ignore[index]
        self.psnr_metric.update_state(-10.0 * ops.log(mse) / float(np.log(10)))
        return ops.mean(y_pred[:, 0])  # type: ignore[index]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self._loss_tracker, self.bpp_metric, self.psnr_metric]

    def compute_metrics(self, x: object, y: object, y_pred: object, sample_weight: object = None) -> object:
        return self.get_metrics_result()
