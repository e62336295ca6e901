"""Which packages can be imported, which runtimes run a model, and whether the C core and the codecs are whole."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable

from heliograph.codec import registry
from heliograph.codec.codec import PREVIEW, SERVER, Codec
from heliograph.device.runtime import RUNTIMES
from heliograph.doctor.asking import Answer, ask_python
from heliograph.doctor.roles import ROLES
from heliograph.errors import HeliographError
from heliograph.measure import environment

EDGE_TPU = "libedgetpu.so.1"

_IMPORT = """
import importlib, sys
importlib.import_module(sys.argv[1])
print("true")
"""
# Keras is imported with the framework that computes for it: alone it would want TensorFlow.
_TENSORFLOW = """
import importlib.util, json
import tensorflow as tf
if importlib.util.find_spec("keras"):
    import keras
names = []
for device in tf.config.list_physical_devices():
    details = tf.config.experimental.get_device_details(device)
    names.append(f"{device.device_type} {details.get('device_name', '')}".strip())
print(json.dumps(names))
"""
_JAX = """
import importlib.util, json
import jax
if importlib.util.find_spec("keras"):
    import keras
print(json.dumps([f"{device.platform.upper()} {device.device_kind}" for device in jax.devices()]))
"""
_RUN = """
import sys
import numpy as np
from heliograph.codec import registry
from heliograph.device.runtime import Model
from heliograph.errors import HeliographError
from heliograph.measure import environment
codec, runtime, delegate = sys.argv[1:]
try:
    model = Model(registry.open_codec(codec).encoder, runtime=runtime or None, delegate=delegate or None)
except HeliographError as error:
    sys.exit(str(error))
model(np.zeros(model.input_shape, np.int8))
print(f'"{model.runtime}"')
"""


def import_questions(versions: dict[str, str | None]) -> dict[str, Callable[[], Answer]]:
    """Return for each installed distribution what asks whether it can be imported; frameworks answer their devices."""
    asked: dict[str, Callable[[], Answer]] = {}
    for role in ROLES.values():
        for package in role.needs:
            if versions[package.name] is None or package.name == "keras":
                continue
            if package.name == "tensorflow":
                asked["tensorflow"] = lambda: ask_python(_TENSORFLOW, KERAS_BACKEND="tensorflow")
            elif package.name == "jax":
                asked["jax"] = lambda: ask_python(_JAX, KERAS_BACKEND="jax")
            else:
                asked[package.name] = lambda module=package.module: ask_python(_IMPORT, module)  # type: ignore[misc]
    return asked


def runtime_questions() -> dict[str, Callable[[], Answer]]:
    """Return for each installed TFLite runtime what asks it to run a shipped encoder on a tile of zeros."""
    codec = next(iter(registry.shipped()), "")
    return {
        name: lambda name=name: ask_python(_RUN, codec, name, "")  # type: ignore[misc]
        for name, (module, _) in RUNTIMES.items()
        if importlib.util.find_spec(module.partition(".")[0]) is not None
    }


def ask_edge_tpu() -> Answer:
    """Ask whether the first runtime loads the Edge TPU's library and finds a device; the value is the runtime."""
    answer = ask_python(_RUN, next(iter(registry.shipped()), ""), "", EDGE_TPU)
    reason = answer.problem.removeprefix(f"cannot load delegate {EDGE_TPU} into ")
    return Answer(answer.value, reason.partition(";")[0])


def has_core() -> bool:
    """Return whether entropy coding runs in C."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it is told here
    try:
        return environment.describe()["entropy coder"] == "C"
    finally:
        logging.disable(before)


def check_codecs() -> dict[str, str]:
    """Return for every shipped codec "" if all its files are as hashed, or what is wrong.

    That a decoder is not there is not wrong: a device's copy has none.
    """
    problems = {}
    for name, folder in registry.shipped().items():
        try:
            codec = Codec(folder)
            for file in codec.hashes:
                if file not in (PREVIEW, SERVER) or (folder / file).exists():
                    codec.read(file)
            problems[name] = ""
        except HeliographError as error:
            problems[name] = str(error)
    return problems
