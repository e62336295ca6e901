"""Sessions: the handshake of both ends and the packets under it, plain or sealed (LINK.md, sections 2 and 5)."""

from __future__ import annotations

import hashlib
import secrets
import struct
from dataclasses import dataclass

from heliograph.link.wire import keys
from heliograph.link.wire.messages import Message, parse
from heliograph.link.wire.names import is_device

VERSION = 1
NONCE_BYTES = 16
HELLO, WELCOME, REFUSE, UNKNOWN = 0x01, 0x02, 0x03, 0x04
UP, DOWN = 0x10, 0x12  # plain packets of the sender, of the receiver; sealed ones are one higher
REFUSALS = {
    1: "it speaks another version of the link; install the same heliograph at both ends",
    2: "it takes keyed devices only; give --key-file here too",
    3: "it has no key file; give --key-file there too",
    4: "its key is another one; use the same key file at both ends",
}
MAX_PENDING = 1024  # more hellos than a thin line brings between a welcome and the packet that answers it
LAST_COUNTER = (1 << 32) - 1
PACKET = struct.Struct("<BHI")  # kind, session, counter
_HELLO = struct.Struct(f"<BBB{NONCE_BYTES}s")
_WELCOME = struct.Struct(f"<BBB{NONCE_BYTES}s{NONCE_BYTES}sH")
_REFUSE = struct.Struct(f"<BBB{NONCE_BYTES}s")
_UNKNOWN = struct.Struct("<BH")
PACKET_BYTES = PACKET.size


@dataclass(frozen=True)
class Packet:
    """A message of the current session and the number of the packet it came in."""

    counter: int
    message: Message


@dataclass(frozen=True)
class Trouble:
    """A frame that was well-formed and not accepted: a forged, replayed, foreign or illegal one."""

    reason: str


@dataclass(frozen=True)
class Refused:
    """The receiver answered a hello with a refusal; the reason is a key of REFUSALS."""

    reason: int


class Welcomed:
    """A session began."""


class Reset:
    """The other end does not know the session."""


class _Half:
    """One session at one end: numbers and seals of both directions."""

    def __init__(self, number: int, sending: keys.Seal | None, taking: keys.Seal | None, up: bool) -> None:
        self.number = number
        self._sending, self._taking = sending, taking
        sealed = int(sending is not None)
        self._send_kind, self._take_kind = (UP, DOWN) if up else (DOWN, UP)
        self._send_kind += sealed
        self._take_kind += sealed
        self._next = 0
        self._least = 0  # the lowest counter not yet refused as a replay

    @property
    def next_counter(self) -> int:
        return self._next

    def pack(self, message: Message) -> bytes:
        head = PACKET.pack(self._send_kind, self.number, self._next)
        body = message.to_bytes()
        if self._sending is not None:
            body = self._sending.close(self._next, body, head)
        self._next += 1
        return head + body

    def take(self, body: bytes) -> Packet | Trouble | None:
        """Return the packet of a frame; None if the frame is another session's."""
        if len(body) <= PACKET_BYTES:
            return Trouble("a packet is too short")
        kind, number, counter = PACKET.unpack_from(body)
        if number != self.number:
            return None
        if kind != self._take_kind:
            return Trouble("a packet is not of this session's mode")
        if counter < self._least:
            return Trouble("a packet came again and is refused")
        inner: bytes | None = body[PACKET_BYTES:]
        if self._taking is not None and inner is not None:
            inner = self._taking.open(counter, inner, body[:PACKET_BYTES])
            if inner is None:
                return Trouble("a packet was not made with this session's key: forged, or of an old session")
        self._least = counter + 1
        message = parse(inner or b"")
        return Trouble("a packet holds no message") if message is None else Packet(counter, message)


def seals(key: bytes, nonces: bytes, device: str) -> tuple[keys.Seal, keys.Seal]:
    """Return the seals of a session, of the sender's packets and of the receiver's; nonces in this order too."""
    made = keys.derive(key, nonces, f"heliograph link 1 session {device}", 64)
    return keys.Seal(made[:32]), keys.Seal(made[32:])


def hello_body(device: str, nonce: bytes, handshake_key: bytes | None) -> bytes:
    """Return a hello; keyed if there is a key."""
    name = device.encode("ascii")
    body = _HELLO.pack(HELLO, VERSION, handshake_key is not None, nonce) + bytes([len(name)]) + name
    return body if handshake_key is None else body + keys.tag(handshake_key, body)


def welcome_body(
    hello: bytes, nonce: bytes, answer: bytes, number: int, handshake_key: bytes | None
) -> bytes:
    """Return the welcome to a hello of a nonce, with the receiver's nonce `answer`."""
    core = _WELCOME.pack(WELCOME, VERSION, handshake_key is not None, nonce, answer, number)
    return core if handshake_key is None else core + keys.tag(handshake_key, core + hello)


class Initiator:
    """The sender's side: says hello until welcomed, then packs and takes packets."""

    def __init__(self, device: str, key: bytes | None) -> None:
        self._device, self._key = device, key
        self._handshake_key = None if key is None else keys.derive(key, b"", "heliograph link 1 handshake")
        self._session: _Half | None = None
        self.begin()

    @property
    def is_open(self) -> bool:
        return self._session is not None

    @property
    def is_keyed(self) -> bool:
        return self._key is not None

    @property
    def next_counter(self) -> int:
        """Number of the packet that `pack` makes next."""
        return self._session.next_counter if self._session else 0

    def begin(self) -> None:
        """Forget the session; the next hello asks for a new one."""
        self._session = None
        self.nonce = secrets.token_bytes(NONCE_BYTES)
        self.hello = hello_body(self._device, self.nonce, self._handshake_key)

    def pack(self, message: Message) -> bytes:
        """Return the frame body of a message; ValueError without a session."""
        if self._session is None:
            raise ValueError("no session")
        return self._session.pack(message)

    def take(self, body: bytes) -> Packet | Trouble | Refused | Welcomed | Reset | None:
        """Return what a frame of the receiver means here; None for nothing."""
        kind = body[0]
        if kind in (DOWN, DOWN + 1):
            return self._session.take(body) if self._session else None
        if kind == WELCOME:
            return self._welcomed(body)
        if kind == REFUSE and len(body) == _REFUSE.size:
            _, _, reason, nonce = _REFUSE.unpack(body)
            is_ours = nonce == self.nonce and not self.is_open and reason in REFUSALS
            return Refused(reason) if is_ours else None
        if kind == UNKNOWN and len(body) == _UNKNOWN.size:
            is_ours = self._session is not None and _UNKNOWN.unpack(body)[1] == self._session.number
            return Reset() if is_ours else None
        return None  # our own frames come back on a line with echo

    def _welcomed(self, body: bytes) -> Welcomed | Trouble | None:
        core = body[: _WELCOME.size]
        if self.is_open or len(core) < _WELCOME.size:
            return None
        _, version, keyed, echoed, nonce, number = _WELCOME.unpack(core)
        if echoed != self.nonce:
            return None  # an answer to an older hello
        if version != VERSION or keyed != (self._key is not None):
            return Trouble("the receiver's welcome is of another version or mode")
        if self._key is None or self._handshake_key is None:
            if len(body) != len(core):
                return Trouble("the receiver's welcome is malformed")
            self._session = _Half(number, None, None, up=True)
            return Welcomed()
        if not keys.is_tag(self._handshake_key, core + self.hello, body[_WELCOME.size :]):
            return Trouble("the receiver's welcome was not made with this key file")
        up, down = seals(self._key, self.nonce + nonce, self._device)
        self._session = _Half(number, up, down, up=True)
        return Welcomed()


@dataclass
class _Pending:
    device: str
    half: _Half
    welcome: bytes


class Responder:
    """The receiver's side: welcomes devices and keeps the session of the one that spoke last.

    A hello alone ends no session: the new one takes over with its first packet, so that an old hello that is
    played again does no harm.
    """

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self._handshake_key = None if key is None else keys.derive(key, b"", "heliograph link 1 handshake")
        self._pending: dict[bytes, _Pending] = {}  # by the sender's nonce, the oldest first
        self._numbers: dict[int, bytes] = {}  # of those nonces, by session
        self._current: _Half | None = None
        self.device, self.nonce = "", b""  # of the sender, in the session that is

    def pack(self, message: Message) -> bytes:
        """Return the frame body of a message; ValueError without a session."""
        if self._current is None:
            raise ValueError("no session")
        return self._current.pack(message)

    def take(self, body: bytes) -> tuple[bytes | None, Packet | Trouble | None, bool]:
        """Return a frame body to answer with, what the frame means, and whether a new session took over."""
        kind = body[0]
        if kind == HELLO:
            answer, trouble = self._hello(body)
            return answer, trouble, False
        if kind not in (UP, UP + 1):
            return None, None, False
        if self._current is not None:
            content = self._current.take(body)
            if content is not None:
                return None, content, False
        if len(body) <= PACKET_BYTES:
            return None, Trouble("a packet is too short"), False
        number = PACKET.unpack_from(body)[1]
        nonce = self._numbers.get(number)
        if nonce is None:
            return _UNKNOWN.pack(UNKNOWN, number), None, False
        waiting = self._pending[nonce]
        content = waiting.half.take(body)
        if not isinstance(content, Packet):
            return None, content, False
        self._forget(nonce)
        self._current, self.device, self.nonce = waiting.half, waiting.device, nonce
        return None, content, True

    def _hello(self, body: bytes) -> tuple[bytes | None, Trouble | None]:
        start = _HELLO.size + 1
        if len(body) < start:
            return None, Trouble("a hello is too short")
        _, version, keyed, nonce = _HELLO.unpack_from(body)
        end = start + body[start - 1]
        name = body[start:end].decode("ascii", "replace")
        shown = name if is_device(name) else "of an illegal name"

        def refuse(reason: int, why: str) -> tuple[bytes, Trouble]:
            return _REFUSE.pack(REFUSE, VERSION, reason, nonce), Trouble(f"device {shown} refused: {why}")

        if version != VERSION:
            return refuse(
                1, f"it speaks version {version} of the link, expected {VERSION}; update heliograph"
            )
        if keyed > 1:
            return None, Trouble("a hello of an unknown mode")
        if self._key is not None and not keyed:
            return refuse(2, "it has no key, and this receiver takes keyed devices only; give it --key-file")
        if self._key is None and keyed:
            return refuse(3, "it has a key, and this receiver none; give --key-file here")
        if self._handshake_key is not None and not keys.is_tag(self._handshake_key, body[:end], body[end:]):
            return refuse(
                4, "its key is not the one here, or the hello is forged; use the same key file at both"
            )
        if not is_device(name) or (self._handshake_key is None and len(body) != end):
            return None, Trouble("a hello with an illegal device name")
        if nonce not in self._pending:
            if len(self._pending) >= MAX_PENDING:
                self._forget(next(iter(self._pending)))
            made = self._pending[nonce] = self._welcome(body, name, nonce)
            self._numbers[made.half.number] = nonce
        return self._pending[nonce].welcome, None

    def _forget(self, nonce: bytes) -> None:
        del self._numbers[self._pending.pop(nonce).half.number]

    def _welcome(self, hello: bytes, device: str, nonce: bytes) -> _Pending:
        answer = secrets.token_bytes(NONCE_BYTES)
        # Of 16 bits, so that two sessions in sight differ surely; keys and nonces tell all others apart.
        number = int.from_bytes(hashlib.sha256(nonce + answer).digest()[:2], "little")
        while number in self._numbers or (self._current is not None and number == self._current.number):
            number = (number + 1) & 0xFFFF
        welcome = welcome_body(hello, nonce, answer, number, self._handshake_key)
        if self._key is None:
            return _Pending(device, _Half(number, None, None, up=False), welcome)
        up, down = seals(self._key, nonce + answer, device)
        return _Pending(device, _Half(number, down, up, up=False), welcome)
