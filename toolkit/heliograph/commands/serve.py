"""Show the latest pictures of every device on a page that sharpens them as their bytes arrive."""

from __future__ import annotations

import argparse
import importlib
import ipaddress
import os
import secrets
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

from heliograph.commands.console import Console
from heliograph.commands.decode import add_decoder_options, make_decoder
from heliograph.errors import OutputError, RuntimeUnavailableError
from heliograph.extras import install
from heliograph.server.decoders import KINDS

NAME = "serve"
HELP = "a page with the latest pictures, on the host"
TOKEN = "HELIOGRAPH_TOKEN"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--inbox", metavar="DIR", type=Path, required=True, help="what heliograph receive --out writes"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=8480, help="0 for any that is free (%(default)s)")
    parser.add_argument(
        "--token",
        help=f"that whoever looks must have; default: the environment's {TOKEN}, else none where --host is this "
        "machine alone, and a new one otherwise",
    )
    parser.add_argument(
        "--latest",
        type=int,
        choices=range(1, 201),
        default=12,
        metavar="N",
        help="of each device (%(default)s)",
    )
    add_decoder_options(parser, kinds=KINDS)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes; return the exit code."""
    console = Console.of(arguments)
    try:
        uvicorn: Any = importlib.import_module("uvicorn")
        connections: Any = importlib.import_module("heliograph.server.connections")
        page: Any = importlib.import_module("heliograph.server.page")
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"the page needs starlette and uvicorn ({error}): {install('serve')}"
        ) from error
    from heliograph.server.live import Live

    if not arguments.inbox.is_dir():
        raise OutputError(
            f"{arguments.inbox} is not a folder; give the one that heliograph receive --out writes"
        )
    token = arguments.token or os.environ.get(TOKEN) or None
    if token is None and not is_loopback(arguments.host):
        token = secrets.token_urlsafe(24)
    with Live(arguments.inbox, make_decoder(arguments), latest=arguments.latest) as live:
        listening = listen(arguments.host, arguments.port)
        host, port = listening.getsockname()[:2]
        where = f"http://{f'[{host}]' if ':' in host else host}:{port}/" + (
            f"?token={quote(token, safe='', errors='surrogateescape')}" if token else ""
        )
        if console.as_json:
            console.result({"url": where}, where)
        console.note(where)
        uvicorn.Server(connections.make_config(page.make_app(live, token=token))).run(sockets=[listening])
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; OutputError if it cannot. Whoever reads the address can connect at once."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise OutputError(
            f"cannot listen at {host} port {port}: {error.strerror}; give another --port, or 0 for any"
        ) from error


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
