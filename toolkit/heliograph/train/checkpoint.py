"""Checkpoints of training: all variables of models in one .npz, optimisers and what was done included."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from heliograph.errors import TrainingError
from heliograph.files import open_regular, write_whole

MOST_BYTES = 1 << 32  # of memory: four times the largest decoder with its optimiser


def save(path: Path, *models: keras.Model, **extra: float) -> None:
    """Write all variables of models, optimisers included, to one .npz, whole or not at all."""
    arrays: dict[str, np.ndarray] = {k: np.asarray(v) for k, v in extra.items()}
    for number, model in enumerate(models):
        for variable in model.variables:
            arrays[f"{number}:{variable.path}"] = np.asarray(variable.value)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_whole(path, buffer.getvalue())


def to_keep(path: Path, *, half: bool = True) -> bytes:
    """Return a checkpoint without its optimiser, in float16 a twelfth of the size: enough to go on from.

    An encoder to be frozen needs `half=False`: in float16 it would be another one.
    """
    buffer = io.BytesIO()
    arrays = {k: v for k, v in _read(path).items() if not k.startswith("1:")}
    if half:
        arrays = {
            k: v.astype(np.float16) if v.dtype == np.float32 and v.ndim else v for k, v in arrays.items()
        }
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def as_start(path: Path) -> bytes:
    """Return a checkpoint's weights as one without an optimiser, steps or seconds behind it: another run's start."""
    buffer = io.BytesIO()
    arrays = {k: v for k, v in _read(path).items() if ":" in k and not k.startswith("1:")}
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a checkpoint, which may lie in the folder of a codec from anyone."""
    try:
        with open_regular(path) as handle:
            unpacked = sum(entry.file_size for entry in zipfile.ZipFile(handle).infolist())
            if unpacked > MOST_BYTES:
                raise ValueError(f"it would take {unpacked} bytes of memory, expected at most {MOST_BYTES}")
            handle.seek(0)
            with np.load(handle, allow_pickle=False) as stored:
                arrays = {k: stored[k] for k in stored.files}
        if odd := [k for k, v in arrays.items() if v.dtype.kind not in "biuf"]:
            raise ValueError(f"{odd[0]!r} holds no numbers")
    except Exception as error:  # whatever broken bytes make of zipfile and numpy
        raise TrainingError(
            f"cannot read checkpoint {path}: {error}; delete it to start the stage anew"
        ) from error
    return arrays


def load(path: Path, *models: keras.Model) -> dict[str, float]:
    """Read what `save` wrote into models of the same shape; return the extra values."""
    arrays = _read(path)
    for number, model in enumerate(models):
        for variable in model.variables:
            key = f"{number}:{variable.path}"
            if key not in arrays or arrays[key].shape != tuple(variable.shape):
                stored_shape = arrays[key].shape if key in arrays else "nothing"
                raise TrainingError(
                    f"checkpoint {path} does not fit: {variable.path} is {tuple(variable.shape)}, "
                    f"the file has {stored_shape}; train with the architecture it was made with"
                )
            variable.assign(arrays.pop(key))
    return {k: float(v) for k, v in arrays.items() if v.ndim == 0}


def holds(path: Path, name: str) -> bool:
    """Return whether the first model of a checkpoint has a variable of a name."""
    return f"0:{name}" in _read(path)


def resume(path: Path, model: keras.Model, optimiser: keras.optimizers.Optimizer) -> dict[str, float]:
    """Read a checkpoint to train on from; the optimiser's state as well, unless the file was made by `to_keep`."""
    has_state = any(key.startswith("1:") for key in _read(path))
    return load(path, *([model, optimiser] if has_state else [model]))
