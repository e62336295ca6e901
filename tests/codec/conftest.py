"""Small entropy models with random weights: as general as a fitted one, and made in no time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import ENCODER, ENTROPY, MANIFEST, Codec, codec_id, sha256
from heliograph.codec.coder import Coder
from heliograph.codec.entropy_model import NOT_SENT, TOTAL, EntropyModel, PassNetwork
from heliograph.codec.native_coder import NativeCoder, load_core
from heliograph.codec.numpy_coder import NumpyCoder

CHANNELS = 24
LAYERS = (6, 12, 24)
FEATURES = (3, 5)
TABLES = 16
PREDICTED = 4


def make_model(
    seed: int,
    *,
    layers: tuple[int, ...] = LAYERS,
    features: tuple[int, int] = FEATURES,
    tables: int = TABLES,
    predicted: int = PREDICTED,
) -> EntropyModel:
    """Return a model with random weights and offsets and smooth tables; some channels are not always sent."""
    r = np.random.default_rng(seed)
    channels = layers[-1]

    def weights(*shape: int) -> npt.NDArray[np.int8]:
        return r.integers(-40, 41, shape).astype(np.int8)

    def biases(count: int) -> npt.NDArray[np.int32]:
        return r.integers(-3000, 3000, count).astype(np.int32)

    networks = []
    for layer, stop in enumerate(layers):
        start = layers[layer - 1] if layer else 0
        for second in (False, True):
            own = second or layer == 0
            networks.append(
                PassNetwork(
                    (7, 8, 8),
                    weights(stop if own else start, features[0]),
                    biases(features[0]),
                    weights(3, 3, *features),
                    biases(features[1]),
                    r.integers(-5, 5, features[1]).astype(np.int16),
                    weights(features[1], stop - start),
                    r.integers(-50, 60, stop - start).astype(np.int16) if own else None,
                )
            )
    starts, counts = [], []
    for t in range(tables):
        z = np.arange(min(256, 3 + int(0.8 * 1.7**t)))
        p = np.exp(-z / (0.2 * 1.7**t)) + 1e-3
        frequency = np.maximum(1, np.floor(p / p.sum() * (TOTAL - len(z)))).astype(np.int64)
        frequency[0] += TOTAL - frequency.sum()
        starts.append(np.cumsum(frequency) - frequency)
        counts.append(len(z))
    offsets = r.integers(0, 8 * tables, (4, channels)).astype(np.int16)
    least = max(channels - 3, layers[0])
    offsets[0, least:] = NOT_SENT
    offsets[1, least + 1 :] = NOT_SENT
    fine = r.uniform(30, 60, channels)
    steps = fine[None] * 2.0 ** ((100 - np.arange(101)) / 50)[:, None]
    return EntropyModel(
        tile=4,
        layers=layers,
        features=features,
        order=np.append(r.permutation(predicted), predicted + r.permutation(channels - predicted)).astype(
            np.uint8
        ),
        logarithm=np.minimum(127, np.round(16 * np.log2(1 + np.arange(64)))).astype(np.uint8),
        anchors=np.array([0, 200, 500, 1023], np.uint16),
        steps=np.maximum(16, steps).astype(np.uint16),
        rounding=np.full(101, 110, np.uint8),
        offsets=offsets,
        predict=(1024 * np.eye(predicted) + r.integers(-60, 60, (4, 4, predicted, predicted))).astype(
            np.int16
        ),
        coarse_own=r.integers(-50, 200, (2, layers[0])).astype(np.int16),
        networks=tuple(networks),
        starts=np.concatenate(starts).astype(np.uint16),
        counts=np.array(counts),
    )


def make_latents(seed: int, rows: int, columns: int, scale: float) -> npt.NDArray[np.int8]:
    """Return smooth first channels and Laplacian others, int8 [rows, columns, CHANNELS]."""
    r = np.random.default_rng(seed)
    out = r.laplace(0, scale, (rows, columns, CHANNELS)) * np.linspace(1, 0.1, CHANNELS)
    out[..., :4] += (
        60 * np.sin(np.arange(rows) / 9)[:, None, None] + 30 * np.cos(np.arange(columns) / 7)[:, None]
    )
    return np.clip(np.round(out), -128, 127).astype(np.int8)


@pytest.fixture(scope="session")
def models() -> Callable[[int], EntropyModel]:
    """Random models by seed."""
    return make_model


@pytest.fixture(scope="session")
def latents() -> Callable[[int, int, int, float], npt.NDArray[np.int8]]:
    """Random latents by seed, rows, columns and scale."""
    return make_latents


@pytest.fixture(scope="session")
def coders() -> Callable[[int], tuple[Coder, Coder]]:
    """The numpy and the C coder of a random model."""
    core = load_core()
    assert core is not None, "the C core is not built: pip install -e . with a C compiler, or scripts/setup"

    def pair(seed: int) -> tuple[Coder, Coder]:
        data = make_model(seed).to_bytes()
        return NumpyCoder(data), NativeCoder(data, core)

    return pair


@pytest.fixture(scope="session")
def random_codec(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    """A codec folder with a random entropy model and no network behind its encoder."""
    folder: Path = tmp_path_factory.mktemp("random_codec")
    files = {ENCODER: b"no network", ENTROPY: make_model(1).to_bytes()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = {
        "name": "random",
        "id": codec_id(*files.values()).hex(),
        "tile": 64,
        "channels": CHANNELS,
        "files": {name: sha256(data) for name, data in files.items()},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return Codec(folder)
