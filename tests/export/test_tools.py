"""Other people's programs are found, run elsewhere, stopped in time, and quoted when they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.errors import ExportError, RuntimeUnavailableError
from heliograph.export.tools import find_tool, last_line, need_tool, run_tool


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A script that says where it runs."""
    path = tmp_path / "bin/tool"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\npwd\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_relative_name_is_found_from_another_folder(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = need_tool("nothing", "bin/tool", "install it")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run_tool([found], folder=elsewhere).stdout.strip() == str(elsewhere)
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_tool("tool") == program


def test_a_missing_program_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match="no-such-tool is not installed: pip install x"):
        need_tool("no-such-tool", None, "pip install x")
    with pytest.raises(
        RuntimeUnavailableError, match="gone is not a program that can be run; give another path"
    ):
        need_tool("no-such-tool", str(tmp_path / "gone"), "pip install x")


def test_a_hanging_program_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"did not end within 0\.2 s and was stopped; run it by hand"):
        run_tool(["/bin/sleep", "20"], folder=tmp_path, timeout=0.2)


def test_something_that_cannot_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"\0\0")
    with pytest.raises(ExportError, match="cannot run"):
        run_tool([tmp_path / "data"], folder=tmp_path)


def test_the_line_that_names_the_error_is_quoted(tmp_path: Path) -> None:
    done = run_tool(
        ["/bin/sh", "-c", "echo start; echo 'Error: bad thing' >&2; echo end >&2; exit 3"], folder=tmp_path
    )
    assert (done.returncode, last_line(done)) == (3, "Error: bad thing")
