"""No shipped codec gets worse unnoticed: each meets its require.toml on a small set, and damaged ones do not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.cli import main
from heliograph.codec import registry
from heliograph.codec.codec import ENCODER, ENTROPY, MANIFEST, SERVER, codec_id, sha256
from heliograph.codec.entropy_model import EntropyModel
from heliograph.commands.validate import EXIT_MISSED
from heliograph.validate import gate

REQUIRE = "require.toml"
SHIPPED = registry.shipped()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measurements of the baselines, which all these tests share; a codec's own depend on its hashes."""
    return tmp_path_factory.mktemp("cache") / "cache.sqlite"


def command(folder: Path, cache: Path, held: Path) -> list[str]:
    """The small, fast set."""
    given = ["validate", "--codec", str(folder), "--quick", "--jobs", "1"]
    return [*given, "--cache", str(cache), "--require", str(held)]


def requirements(folder: Path) -> Path:
    """A codec's thresholds; without them a codec cannot be held to anything."""
    held = folder / REQUIRE
    if not held.is_file():
        pytest.fail(
            f"{folder.name} has no {REQUIRE}: look at its report, then make it with "
            f"heliograph validate --codec {folder.name} --quick --write-require {held}"
        )
    return held


def seal(folder: Path) -> None:
    """Make a manifest fit the files of a changed codec, as training would."""
    path = folder / MANIFEST
    facts = json.loads(path.read_text(encoding="utf-8"))
    for name in facts["files"]:
        facts["files"][name] = sha256((folder / name).read_bytes())
    both = [(folder / name).read_bytes() for name in (ENCODER, ENTROPY)]
    facts["id"] = codec_id(*both).hex()
    path.write_text(json.dumps(facts), encoding="utf-8")


def spoil_server(folder: Path) -> None:
    """The server decoder's linear inverse 3 % too strong."""
    path = folder / SERVER
    with np.load(path) as stored:
        arrays = {k: stored[k] for k in stored.files}
    name = next(k for k in arrays if k.endswith("inverse/kernel"))
    arrays[name] = (arrays[name] * 1.03).astype(arrays[name].dtype)
    np.savez_compressed(path, **arrays)


def spoil_entropy(folder: Path) -> None:
    """Every residual and flag coded with a table that is two steps too wide."""
    path = folder / ENTROPY
    model = EntropyModel.from_bytes(path.read_bytes())
    sets = tuple(replace(s, offsets=(s.offsets + 32).astype(np.int16)) for s in model.sets)
    path.write_bytes(replace(model, sets=sets).to_bytes())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_codec_is_as_good_as_it_was(
    name: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = requirements(SHIPPED[name])
    figures = [r.figure for r in gate.load(held)]
    for decoder in ("server", "preview"):
        assert f"rate_distortion.differences.{decoder}.psnr.bd_rate" in figures
    assert main(command(SHIPPED[name], cache, held)) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "figure"),
    [(spoil_server, "server.50.psnr is"), (spoil_entropy, "preview.50.bpp is")],
)
@pytest.mark.parametrize("name", list(SHIPPED)[:1])
def test_a_worse_one_is_stopped(
    name: str,
    spoil: Callable[[Path], None],
    figure: str,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / name
    shutil.copytree(SHIPPED[name], folder, ignore=shutil.ignore_patterns("training"))
    spoil(folder)
    seal(folder)
    assert main(command(folder, cache, requirements(SHIPPED[name]))) == EXIT_MISSED
    assert f"missed: rate_distortion.curves.{figure}" in capsys.readouterr().err
