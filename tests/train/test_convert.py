"""The checks of a converted model fail loudly when a promise is broken."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from heliograph.errors import ConversionError
from heliograph.train import convert
from heliograph.train.networks import ENCODERS
from heliograph.train.quantisation import ActivationRange, QuantisedConv2D

# TFLite says so of every model without a representative data set; ours carry their ranges.
pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs were expected")


@pytest.fixture(scope="module")
def converted() -> tuple[keras.Model, bytes]:
    """A small fake-quantised network as Keras has it and as TFLite has it."""
    image = keras.Input((16, 16, 3), batch_size=1)
    x = ActivationRange(name="range_image")(image)
    x = QuantisedConv2D(4, 2, strides=2, name="conv")(x)
    x = ActivationRange(name="range_latent")(x)
    model = keras.Model(image, x, name="encoder")
    model.get_layer("range_image").set_range(0.0, 1.0)
    model.get_layer("range_latent").set_range(-1.0, 127 / 128)
    return model, convert.to_tflite(model)


def test_a_good_model_passes(converted: tuple[keras.Model, bytes]) -> None:
    model, data = converted
    convert.check_structure(data, model, convert.OPERATIONS)


def test_an_operation_accelerators_lack_is_named(converted: tuple[keras.Model, bytes]) -> None:
    model, data = converted
    with pytest.raises(ConversionError, match="model has operations CONV_2D; accelerators take only ADD"):
        convert.check_structure(data, model, {"ADD"})


def test_a_float_tensor_is_named() -> None:
    image = keras.Input((16, 16, 3), batch_size=1)
    model = keras.Model(image, layers.Conv2D(4, 2, strides=2)(image), name="encoder")
    plain = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    with pytest.raises(ConversionError, match=r"tensor .* is float32, expected int8 or int32"):
        convert.check_structure(plain, model, convert.OPERATIONS)


def test_another_scale_is_noticed(converted: tuple[keras.Model, bytes]) -> None:
    model, data = converted
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    other.get_layer("conv").kernel.assign(np.asarray(model.get_layer("conv").kernel) * 2)
    with pytest.raises(ConversionError, match="conv: the trained weight scales are not in"):
        convert.check_structure(data, other, convert.OPERATIONS)


def test_a_failed_conversion_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"conversion of the encoder failed: .*cannot read checkpoint"):
        convert.convert(
            "encoder", ENCODERS["accelerator"], tmp_path / "none.npz", tmp_path / "encoder.tflite"
        )
    assert not list(tmp_path.iterdir())
