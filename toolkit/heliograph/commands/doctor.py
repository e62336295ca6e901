"""Say what is installed here for which role, what is found, and what installs the rest: to be pasted into an issue."""

from __future__ import annotations

import argparse
from typing import Any

from heliograph import progress
from heliograph.commands.console import Console
from heliograph.doctor.examination import examine
from heliograph.doctor.hardware import COMPILERS
from heliograph.doctor.roles import ROLES

NAME = "doctor"
HELP = "what is installed for which role, what is found, and what installs the rest"
EXIT_UNFIT = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--role",
        action="append",
        choices=list(ROLES),
        default=[],
        help="exit with 2 if this role cannot work here; may be given again",
    )


def run(arguments: argparse.Namespace) -> int:
    """Examine the installation and print what is found; return the exit code."""
    with progress.bar(None, "examining", leave=False) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        facts = examine(advance)
    Console.of(arguments).result(facts, lines(facts))
    return 0 if all(facts["roles"][role]["works"] for role in arguments.role) else EXIT_UNFIT


def lines(facts: dict[str, Any]) -> list[str]:
    """Return what was found as text, by headings."""
    out = [
        f"heliograph {facts['heliograph']}, Python {facts['python']}, {facts['system']}, {facts['cores']} cores"
    ]
    if facts["board"]:
        out.append(facts["board"])
    out += ["", "roles"]
    for name, role in facts["roles"].items():
        state = "ok" if role["works"] else f"lacks {', '.join(role['missing'])}"
        out.append(_row(name, f"{ROLES[name].what}: {state}"))
        if role["install"]:
            out.append(_row("", role["install"]))
    out += ["", "this installation"]
    slow = "not built: entropy coding is 20 times slower; install a C compiler and install heliograph again"
    out.append(_row("C core", "built" if facts["core"] else slow))
    out += [_row(f"codec {name}", problem or "files as hashed") for name, problem in facts["codecs"].items()]
    out += ["", "runtimes and frameworks"]
    for name, runtime in facts["runtimes"].items():
        state = f"does not run: {runtime['problem']}" if runtime["problem"] else "runs a shipped encoder"
        out.append(_row(name, f"{runtime['version'] or 'version unknown'}, {state}"))
    for name, framework in facts["frameworks"].items():
        devices = framework["problem"] or ", ".join(framework["devices"])
        out.append(_row(name, f"{facts['packages'][name]}, {devices}"))
    for name, delegate in facts["delegates"].items():
        out.append(_row(name, delegate["problem"] or "loads, and finds its device"))
    out += ["", "compilers"]
    for name, version in facts["compilers"].items():
        out.append(_row(name, version or f"not found: {COMPILERS[name][1]}"))
    ports = facts["ports"]
    out += ["", "hardware"]
    out += _list("cameras", facts["cameras"])
    out += _list("serial ports", ["not known without pyserial"] if ports is None else ports)
    out += _list("accelerators", facts["accelerators"])
    out += ["", "packages", "  " + ", ".join(f"{k} {v}".strip() for k, v in facts["packages"].items())]
    return out


def _row(name: str, text: str) -> str:
    return f"  {name:20} {text}"


def _list(name: str, entries: list[str]) -> list[str]:
    return [_row("" if number else name, entry) for number, entry in enumerate(entries or ["none found"])]
