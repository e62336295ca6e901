"""Every way this machine can run a codec's encoder: TFLite runtimes and kernels, and TFLM."""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import tiles
from heliograph.codec.codec import Codec
from heliograph.device.encoder import Encoder
from heliograph.errors import HeliographError, RuntimeUnavailableError
from heliograph.extras import install
from heliograph.measure.environment import version
from heliograph.measure.runner import Layers, Picture, Runner, Tile, Units, tiled

ARENA_PER_TILE_BYTE = 40  # of TFLM's arena, generous: it holds the few largest tensors
# Run by another environment's Python, which has the device's part of the package and no more.
_OTHER = """
import sys, numpy as np
from heliograph.codec import registry
from heliograph.device.encoder import Encoder
codec, pictures, out = sys.argv[1:]
encoder = Encoder(registry.open_codec(codec))
with np.load(pictures) as stored:
    np.savez(out, name=encoder.runtime, **{k: encoder.units(stored[k]) for k in stored.files})
"""


def _first_tile(codec: Codec, picture: Picture) -> Tile:
    _, tile = next(iter(tiles.cut(picture, codec.tile)))
    return np.asarray((tile ^ 0x80).view(np.int8))


class Interpreted:
    """An encoder under a TFLite interpreter that is loaded when first needed.

    Args:
        load: returns the interpreter class and the keyword arguments that choose its kernels.
    """

    def __init__(self, codec: Codec, load: Callable[[], tuple[Callable[..., Any], dict[str, Any]]]) -> None:
        self._codec, self._load = codec, load

    @cached_property
    def _loaded(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        return self._load()

    @cached_property
    def _interpreter(self) -> Any:
        return self._make()

    def _make(self, **more: Any) -> Any:
        kind, options = self._loaded
        with warnings.catch_warnings():
            # That tf.lite will leave TensorFlow, and that keeping all tensors is for debugging: it is.
            warnings.simplefilter("ignore", UserWarning)
            interpreter = kind(model_content=self._codec.encoder, num_threads=1, **options, **more)
        interpreter.allocate_tensors()
        return interpreter

    @staticmethod
    def _run(interpreter: Any, tile: Tile) -> Units:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], tile[None])
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])

    def units(self, picture: Picture) -> Units:
        """Return what the network gives of a picture."""
        return tiled(self._codec, lambda tile: self._run(self._interpreter, tile), picture)

    def layers(self, picture: Picture) -> Layers:
        """Return the outputs of all operations on a picture's first tile, by number and operation."""
        interpreter = self._make(experimental_preserve_all_tensors=True)
        self._run(interpreter, _first_tile(self._codec, picture))
        out: Layers = {}
        for operation in interpreter._get_ops_details():
            if operation["op_name"] == "DELEGATE":
                continue
            values = interpreter.get_tensor(int(operation["outputs"][0]))
            if values.dtype == np.int8:
                out[f"{len(out) + 1} {operation['op_name']}"] = np.array(values[0])
        return out


def _litert(resolver: str | None) -> tuple[Callable[..., Any], dict[str, Any]]:
    from ai_edge_litert import interpreter as litert

    if resolver is None:
        return litert.Interpreter, {}
    kind = getattr(litert.OpResolverType, resolver)
    return litert.Interpreter, {"experimental_op_resolver_type": kind}


def _tensorflow() -> tuple[Callable[..., Any], dict[str, Any]]:
    import tensorflow

    return tensorflow.lite.Interpreter, {}


def _micro_units(codec: Codec) -> Callable[[Picture], Units]:
    kept: list[Any] = []

    def units(picture: Picture) -> Units:
        if not kept:
            from tflite_micro.python.tflite_micro import runtime

            arena = ARENA_PER_TILE_BYTE * codec.tile * codec.tile * 3
            kept.append(runtime.Interpreter.from_bytes(codec.encoder, arena_size=arena))
        (interpreter,) = kept

        def run(tile: Tile) -> Units:
            interpreter.set_input(tile[None], 0)
            interpreter.invoke()
            return np.array(interpreter.get_output(0)[0])

        return tiled(codec, run, picture)

    return units


def other_units(python: str, codec: Codec, pictures: list[Picture]) -> tuple[str, list[npt.NDArray[np.int8]]]:
    """Return the name of the first runtime of another environment's Python, and what its network gives of pictures.

    Raises:
        RuntimeUnavailableError: it cannot be run, or has no heliograph or no runtime.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "pictures.npz", Path(folder) / "units.npz"
        np.savez(source, *pictures)
        # Elsewhere than in the repository, so that the installed package is imported; the path to Python stays
        # unresolved, since it is its place that makes an environment of it.
        command = [str(Path(python).absolute()), "-c", _OTHER]
        command += [str(codec.folder.resolve()), str(source), str(out)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        except OSError as error:
            raise RuntimeUnavailableError(f"cannot run {python}: {error.strerror}; check --python") from error
        if done.returncode:
            reason = (done.stderr.splitlines() or ["no message"])[-1]
            raise RuntimeUnavailableError(f"{python} cannot encode: {reason}; install heliograph there")
        with np.load(out) as stored:
            return str(stored["name"]), [stored[f"arr_{i}"] for i in range(len(pictures))]


def installed(codec: Codec, *, python: str | None = None) -> list[Runner]:
    """Return a runner for every runtime of this environment, LiteRT first, and for another environment's Python."""

    def interpreted(name: str, note: str, package: str, load: Callable[[], Any]) -> Runner:
        network = Interpreted(codec, load)
        return Runner(name, f"{name} {version(package)}", note, network.units, network.layers)

    runners = []
    if importlib.util.find_spec("ai_edge_litert"):
        for name, note, resolver in (
            ("LiteRT", "XNNPACK, the default", None),
            ("LiteRT, built-in kernels", "without XNNPACK", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
            ("LiteRT, reference kernels", "plain C++, what TFLM shares", "BUILTIN_REF"),
        ):
            runners.append(interpreted(name, note, "ai-edge-litert", lambda r=resolver: _litert(r)))  # type: ignore[misc]
    if version("tflite-runtime") and int(np.__version__.split(".")[0]) < 2:
        encoder = Encoder(codec, runtime="tflite-runtime")
        identity = f"tflite-runtime {version('tflite-runtime')}"
        runners.append(Runner("tflite-runtime", identity, "what older devices run", encoder.units))
    if importlib.util.find_spec("tensorflow"):
        runners.append(interpreted("TensorFlow Lite", "XNNPACK", "tensorflow", _tensorflow))
    if importlib.util.find_spec("tflite_micro"):
        identity = f"TFLM {version('tflite-micro')}"
        note = "TensorFlow Lite Micro on this machine, reference kernels"
        runners.append(
            Runner(
                "TFLM",
                identity,
                note,
                _micro_units(codec),
                errors=(HeliographError, ImportError, RuntimeError),
            )
        )
    if python:
        runners.append(
            Runner(
                "another environment",
                f"{Path(python).absolute()} {Path(python).stat().st_mtime if Path(python).exists() else 0}",
                "the first runtime of --python",
                lambda picture: other_units(python, codec, [picture])[1][0],
            )
        )
    if not runners:
        raise RuntimeUnavailableError(
            f"parity needs a TFLite runtime: {install('device')}, or leave the part out"
        )
    return runners
