"""What training minimises: bits plus what the eye loses where the encoder learns, what it loses where a decoder does.

All qualities are in one model; every objective is a model whose output is its own loss.
"""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from heliograph.train.context_rate import FAST, MIXTURE, ContextRate
from heliograph.train.copies import mean_of_copies
from heliograph.train.perception import distortion
from heliograph.train.tensors import Tensor

LAMBDAS = (
    0.0003,
    0.35,
)  # Lagrangian at quality 0 and 1, of distortion in units near squared error of 8-bit values
ANCHORS = 10  # vectors of steps; qualities between two interpolate their logarithms


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


def lagrangian(quality: Tensor) -> Tensor:
    """Return lambda for qualities in [0, 1]: geometric from the lowest to the highest."""
    low, high = LAMBDAS
    return low * ops.exp(quality * float(np.log(high / low)))


def first_steps(channels: int) -> npt.NDArray[np.float64]:
    """Return log step sizes [ANCHORS, channels] at which uniform quantisation balances rate and squared error.

    For an orthonormal 16x16x3 transform dD/dR = -2 ln2 D and D = step^2 / 12 give step^2 = 36 / (2 ln2 255^2 lambda).
    """
    lam = LAMBDAS[0] * (LAMBDAS[1] / LAMBDAS[0]) ** np.linspace(0, 1, ANCHORS)
    step = np.sqrt(36 / (2 * np.log(2) * 255**2 * lam))
    return np.repeat(np.log(step)[:, None], channels, axis=1)


class Joint(Objective):
    """Stages `float` and `qat`: encoder, steps, contexts and decoder as one trainable model.

    Called with {"image": uint8 [B, H, W, 3], "quality": [B, 1]} it returns float32 [B, 3]: loss, bits per pixel and MSE
    (pictures in [0, 1]) of each crop. In training the bits are counted under noise, else at rounded latents.

    Args:
        encoder, decoder: of `build_encoder` and `build_decoder`.
        seed: of the noise.
        has_unit: whether there is a constant `unit`, float [C], that multiplies the encoder's latents.
        copies: how many of the encoder's outputs are further copies of latents; a constant `copies` says of which.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        *,
        seed: int,
        has_unit: bool = False,
        copies: int = 0,
    ) -> None:
        super().__init__("joint")
        self.encoder, self.decoder = encoder, decoder
        channels = encoder.output.shape[-1] - copies
        self.log_step = self.add_weight(shape=(ANCHORS, channels), initializer="zeros", name="log_step")
        self.contexts = ContextRate(channels, name="contexts")
        self.seeds = keras.random.SeedGenerator(seed, name="noise")
        self.unit: Tensor = (
            self.add_weight(shape=(channels,), initializer="ones", trainable=False, name="unit")
            if has_unit
            else None
        )
        self.copies: Tensor = (
            self.add_weight(shape=(copies,), initializer="zeros", trainable=False, name="copies")
            if copies
            else None
        )

    def start(self, deviation: npt.NDArray[np.float32]) -> None:
        """Set the steps and the densities' scales from the latents' standard deviations, float32 [C]."""
        self.log_step.assign(first_steps(len(deviation)))
        spread = deviation[:, None] * np.geomspace(0.1, 0.9, MIXTURE)
        self.contexts.density_scale.assign(np.log(spread + 1e-4) / FAST)

    def steps(self, quality: Tensor) -> Tensor:
        """Return step sizes float32 [B, C] for qualities [B, 1]."""
        place = ops.cast(quality, "float32") * (ANCHORS - 1)
        weight = ops.maximum(0.0, 1.0 - ops.abs(place - ops.arange(ANCHORS, dtype="float32")[None, :]))
        return ops.exp(ops.matmul(weight, self.log_step))

    def latents(self, image: Tensor, *, training: bool = False) -> Tensor:
        """Return latents float32 [B, H/16, W/16, C] in the steps' units of pictures float32 [B, H, W, 3] in [0, 1]."""
        y = mean_of_copies(self.encoder(image, training=training), self.copies)
        return y if self.unit is None else y * self.unit

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        image = ops.cast(inputs["image"], "float32") / 255.0
        quality = ops.cast(inputs["quality"], "float32")
        y = self.latents(image, training=training)
        step = self.steps(quality)[:, None, None, :]
        ratio = y / step
        shown = ratio + ops.stop_gradient(ops.round(ratio) - ratio)
        # Noise a whole step wide overstates low rates, and still trained better than narrower noise, soft rounding, or
        # rounding itself.
        coded = (
            ratio + keras.random.uniform(ops.shape(ratio), -0.5, 0.5, seed=self.seeds) if training else shown
        )
        bits = self.contexts(coded * step, step, quality, y)
        picture = ops.cast(self.decoder([shown * step, quality]), "float32")
        bpp = ops.sum(bits, axis=(1, 2, 3)) / float(np.prod(image.shape[1:3]))
        lam = lagrangian(quality[:, 0])
        loss = (lam * distortion(picture, image) + bpp) / ops.sqrt(lam / LAMBDAS[0])
        mse = ops.mean(ops.square(picture - image), axis=(1, 2, 3))
        return ops.stack([loss, bpp, mse], axis=-1)


def copies_of(model: Joint) -> tuple[int, ...]:
    """Return of which latent each output after the latents is a further copy, rising."""
    return () if model.copies is None else tuple(int(one) for one in np.asarray(model.copies.value))


def linear_path(model: Joint) -> npt.NDArray[np.float64]:
    """Return the decoder's linear path from latents to the pixels of a block, float64 [C, 768]."""
    return np.asarray(model.decoder.get_layer("inverse").kernel[0, 0], np.float64)


def make_variables(model: Joint) -> None:
    """Make a model's variables by calling it once."""
    model({"image": np.zeros((1, 96, 96, 3), np.uint8), "quality": np.zeros((1, 1), np.float32)})


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
        loss = ops.sqrt(lagrangian(quality[:, 0]) * LAMBDAS[0]) * distortion(picture, image)
        return ops.stack([loss, ops.zeros_like(mse), mse], axis=-1)
