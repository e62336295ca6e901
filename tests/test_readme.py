"""Pages for people are true: `sh` and `python` blocks run as they stand, links lead somewhere, names exist.

Blocks marked `console` need hardware, hours or a package index, and are not run.
"""

from __future__ import annotations

import importlib
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
PACKAGE = ROOT / "toolkit/heliograph"
FOLDERS = (ROOT, PACKAGE, *(ROOT / "firmware_models").glob("*/"))
PAGES = {
    page.relative_to(ROOT).as_posix(): page for folder in FOLDERS for page in sorted(folder.glob("*.md"))
}
TEXTS = {name: page.read_text(encoding="utf-8") for name, page in PAGES.items()}
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = {name: found for name, text in TEXTS.items() if (found := BLOCK.findall(text))}
each_page = pytest.mark.parametrize("page", PAGES)


@pytest.fixture
def folder(tmp_path: Path, shipped: Codec) -> Path:
    """A folder with photo.jpg, photos/ and the repository's scripts."""
    (tmp_path / "photos").mkdir()
    for path in sample_pictures(colour_only=True)[:2]:
        Image.open(path).convert("RGB").save(tmp_path / "photos" / f"{path.stem}.jpg")
    Image.open(sample_pictures(colour_only=True)[2]).convert("RGB").save(tmp_path / "photo.jpg")
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    return tmp_path


@pytest.mark.parametrize("page", BLOCKS)
def test_blocks_run_in_order(page: str, folder: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for language, block in BLOCKS[page]:
        shell = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*shell, block],
            cwd=folder,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_the_readme_is_short_and_has_blocks_to_run() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 140
    assert {language for language, _ in BLOCKS["README.md"]} == {"sh", "python"}


def test_the_readme_names_what_it_is_bad_at() -> None:
    text = " ".join(TEXTS["README.md"].split())
    assert "On text, saturated colours and gratings JPEG is better at high qualities" in text


@each_page
def test_scripts_and_commands_exist(page: str) -> None:
    for script in re.findall(r"scripts/([\w-]+(?:\.py)?)", TEXTS[page]):
        path = ROOT / "scripts" / script
        assert path.is_file(), script
        assert path.suffix == ".py" or os.access(path, os.X_OK), script
    for name in re.findall(r"(?:^|`)heliograph ([a-z]+)", TEXTS[page], re.MULTILINE):
        assert (PACKAGE / "commands" / f"{name}.py").is_file(), name


@each_page
def test_modules_and_what_is_in_them_exist(page: str) -> None:
    for name in re.findall(r"\bheliograph(?:\.[A-Za-z_]\w*){2,}", TEXTS[page]):
        path = ROOT / "toolkit" / name.replace(".", "/")
        if not (path.is_dir() or path.with_suffix(".py").is_file()):
            module, _, attribute = name.rpartition(".")
            assert hasattr(importlib.import_module(module), attribute), name


@each_page
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXTS[page]):
        assert target.startswith("https://") or (PAGES[page].parent / target).exists(), target
