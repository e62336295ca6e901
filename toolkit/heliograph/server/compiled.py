"""A decoder network compiled for the device at hand: integers of equal shape in, pictures uint8 out."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from heliograph.codec import values

LATENT_UNIT = 128 * values.UNIT  # dequantised values per 1.0 at the network's input


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
    """Return what `build()` makes under a Keras dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(before)


class Compiled:
    """Runs a network of `build_decoder`; a graph for all shapes, or with XLA one for each."""

    def __init__(self, network: keras.Model) -> None:
        self.network = network
        self._is_masked = len(network.inputs) == 3
        self._channels = int(network.inputs[0].shape[-1])
        self._functions: dict[str, Any] = {}

    def __call__(
        self,
        symbols: npt.NDArray[np.integer],
        steps: npt.NDArray[np.int32],
        quality: npt.NDArray[np.float32],
        extent: npt.NDArray[np.int32],
    ) -> Any:
        """Start the network; `np.asarray` of the result waits for uint8 [B, 16h, 16w, 3].

        Args:
            symbols: int16 or int32 [B, h, w, C].
            steps: [B, C], see `quantise.dequantise`.
            quality: [B, 1], 0 to 1.
            extent: [B, 2], rows and columns that are of the picture; looked at only by a masked network.
        """
        kind = symbols.dtype.name
        if kind not in self._functions:
            self._functions[kind] = self._compile(kind)
        return self._functions[kind](symbols, steps, quality, extent)

    def _forward(self, call: Any, symbols: Any, steps: Any, quality: Any, extent: Any) -> Any:
        values = ops.cast(symbols, "float32") * ops.cast(steps, "float32")[:, None, None, :]
        latents = values / LATENT_UNIT
        picture = call([latents, quality, extent] if self._is_masked else [latents, quality])
        return ops.cast(ops.round(ops.clip(picture * 255.0, 0.0, 255.0)), "uint8")

    def _compile(self, kind: str) -> Any:
        backend = keras.backend.backend()
        network = self.network
        if backend == "tensorflow":
            import tensorflow as tf

            signature = [
                tf.TensorSpec((None, None, None, self._channels), kind),
                tf.TensorSpec((None, self._channels), "int32"),
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
