"""Receive streams over a serial link into a folder for each device; acknowledges only what is on the disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.commands.send import add_link_options, required, teller
from heliograph.link import keys
from heliograph.link.beacon import BeaconReceiver
from heliograph.link.drive import Stop, drive
from heliograph.link.port import Port
from heliograph.link.receiver import Receiver
from heliograph.link.store import Store

NAME = "receive"
HELP = "streams from a serial link, on the host"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_link_options(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="streams are kept as DIR/<device>/<name>")


def run(arguments: argparse.Namespace) -> int:
    """Receive until a signal comes; return the exit code."""
    required(arguments, "port", "out")
    key = keys.read_key_file(arguments.key_file) if arguments.key_file else None
    store = Store(arguments.out)
    end = BeaconReceiver(store, key=key) if arguments.one_way else Receiver(store, key=key)
    stop = Stop()
    tell = teller(as_json=arguments.json)
    with stop.on_signals():
        try:
            drive(
                end,
                lambda: Port(arguments.port, arguments.baud, hardware_flow=arguments.rtscts),
                stop,
                tell=tell,
                is_over=lambda: False,
                keep_trying=True,
            )
            end.close()
        finally:
            for event in end.take_events():
                tell(event)
            store.close()
    return 0
