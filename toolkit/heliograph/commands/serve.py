"""Show the latest pictures of every device on a page that sharpens them as their bytes arrive."""

from __future__ import annotations

import argparse
import importlib
import os
import secrets
from pathlib import Path
from typing import Any

from heliograph.commands.console import Console
from heliograph.commands.decode import add_decoder_options, make_decoder
from heliograph.errors import OutputError, RuntimeUnavailableError
from heliograph.extras import install
from heliograph.server.addresses import address, is_loopback, listen, port_number
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
    parser.add_argument("--port", default="8480", help="0 for any that is free (%(default)s)")
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

    port = port_number(arguments.port)
    if not arguments.inbox.is_dir():
        if os.path.lexists(arguments.inbox):
            raise OutputError(
                f"{arguments.inbox} is not a folder; give the one that heliograph receive --out writes"
            )
        console.note(
            f"{arguments.inbox} is not there yet; pictures appear when heliograph receive --out has made it"
        )
    token = arguments.token or os.environ.get(TOKEN) or None
    if token is None and not is_loopback(arguments.host):
        if console.is_quiet and not console.as_json:
            raise OutputError(
                "with --quiet nobody would be told the new token; give one with --token, or use --json"
            )
        token = secrets.token_urlsafe(24)
    with Live(arguments.inbox, make_decoder(arguments), latest=arguments.latest) as live:
        listening = listen(arguments.host, port)
        where = address(listening, token)
        if console.as_json:
            console.result({"url": where}, where)
        console.note(where)
        uvicorn.Server(connections.make_config(page.make_app(live, token=token))).run(sockets=[listening])
    return 0
