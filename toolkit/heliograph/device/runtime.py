"""TFLite runtimes: one interface over LiteRT, tflite-runtime and TensorFlow, with accelerator delegates."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph import chatter, forks
from heliograph.errors import CodecError, RuntimeUnavailableError, cause
from heliograph.extras import install

# In the order they are tried: module that holds Interpreter and load_delegate, and the extra that installs it.
RUNTIMES = {
    "litert": ("ai_edge_litert.interpreter", "device"),
    "tflite-runtime": ("tflite_runtime.interpreter", "device-tflite-runtime"),
    "tf.lite": ("tensorflow.lite", "train"),
}


def _load(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    module, extra = RUNTIMES[name]
    hint = install(extra) or "there is none for this Python, choose another runtime"
    try:
        if name == "tf.lite":
            with chatter.held():
                lite = importlib.import_module("tensorflow").lite
                return lite.Interpreter, lite.experimental.load_delegate
        if name == "tflite-runtime" and int(np.__version__.split(".")[0]) >= 2:
            # With numpy 2 the import works and the first Interpreter() dies with "_ARRAY_API not found".
            raise RuntimeUnavailableError(
                f"tflite-runtime needs numpy below 2, got {np.__version__}: pip install 'numpy<2'"
            )
        with chatter.held():
            loaded = importlib.import_module(module)
        return loaded.Interpreter, loaded.load_delegate
    except RuntimeUnavailableError:
        raise
    except ImportError as error:
        raise RuntimeUnavailableError(f"runtime {name} is not installed ({error}): {hint}") from error
    except Exception as error:  # one that does not fit its numpy, protobuf or driver raises anything
        raise RuntimeUnavailableError(
            f"runtime {name} is installed and fails to load ({cause(error)}): {hint}"
        ) from error


def _load_delegate(load: Callable[..., Any], library: str, runtime: str) -> Any:
    try:
        # Looked at first, because the runtimes' own loaders print a traceback when there is nothing to load.
        if not hasattr(ctypes.CDLL(library), "tflite_plugin_create_delegate"):
            raise OSError("it is no TFLite delegate")
        return load(library)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip() or "the library loaded but found no device"
        raise RuntimeUnavailableError(
            f"cannot load delegate {library} into {runtime}: {reason}; install the accelerator's "
            "runtime library, plug the device in, or leave --delegate out to run on the CPU"
        ) from error


def available() -> list[str]:
    """Return the names of the runtimes that can be loaded here, in order of preference."""
    names = []
    for name in RUNTIMES:
        try:
            _load(name)
        except RuntimeUnavailableError:
            continue
        names.append(name)
    return names


class Model:
    """An int8 .tflite model with one input and one output, ready to run.

    Safe in several threads, which run it one at a time, and in a forked child, which makes itself a new interpreter.

    Args:
        model: the .tflite file's bytes.
        runtime: a key of RUNTIMES, or None for the first that is installed.
        delegate: path of a delegate library such as libedgetpu.so.1, or None.
        threads: CPU threads.

    Raises:
        RuntimeUnavailableError: no runtime, or the delegate or its device is missing.
        CodecError: the model cannot be loaded or is not int8.
    """

    def __init__(
        self, model: bytes, *, runtime: str | None = None, delegate: str | None = None, threads: int = 1
    ) -> None:
        self._made_of = model, delegate, threads
        self._lock = forks.Lock()
        self.runtime, interpreter, load_delegate = self._choose(runtime)
        self._start(interpreter, load_delegate)
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if (len(inputs), len(outputs)) != (1, 1):
            raise CodecError(
                f"model has {len(inputs)} inputs and {len(outputs)} outputs, expected one of both; "
                "copy the codec folder again"
            )
        self._input, self._output = inputs[0], outputs[0]
        if self._input["dtype"] is not np.int8 or self._output["dtype"] is not np.int8:
            raise CodecError(
                f"model takes {self._input['dtype'].__name__} and gives {self._output['dtype'].__name__}, "
                "expected int8 for both; export the codec again"
            )
        self.input_shape = tuple(int(n) for n in self._input["shape"][1:])
        self.output_shape = tuple(int(n) for n in self._output["shape"][1:])

    def _start(self, interpreter: Callable[..., Any], load_delegate: Callable[..., Any]) -> None:
        """Make the interpreter; see the class for the errors."""
        model, delegate, threads = self._made_of
        delegates = []
        if delegate is not None:
            delegates = [_load_delegate(load_delegate, delegate, self.runtime)]
        # What an accelerator's library writes before it ends the process is its reason, and must be seen.
        start = contextlib.nullcontext() if delegates else chatter.held()
        try:
            with start:
                self._interpreter = interpreter(
                    model_content=model, experimental_delegates=delegates or None, num_threads=threads
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            first = str(error).splitlines()[0] if str(error) else "unknown reason"
            raise CodecError(f"{self.runtime} cannot load the model: {first}") from error
        self._process = os.getpid()

    @staticmethod
    def _choose(runtime: str | None) -> tuple[str, Callable[..., Any], Callable[..., Any]]:
        if runtime is not None:
            if runtime not in RUNTIMES:
                raise RuntimeUnavailableError(
                    f"unknown runtime {runtime!r}: choose from {', '.join(RUNTIMES)}"
                )
            return (runtime, *_load(runtime))
        reasons = []
        for name in RUNTIMES:
            try:
                return (name, *_load(name))
            except RuntimeUnavailableError as error:
                reasons.append(str(error))
        raise RuntimeUnavailableError("no TFLite runtime can be loaded: " + "; ".join(reasons))

    def __call__(self, x: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Run the model on one input, int8 without the batch axis, and return its output likewise.

        Raises:
            RuntimeUnavailableError: the runtime or the accelerator fails.
        """
        with self._lock:
            if self._process != os.getpid():
                self._start_again()
            try:
                self._interpreter.set_tensor(self._input["index"], x[None])
                self._interpreter.invoke()
                result: npt.NDArray[np.int8] = self._interpreter.get_tensor(self._output["index"])[0]
            except (RuntimeError, ValueError, OSError) as error:
                raise self._failed(error) from error
        return result

    def _failed(self, error: Exception) -> RuntimeUnavailableError:
        """Return what it means that an interpreter that had worked, or was ready to, fails."""
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        delegate = self._made_of[1]
        if delegate is None:
            return RuntimeUnavailableError(
                f"{self.runtime} cannot run the model: {first}; try another with --runtime"
            )
        return RuntimeUnavailableError(
            f"{self.runtime} with delegate {delegate} cannot run the model: {first}; plug the accelerator in again, or "
            "leave --delegate out to run on the CPU"
        )

    def _start_again(self) -> None:
        """Make an interpreter in a forked child: the threads of the old one are its parent's."""
        # Never to be ended: it would wait for those threads.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._interpreter))
        _, interpreter, load_delegate = self._choose(self.runtime)
        self._start(interpreter, load_delegate)
