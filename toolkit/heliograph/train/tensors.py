"""Tensors of whichever backend Keras runs on, and functions of many small operations compiled for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

Tensor = Any


def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function compiled by XLA, where the backend does not do so anyway."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, jit_compile=True)  # type: ignore[no-any-return]
