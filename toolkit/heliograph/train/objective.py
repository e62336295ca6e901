"""What training minimises: bits plus distortion where the encoder learns, distortion where a decoder does.

All qualities are in one model; every objective is a model whose output is its own loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

Tensor = Any  # of whichever backend Keras runs on
LAMBDA_LOW, LAMBDA_HIGH = 0.001, 0.09  # Lagrangian at quality 0 and 1, of MSE in 8-bit units
ANCHORS = 8  # gain vectors; qualities between two anchors interpolate their logarithms
MIXTURE = 3
_FAST = 10.0  # densities are few scalars that must move faster than convolution weights


def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function of many small operations compiled by XLA, where the backend does not do so anyway."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, jit_compile=True)  # type: ignore[no-any-return]


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


def lagrangian(quality: Tensor, lambdas: tuple[float, float] = (LAMBDA_LOW, LAMBDA_HIGH)) -> Tensor:
    """Return lambda for qualities in [0, 1]: geometric from the lowest to the highest."""
    low, high = lambdas
    return low * ops.exp(quality * float(np.log(high / low)))


def first_steps(
    channels: int, lambdas: tuple[float, float] = (LAMBDA_LOW, LAMBDA_HIGH)
) -> npt.NDArray[np.float64]:
    """Return log step sizes [ANCHORS, channels] at which uniform quantisation balances rate and distortion.

    For an orthonormal 16x16x3 transform dD/dR = -2 ln2 D and D = step^2 / 12 give step^2 = 36 / (2 ln2 255^2 lambda).
    """
    quality = np.linspace(0, 1, ANCHORS)
    lam = lambdas[0] * (lambdas[1] / lambdas[0]) ** quality
    step = np.sqrt(36 / (2 * np.log(2) * 255**2 * lam))
    return np.repeat(np.log(step)[:, None], channels, axis=1)


def mixture(deviation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the densities' starting point [3, C, MIXTURE] (log scale, mean, logit) for standard deviations [C]."""
    density = np.zeros((3, len(deviation), MIXTURE))
    density[0] = np.log(deviation[:, None] * np.array([0.1, 0.3, 0.9]) + 1e-4) / _FAST
    return density


class EncoderObjective(Objective):
    """Stages `float` and `qat`: encoder, quantisation, density and decoder as one trainable model.

    Called with {"image": uint8 [B, H, W, 3], "quality": [B, 1]} it returns float32 [B, 3]: loss, bits per
    pixel and MSE (pictures in [0, 1]) of each crop. `unit` float [C] multiplies the encoder's output.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        *,
        seed: int,
        lambdas: tuple[float, float] = (LAMBDA_LOW, LAMBDA_HIGH),
    ) -> None:
        super().__init__("rate_distortion")  # as the variables of kept checkpoints are called
        self.encoder, self.decoder = encoder, decoder
        self.lambdas = lambdas
        channels = encoder.output.shape[-1]
        self.log_step = self.add_weight(shape=(ANCHORS, channels), initializer="zeros", name="log_step")
        self.density = self.add_weight(shape=(3, channels, MIXTURE), initializer="zeros", name="density")
        self.unit = self.add_weight(shape=(channels,), initializer="ones", trainable=False, name="unit")
        self.seeds = keras.random.SeedGenerator(seed, name="noise")

    def start(self, deviation: npt.NDArray[np.float32]) -> None:
        """Set the steps and the densities' scales from the latents' standard deviations, float32 [C]."""
        self.log_step.assign(first_steps(len(deviation), self.lambdas))
        self.density.assign(mixture(deviation))

    def steps(self, quality: Tensor) -> Tensor:
        """Return step sizes float32 [B, C] for qualities [B, 1]."""
        place = ops.cast(quality, "float32") * (ANCHORS - 1)  # [B, 1]
        anchors = ops.arange(ANCHORS, dtype="float32")[None, :]
        weight = ops.maximum(0.0, 1.0 - ops.abs(place - anchors))  # [B, ANCHORS], linear interpolation
        return ops.exp(ops.matmul(weight, self.log_step))

    def bits(self, y: Tensor, step: Tensor) -> Tensor:
        """Bits of each latent: minus log2 of the density's mass in [y - step/2, y + step/2]."""
        scale = ops.exp(self.density[0] * _FAST)  # [C, K]
        mean = self.density[1] * _FAST
        weight = ops.softmax(self.density[2] * _FAST, axis=-1)
        distance = ops.abs(y[..., None] - mean)  # symmetric about the mean: keeps the difference accurate
        upper = ops.sigmoid((0.5 * step[..., None] - distance) / scale)
        lower = ops.sigmoid((-0.5 * step[..., None] - distance) / scale)
        mass = ops.sum(weight * (upper - lower), axis=-1)
        return -ops.log(ops.maximum(mass, 1e-7)) / float(np.log(2))

    def relax(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        """Return what stands for rounded latents, in steps: where bits are counted, and what the decoder gets.

        Noise a whole step wide overstates low rates, and still trains better than what counts them rightly
        (narrower noise, soft rounding, rounding itself: `heliograph.train.experiments.ablations`).
        """
        noise = keras.random.uniform(ops.shape(ratio), -0.5, 0.5, seed=self.seeds)
        return ratio + noise, ratio + ops.stop_gradient(ops.round(ratio) - ratio)

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        image = ops.cast(inputs["image"], "float32") / 255.0
        quality = inputs["quality"]
        y = ops.cast(self.encoder(image, training=training), "float32") * self.unit
        step = self.steps(quality)[:, None, None, :]  # [B, 1, 1, C]
        coded, shown = self.relax(y / step)
        bits = self.bits(coded * step, step)
        picture = ops.cast(self.decoder([shown * step, quality]), "float32")
        mse = ops.mean(ops.square(picture - image), axis=(1, 2, 3))
        bpp = ops.sum(bits, axis=(1, 2, 3)) / float(np.prod(image.shape[1:3]))
        lam = lagrangian(quality, self.lambdas)[:, 0]
        loss = (lam * 255.0**2 * mse + bpp) / ops.sqrt(lam / LAMBDA_LOW)
        return ops.stack([loss, bpp, mse], axis=-1)


def make_variables(model: EncoderObjective) -> None:
    """Make a model's variables by calling it once."""
    model({"image": np.zeros((1, 64, 64, 3), np.uint8), "quality": np.zeros((1, 1), np.float32)})


class DecoderObjective(Objective):
    """Stages `decoder` and `preview`: a decoder of a frozen encoder's latents as a trainable model.

    Called with what `LatentCrops` yields it returns loss, no bits and MSE of each crop. The weight
    sqrt(lambda) is what remains of the rate–distortion objective once the rate is fixed.
    """

    def __init__(self, decoder: keras.Model) -> None:
        super().__init__("reconstruction")
        self.decoder = decoder

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        image = ops.cast(inputs["image"], "float32") / 255.0
        quality = inputs["quality"]
        takes_quality = len(self.decoder.inputs) == 2
        given = [inputs["values"], quality] if takes_quality else inputs["values"]
        picture = ops.cast(self.decoder(given), "float32")
        mse = ops.mean(ops.square(picture - image), axis=(1, 2, 3))
        weight = ops.sqrt(lagrangian(quality)[:, 0] * LAMBDA_LOW)
        return ops.stack([255.0**2 * weight * mse, ops.zeros_like(mse), mse], axis=-1)
