"""Pictures to train on, and the run that the tests' small codec comes from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.small_codec import small_run

from heliograph.samples import copy_samples
from heliograph.train import context_rate, perception
from heliograph.train.run import Run


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_samples(tmp_path_factory.mktemp("photos"))


@pytest.fixture(autouse=True)
def few_calibration_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrate ranges on an eighth of the usual crops."""
    monkeypatch.setattr("heliograph.train.run.CALIBRATION_CROPS", 16)


@pytest.fixture(autouse=True)
def no_compilation(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Leave XLA out but in slow tests: it compiles for most of a minute what a test runs a few times."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr(context_rate, "compiled", lambda function: function)
        monkeypatch.setattr(perception, "_seen_compiled", perception.seen_error)


@pytest.fixture(scope="session")
def finished(codec_folder: Path) -> Run:
    """The small codec's run, all of whose stages are done; not to be written to."""
    return small_run(codec_folder.parent)


@pytest.fixture
def finished_copy(finished: Run, tmp_path: Path) -> Run:
    """A copy of that run."""
    return replace(finished, folder=shutil.copytree(finished.folder, tmp_path / "finished"))
