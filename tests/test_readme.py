"""The README's blocks marked `sh` and `python` are run as they stand, in a folder with photographs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from heliograph.codec.codec import Codec
from heliograph.samples import sample_pictures

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, shipped: Codec) -> Path:
    """A folder with photo.jpg, photos/ and the repository's scripts."""
    (tmp_path / "photos").mkdir()
    for path in sample_pictures(colour_only=True)[:2]:
        Image.open(path).convert("RGB").save(tmp_path / "photos" / f"{path.stem}.jpg")
    Image.open(sample_pictures(colour_only=True)[2]).convert("RGB").save(tmp_path / "photo.jpg")
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    return tmp_path


@pytest.mark.parametrize(("language", "text"), BLOCKS)
def test_block_runs(language: str, text: str, folder: Path) -> None:
    command = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_there_are_blocks_to_run() -> None:
    assert {language for language, _ in BLOCKS} == {"sh", "python"}


def test_commands_named_in_the_readme_exist() -> None:
    for script in re.findall(r"scripts/([\w-]+)", README):
        assert os.access(ROOT / "scripts" / script, os.X_OK), script
    for name in re.findall(r"`heliograph (\w+)", README):
        assert (ROOT / "toolkit/heliograph/commands" / f"{name}.py").is_file(), name


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
