"""A decoder network compiled for the device at hand: integers of equal shape in, pictures uint8 out."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from heliograph.codec.values import UNIT, Values

LATENT_UNIT = 128 * UNIT  # values per 1.0 at the network's input


@functools.cache
def on_gpu() -> bool:
    """Return whether the Keras backend has a GPU here."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if backend == "jax":
        import jax

        return str(jax.default_backend()) in ("gpu", "cuda", "rocm", "tpu")
    return False


def compiles_shapes() -> bool:
    """Return whether every new shape costs a compilation: with XLA, so on a GPU and under JAX."""
    return keras.backend.backend() != "tensorflow" or on_gpu()


def build_at(precision: str, build: Any) -> keras.Model:
    """Return what `build()` makes under a Keras dtype policy, its channels last whatever ~/.keras/keras.json says."""
    before, order = keras.config.dtype_policy(), keras.config.image_data_format()
    keras.config.set_dtype_policy(precision)
    keras.config.set_image_data_format("channels_last")
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(before)
        keras.config.set_image_data_format(order)


class Compiled:
    """Runs a network of `build_decoder`; a graph for all shapes, or with XLA one for each."""

    def __init__(self, network: keras.Model) -> None:
        self.network = network
        self._is_masked = len(network.inputs) == 3
        self._channels = int(network.inputs[0].shape[-1])

    def __call__(
        self,
        values: Values,
        quality: npt.NDArray[np.float32],
        extent: npt.NDArray[np.int32],
    ) -> Any:
        """Start the network; `np.asarray` of the result waits for uint8 [B, 16h, 16w, 3].

        Args:
            values: int16 [B, h, w, C] in 1/16 latent unit.
            quality: [B, 1], 0 to 1.
            extent: [B, 2], rows and columns that are of the picture; looked at only by a masked network.
        """
        return self._function(values, quality, extent)

    def _forward(self, call: Any, values: Any, quality: Any, extent: Any) -> Any:
        latents = ops.cast(values, "float32") / LATENT_UNIT
        picture = call([latents, quality, extent] if self._is_masked else [latents, quality])
        return ops.cast(ops.round(ops.clip(picture * 255.0, 0.0, 255.0)), "uint8")

    @functools.cached_property
    def _function(self) -> Any:
        backend = keras.backend.backend()
        network = self.network
        if backend == "tensorflow":
            import tensorflow as tf

            signature = [
                tf.TensorSpec((None, None, None, self._channels), "int16"),
                tf.TensorSpec((None, 1), "float32"),
                tf.TensorSpec((None, 2), "int32"),
            ]
            return tf.function(
                functools.partial(self._forward, functools.partial(network, training=False)),
                input_signature=signature,
                jit_compile=on_gpu(),
                autograph=False,
            )
        if backend == "jax":
            import jax

            trained = [v.value for v in network.trainable_variables]
            fixed = [v.value for v in network.non_trainable_variables]

            def run(trained: Any, fixed: Any, *inputs: Any) -> Any:
                def call(given: Any) -> Any:
                    return network.stateless_call(trained, fixed, given, training=False)[0]

                return self._forward(call, *inputs)

            return functools.partial(jax.jit(run), trained, fixed)
        return functools.partial(self._forward, functools.partial(network, training=False))
