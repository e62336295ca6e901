"""Small entropy models with random weights: as general as a fitted one, and made in no time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import ENCODER, ENTROPY, MANIFEST, Codec, codec_id, sha256
from heliograph.codec.coder import Coder
from heliograph.codec.entropy_model import TOTAL, ContextSet, EntropyModel, PassNetwork, ReferenceTerms
from heliograph.codec.masking import Masking
from heliograph.codec.native_coder import NativeCoder, load_core
from heliograph.codec.numpy_coder import NumpyCoder
from heliograph.codec.values import UNIT, Values

CHANNELS = 24


@dataclass(frozen=True)
class Shape:
    """How large an entropy model is: ends of layers, size of groups, features of both sets, numbers of tables."""

    layers: tuple[int, ...] = (6, 12, CHANNELS)
    group: int = 4  # the last group of the first two layers has two channels
    features: tuple[tuple[int, int], tuple[int, int]] = ((3, 5), (4, 6))
    tables: int = 16
    flags: int = 8
    predicted: int = 4

    def start(self, layer: int) -> int:
        """Return the first channel of a layer."""
        return self.layers[layer - 1] if layer else 0

    def columns(self, layer: int) -> int:
        """Return how many channels and groups a layer has."""
        count = self.layers[layer] - self.start(layer)
        return count + -(-count // self.group)


SMALL = Shape()
SHAPES = (
    Shape((5,), 1, ((1, 1), (16, 32)), predicted=0),
    Shape((21, 64, 128, 256), 16, ((16, 32), (16, 32)), predicted=16),
    Shape((40, 300), 32, ((8, 16), (5, 7)), predicted=32),
    Shape((3, 4, 5, 6, 7, 8, 9, 10), 3, ((2, 3), (3, 2)), predicted=3),
    Shape((17, 512), 9, ((15, 31), (3, 9)), predicted=5),
    Shape((25, 73), 24, ((7, 17), (9, 25)), predicted=1),
)


def make_network(
    r: np.random.Generator, shape: Shape, layer: int, known: int, *, own: bool, referring: bool
) -> PassNetwork:
    """Return a network with random weights, of a layer and of what is known of this picture."""
    first, second = shape.features[referring]
    stop, columns = shape.layers[layer], shape.columns(layer)
    count = stop - shape.start(layer)

    def weights(*shape: int) -> npt.NDArray[np.int8]:
        return r.integers(-40, 41, shape).astype(np.int8)

    def biases(count: int) -> npt.NDArray[np.int32]:
        return r.integers(-3000, 3000, count).astype(np.int32)

    def words(count: int, most: int) -> npt.NDArray[np.int16]:
        return r.integers(-most, most, count).astype(np.int16)

    terms = None
    if referring:
        near = words(columns, 40) if own else None
        terms = ReferenceTerms(
            words(second, 5), near, words(columns, 40), weights(second, count), biases(count) + 2000
        )
    return PassNetwork(
        (7, 8, 8, 7 if referring else 0),
        weights(2 * known + stop if referring else known, first),
        biases(first),
        weights(3, 3, first, second),
        biases(second),
        words(second, 5),
        weights(second, columns),
        words(columns, 55) if own else None,
        terms,
    )


def make_set(r: np.random.Generator, shape: Shape, number: int) -> ContextSet:
    """Return a set of contexts with random weights and offsets."""
    networks = []
    layers = range(len(shape.layers))
    for layer in layers:
        if number and not layer:
            networks.append(make_network(r, shape, layer, 0, own=True, referring=True))
        for second in (False, True):
            own = second or layer == 0
            known = shape.layers[layer] if own else shape.start(layer)
            networks.append(make_network(r, shape, layer, known, own=own, referring=bool(number)))
    channels = shape.layers[-1]
    groups = sum(map(shape.columns, layers)) - channels
    offsets = np.concatenate(
        [r.integers(0, 8 * shape.tables, (4, channels)), r.integers(0, 16 * shape.flags, (4, groups))], axis=1
    )
    coarse = None if number else r.integers(-50, 200, (2, shape.columns(0))).astype(np.int16)
    return ContextSet(shape.features[number], offsets.astype(np.int16), coarse, tuple(networks))


def make_model(seed: int, sets: int = 2, shape: Shape = SMALL) -> EntropyModel:
    """Return a model with random weights and offsets and smooth tables, for pictures alone and with a reference."""
    r = np.random.default_rng(seed)
    channels, predicted = shape.layers[-1], shape.predicted
    starts, counts = [], []
    for t in range(shape.tables):
        z = np.arange(min(256, 3 + int(0.8 * 1.7**t)))
        p = np.exp(-z / (0.2 * 1.7**t)) + 1e-3
        frequency = np.maximum(1, np.floor(p / p.sum() * (TOTAL - len(z)))).astype(np.int64)
        frequency[0] += TOTAL - frequency.sum()
        starts.append(np.cumsum(frequency) - frequency)
        counts.append(len(z))
    fine = r.uniform(16, 60, channels)
    steps = fine[None] * 2.0 ** (np.arange(25, -1, -1) * 4 / 50)[:, None]
    return EntropyModel(
        tile=4,
        layers=shape.layers,
        group=shape.group,
        order=np.append(r.permutation(predicted), predicted + r.permutation(channels - predicted)).astype(
            np.uint16
        ),
        logarithm=np.minimum(127, np.round(16 * np.log2(1 + np.arange(64)))).astype(np.uint8),
        anchors=np.array([0, 200, 500, 1023], np.uint16),
        steps=np.maximum(16, steps).astype(np.uint16),
        rounding=np.full(26, 110, np.uint8),
        masking=Masking(1, np.array([5, 10, 40, 70], np.uint16), np.array([100, 30, 255, 40], np.uint8)),
        predict=(1024 * np.eye(predicted) + r.integers(-60, 60, (4, 4, predicted, predicted))).astype(
            np.int16
        ),
        sets=tuple(make_set(r, shape, number) for number in range(sets)),
        starts=np.concatenate(starts).astype(np.uint16),
        counts=np.array(counts),
        zeros=np.linspace(1, TOTAL - 1, shape.flags).astype(np.uint16),
    )


def make_latents(seed: int, rows: int, columns: int, scale: float) -> Values:
    """Return smooth first channels and Laplacian others, int16 [rows, columns, CHANNELS] of whole units."""
    r = np.random.default_rng(seed)
    out = r.laplace(0, scale, (rows, columns, CHANNELS)) * np.linspace(1, 0.1, CHANNELS)
    out[..., :4] += (
        60 * np.sin(np.arange(rows) / 9)[:, None, None] + 30 * np.cos(np.arange(columns) / 7)[:, None]
    )
    return (UNIT * np.clip(np.round(out), -128, 127)).astype(np.int16)


@pytest.fixture(scope="session")
def models() -> Callable[..., EntropyModel]:
    """Random models by seed and number of sets of contexts."""
    return make_model


@pytest.fixture(scope="session")
def latents() -> Callable[[int, int, int, float], Values]:
    """Random latents by seed, rows, columns and scale."""
    return make_latents


@pytest.fixture(scope="session")
def coders() -> Callable[..., tuple[Coder, Coder]]:
    """The numpy and the C coder of a random model, by seed and number of sets of contexts."""
    core = load_core()
    assert core is not None, "the C core is not built: pip install -e . with a C compiler, or scripts/setup"

    def pair(seed: int, sets: int = 2) -> tuple[Coder, Coder]:
        data = make_model(seed, sets).to_bytes()
        return NumpyCoder(data), NativeCoder(data, core)

    return pair


@pytest.fixture(scope="session", params=SHAPES, ids=lambda shape: "-".join(map(str, shape.layers)))
def shaped_coders(request: pytest.FixtureRequest) -> tuple[Coder, Coder]:
    """The numpy and the C coder of a random model of a shape: vectors of C end elsewhere."""
    core = load_core()
    assert core is not None
    data = make_model(5, shape=request.param).to_bytes()
    return NumpyCoder(data), NativeCoder(data, core)


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
