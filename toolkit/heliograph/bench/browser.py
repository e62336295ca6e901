"""A headless Chromium for looking at pages: the one that is installed, driven by Playwright.

apt-get install chromium
pip install playwright
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections.abc import Iterator
from typing import Any

from heliograph.errors import RuntimeUnavailableError

BROWSERS = ("chromium", "chromium-headless-shell", "google-chrome", "chromium-browser")


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser and yield Playwright's object for it.

    Raises:
        RuntimeUnavailableError: Playwright or a browser is not installed.
    """
    try:
        playwright: Any = importlib.import_module("playwright.sync_api")
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"Playwright is not installed ({error}): pip install playwright"
        ) from error
    path = next((program for name in BROWSERS if (program := shutil.which(name))), None)
    if path is None:
        raise RuntimeUnavailableError("no Chromium is installed: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()
