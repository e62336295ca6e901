"""How fast the server decoder's network runs on a CPU under the runtimes that are here, and whether they agree.

    python -m heliograph.train.experiments.decoder_runtimes CODEC PICTURE [--threads N]

Measured is the network alone on one picture's latents at quality 50: Keras on TensorFlow, as `heliograph decode` runs
it, the same graph as LiteRT's float kernels and, where the package is installed, as OpenVINO in float32. They take
turns; the best of ROUNDS counts.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import registry
from heliograph.codec.levels import from_quality, to_quality
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import HeliographError
from heliograph.pictures import load_srgb
from heliograph.server.compiled import LATENT_UNIT
from heliograph.server.decoder import ServerDecoder

QUALITY = 50
ROUNDS = 5
Floats = npt.NDArray[np.float32]
Run = Callable[[Floats, Floats], Floats]


def frozen_graph(decoder: ServerDecoder, rows: int, columns: int) -> Any:
    """Return a decoder's network for so many latents as a TensorFlow function without variables."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    network = decoder.network
    signature = [
        tf.TensorSpec((1, rows, columns, decoder.codec.channels), "float32", name="latent"),
        tf.TensorSpec((1, 1), "float32", name="quality"),
    ]

    def run(latent: Any, quality: Any) -> Any:
        return network([latent, quality], training=False)

    return convert_variables_to_constants_v2(
        tf.function(run, input_signature=signature).get_concrete_function()
    )


def on_tensorflow(graph: Any) -> Run:
    """Return what runs a graph on TensorFlow."""
    import tensorflow as tf

    def run(latent: Floats, quality: Floats) -> Floats:
        return np.asarray(graph(tf.constant(latent), tf.constant(quality))[0])

    return run


def on_litert(graph: Any, threads: int) -> Run:
    """Return what runs a graph on LiteRT's float kernels."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    converted = tf.lite.TFLiteConverter.from_concrete_functions([graph]).convert()
    interpreter = Interpreter(model_content=converted, num_threads=threads)
    interpreter.allocate_tensors()

    def run(latent: Floats, quality: Floats) -> Floats:
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], latent if len(detail["shape"]) == 4 else quality)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))

    return run


def on_openvino(graph: Any, threads: int) -> Run:
    """Return what runs a graph on OpenVINO; ImportError where that is not installed."""
    import tensorflow as tf

    openvino = importlib.import_module("openvino")
    with tempfile.TemporaryDirectory() as folder:
        tf.io.write_graph(graph.graph.as_graph_def(), folder, "decoder.pb", as_text=False)
        model = openvino.convert_model(Path(folder) / "decoder.pb")
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(model, "CPU", options)
    names = [entry.any_name for entry in compiled.inputs]

    def run(latent: Floats, quality: Floats) -> Floats:
        given = {name: latent if name.startswith("latent") else quality for name in names}
        return np.asarray(compiled(given)[0])

    return run


def measure(
    decoder: ServerDecoder, latent: Floats, quality: Floats, threads: int
) -> list[tuple[str, float, float]]:
    """Return by runtime megapixels per second, and the largest difference from TensorFlow in 8-bit levels.

    Args:
        latent: float32 [1, h, w, C], 1.0 for 128 int8 units.
        quality: float32 [1, 1] in [0, 1].
        threads: of LiteRT and OpenVINO; TensorFlow takes all cores.
    """
    graph = frozen_graph(decoder, *latent.shape[1:3])
    runs = {"TensorFlow": on_tensorflow(graph), "LiteRT, float": on_litert(graph, threads)}
    with contextlib.suppress(ImportError):
        runs["OpenVINO"] = on_openvino(graph, threads)
    shown = {name: run(latent, quality) for name, run in runs.items()}
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            began = time.perf_counter()
            run(latent, quality)
            best[name] = min(best[name], time.perf_counter() - began)
    pixels = 256 * latent.shape[1] * latent.shape[2] / 1e6
    known = shown["TensorFlow"]
    return [(name, pixels / best[name], 255 * float(np.abs(shown[name] - known).max())) for name in runs]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each runtime; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("codec", help="a codec's name or folder")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="(%(default)s)")
    a = parser.parse_args(arguments)
    try:
        codec = registry.open_codec(a.codec)
        stream = Encoder(codec).encode(load_srgb(a.picture), Rate(quality=QUALITY))
        latent = decode_stream(stream, codec).values[None].astype(np.float32) / np.float32(LATENT_UNIT)
        quality = np.full((1, 1), to_quality(from_quality(QUALITY)) / 100, np.float32)
        for name, speed, apart in measure(ServerDecoder(codec, padded=False), latent, quality, a.threads):
            print(f"{name:<16} {speed:6.2f} MP/s, at most {apart:.4f} levels apart")
    except HeliographError as error:
        print(f"decoder_runtimes: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
