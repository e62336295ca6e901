"""What systemd needs to run capture for years: a unit file, and signs of life from the process."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path

WATCHDOG = 600  # seconds without a sign of life after which systemd kills and starts anew: a camera may hang

_UNIT = """\
[Unit]
Description=Heliograph capture into {spool}
RequiresMountsFor={mount}
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
WorkingDirectory={folder}
User={user}
{groups}Restart={restart}
RestartSec=5
# SIGTERM goes to capture alone, which finishes the picture in hand and then ends its sender.
KillMode=mixed
TimeoutStopSec=120
WatchdogSec={watchdog}
Environment=PYTHONUNBUFFERED=1
NoNewPrivileges=yes
ProtectSystem=full

[Install]
WantedBy=multi-user.target
"""


def quote(word: str) -> str:
    """Return a word as ExecStart takes it: quoted if need be, and nothing in it expanded."""
    plain = word.replace("%", "%%").replace("$", "$$")
    if word and not set(word) & set(" \t\"'\\;"):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def make_unit(
    command: Sequence[str], *, spool: Path, user: str, groups: Sequence[str], is_endless: bool
) -> str:
    """Return the text of a service unit that runs a command in this folder from boot on, again whenever it ends.

    Args:
        command: program, an absolute path, and arguments.
        spool: absolute; the unit waits until what it lies on is mounted.
        user, groups: who runs it, and groups beside the user's own, for the camera and the port.
        is_endless: whether a regular end is none; else it is only started again after a failure.
    """
    place = str(spool).replace("%", "%%")
    return _UNIT.format(
        spool=place,
        folder=str(Path.cwd()).replace("%", "%%"),
        mount=quote(str(spool)).replace("$$", "$"),
        command=" ".join(map(quote, command)),
        user=user,
        groups=f"SupplementaryGroups={' '.join(groups)}\n" if groups else "",
        restart="always" if is_endless else "on-failure",
        watchdog=WATCHDOG,
    )


def notify(state: str) -> None:
    """Tell systemd a state, such as READY=1 or WATCHDOG=1; nothing happens if it did not start this process."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract names
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(state.encode(), address)
