"""The command `heliograph`: parses arguments, runs one command, turns errors into a line and exit code 2."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
import warnings
from collections.abc import Sequence

from heliograph import __version__, chatter, progress
from heliograph.commands import console
from heliograph.commands.console import report_error
from heliograph.errors import HeliographError, OutputError

# Each module has NAME, HELP, configure(parser) and run(arguments) -> exit code, and imports TensorFlow and
# Keras only inside run: encoding must work where they are not installed.
COMMANDS = (
    "encode",
    "decode",
    "info",
    "inspect",
    "standalone",
    "capture",
    "send",
    "receive",
    "serve",
    "train",
    "calibrate",
    "validate",
    "export",
    "doctor",
)
EXIT_ERROR = 2


def build_parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser of the commands that are named; their modules are imported, and no others."""
    parser = argparse.ArgumentParser(
        prog="heliograph",
        description="Learned image compression for cameras behind thin links.",
        epilog="heliograph COMMAND --help describes a command.",
    )
    parser.add_argument("--version", action="version", version=f"heliograph {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in names:
        module = importlib.import_module(f"heliograph.commands.{name}")
        command = commands.add_parser(module.NAME, help=module.HELP, description=module.__doc__)
        module.configure(command)
        console.add_options(command)
        command.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 2 an error, 130 interrupted.

    141 where whoever reads the output stops reading, as `head` does.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words:
        build_parser().print_help()
        return 0
    # On a small device the modules of all commands take half a second: only --help and mistakes need them.
    parsed = build_parser(words[:1] if words and words[0] in COMMANDS else COMMANDS).parse_args(words)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As on standard error: a name that the terminal's encoding lacks is shown somehow, and stops nothing.
        sys.stdout.reconfigure(errors="backslashreplace")
    console.show_logged()
    progress.be_quiet(parsed.quiet)
    (chatter.show if parsed.verbose else chatter.silence)()
    # Pillow's warning of honest 100 megapixels: the limit of a stream is checked before a pixel is decoded.
    warnings.filterwarnings("ignore", "Image size .* could be decompression bomb")
    try:
        return int(parsed.run(parsed))
    except HeliographError as error:
        report_error(error)
        return EXIT_ERROR
    except (
        BrokenPipeError
    ):  # whoever read the output has seen enough; the interpreter must not try to flush it
        console.mute()
        return 141
    except OSError as error:
        if error.filename is None:
            raise
        # Of a path on the command line that the system does not take at all, as one whose name is too long.
        report_error(OutputError(f"{error.filename}: {error.strerror}; check the path"))
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("heliograph: interrupted", file=sys.stderr)
        return 130
