"""`heliograph serve` as a process: when it starts, what it prints, and how it is refused."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")

from tests.server.served import ask, until

from heliograph.cli import main
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder
from heliograph.server.addresses import is_loopback, written

Arrive = Callable[..., Path]


@contextmanager
def started(
    inbox: Path, codec_folder: Path, *options: str, **environment: str
) -> Iterator[tuple[str, list[str]]]:
    """Start the command; yield the address that it prints, and the lines before."""
    command = [
        sys.executable,
        "-m",
        "heliograph",
        "serve",
        "--inbox",
        str(inbox),
        "--codec",
        str(codec_folder),
    ]
    command += ["--decoder", "preview", *options]
    surroundings = os.environ | {"HELIOGRAPH_TOKEN": ""} | environment
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=surroundings) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline()]
        while "http://" not in lines[-1] and lines[-1]:
            lines.append(process.stderr.readline())
        try:
            yield lines[-1].split()[-1] if lines[-1] else "", lines[:-1]
        finally:
            process.terminate()


def opened(url: str) -> int:
    """Open an address as a browser does, with the cookie that it leaves; return the state of what is shown."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    status, headers, _ = ask(parts.port or 80, f"/?{parts.query}" if parts.query else "/", address=host)
    if status != 303:
        return status
    cookie = headers["set-cookie"].partition(";")[0]
    return ask(parts.port or 80, "/news", address=host, cookie=cookie)[0]


def test_it_starts_before_the_first_reception(
    tmp_path: Path,
    codec_folder: Path,
    encoder: Encoder,
    arrive: Arrive,
    paint: Callable[[int, int], npt.NDArray[np.uint8]],
) -> None:
    inbox = tmp_path / "not/there/yet"
    with started(inbox, codec_folder, "--port", "0") as (url, before):
        assert before == [
            f"heliograph: {inbox} is not there yet; pictures appear when heliograph receive --out has made it\n"
        ]
        port = urlsplit(url).port or 0
        assert json.loads(ask(port, "/news")[2])["news"] == []
        stream = encoder.encode(paint(97, 61), Rate(quality=40))
        arrive(inbox, "cam", "a.helio", stream, [(0, len(stream))])
        until(lambda: ask(port, "/view/cam/a.jpg")[0] == 200)


@pytest.mark.parametrize(
    ("host", "token"),
    [
        *(
            (host, token)
            for host in ("127.3.2.1", "::1", "localhost", "0.0.0.0", "::")
            for token in ("", "s3cret")
        ),
        *(
            ("127.0.0.1", token)
            for token in ("-a b;c=%d&e#f/?+", "schl\u00fcssel \u2713", "\udcff\udc80", "x" * 1000)
        ),
    ],
)
def test_the_printed_address_works(tmp_path: Path, codec_folder: Path, host: str, token: str) -> None:
    if ":" in host and not _has_ipv6():
        pytest.skip("no IPv6 here")
    with started(tmp_path, codec_folder, "--port", "0", "--host", host, f"--token={token}") as (url, before):
        assert before == []
        parts = urlsplit(url)
        assert bool(parts.query) == bool(token or not is_loopback(host))
        assert parts.hostname not in ("0.0.0.0", "::")  # that is no place to go to
        assert opened(url) == 200


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_an_address_of_one_interface_is_written_as_addresses_are() -> None:
    assert written("fe80::1%eth0", 8480, "a b") == "http://[fe80::1%25eth0]:8480/?token=a%20b"
    assert written("10.0.0.1", 80, None) == "http://10.0.0.1:80/"


def test_loopback_addresses_are_known() -> None:
    here = (
        "127.0.0.1",
        "::1",
        "localhost",
        "LocalHost",
        "localhost.",
        "127.3.2.1",
        "::ffff:127.0.0.1",
        "0:0::1",
    )
    assert [host for host in here if not is_loopback(host)] == []
    elsewhere = ("0.0.0.0", "::", "192.168.0.2", "camera.example", "", "localhost.example", "::ffff:10.0.0.1")
    assert [host for host in elsewhere if is_loopback(host)] == []


def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Return the one line of error."""
    assert main(["serve", "--inbox", str(tmp_path), "--decoder", "preview", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_port_in_use_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        assert refused(tmp_path, capsys, "--port", number) == (
            f"heliograph: error: cannot listen at 127.0.0.1 port {number}: Address already in use; "
            "give another --port, or 0 for any"
        )


@pytest.mark.parametrize("port", ["65536", "-1", "99999999999", "http", "", "80.5", "\u0661", " 80"])
def test_a_port_that_is_none_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], port: str
) -> None:
    line = refused(tmp_path, capsys, f"--port={port}")
    assert line.startswith("heliograph: error: port ")
    assert line.endswith("is none: expected 0 to 65535; give another --port, or 0 for any that is free")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a..b",
        "\u00fc" * 80,
        "http://0.0.0.0",
        "127.0.0.1:8480",
        "[::1]",
        "192.0.2.7",
        "256.1.1.1",
        "a b",
    ],
)
def test_a_host_that_is_none_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    line = refused(tmp_path, capsys, "--host", host, "--port", "0")
    assert line.startswith("heliograph: error: cannot listen at ")
    assert "give --host a name or an address of this machine" in line


def test_a_new_token_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HELIOGRAPH_TOKEN", raising=False)
    line = refused(tmp_path, capsys, "--quiet", "--host", "0.0.0.0", "--port", "0")
    assert line == (
        "heliograph: error: with --quiet nobody would be told the new token; give one with --token, or use --json"
    )


def test_an_inbox_that_is_a_file_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "none")
    for name in ("file", "link"):
        assert main(["serve", "--inbox", str(tmp_path / name)]) == 2
        line = f"{tmp_path / name} is not a folder; give the one that heliograph receive --out writes"
        assert capsys.readouterr().err == f"heliograph: error: {line}\n"
