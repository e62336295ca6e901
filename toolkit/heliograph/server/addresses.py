"""Where the page listens, and the address at which it is found there."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from urllib.parse import quote

from heliograph.errors import OutputError

_SOMEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}  # kept for documents, never asked
_HERE = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_OF_THE_HOST = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL}


def is_loopback(host: str) -> bool:
    """Return whether a name or an address, in whatever form, is reached from this machine alone."""
    if host.lower() in ("localhost", "localhost."):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def port_number(text: str) -> int:
    """Parse a port; OutputError if it is none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) < 1 << 16):
        raise OutputError(
            f"port {text!r} is none: expected 0 to 65535; give another --port, or 0 for any that is free"
        )
    return int(text)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; OutputError if it cannot. Whoever reads the address can connect at once."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (
        OSError,
        ValueError,
    ) as error:  # a name that none can be is a UnicodeError, or one with a zero in it
        is_name = isinstance(error, (socket.gaierror, ValueError)) or error.errno in _OF_THE_HOST
        if isinstance(error, ValueError):
            reason: str | None = "it is no name of a machine"
        else:  # Python adds to some what it was doing
            reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        advice = (
            "give --host a name or an address of this machine: 127.0.0.1 for itself alone, 0.0.0.0 for all"
            if is_name
            else "give another --port, or 0 for any"
        )
        raise OutputError(f"cannot listen at {host} port {port}: {reason}; {advice}") from error


def address(listening: socket.socket, token: str | None) -> str:
    """Return the address of the page, with the token, as it is opened in a browser.

    Where all addresses of this machine are listened at, it is the one by which others reach it.
    """
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = _own(listening.family)
    return written(host, port, token)


def written(host: str, port: int, token: str | None) -> str:
    """Return an address as it is written: that of an interface in brackets, a token of any characters."""
    where = f"[{host.replace('%', '%25')}]" if ":" in host else host
    asked = f"?token={quote(token, safe='', errors='surrogateescape')}" if token else ""
    return f"http://{where}:{port}/{asked}"


def _own(family: socket.AddressFamily) -> str:
    """Return this machine's address on the way to others, or the one that it has for itself where there is no way."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((_SOMEWHERE[family], 9))  # of datagrams this sends nothing: it looks up the way
            return str(asking.getsockname()[0])
    except OSError:
        return _HERE[family]
