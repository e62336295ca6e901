"""Write vectors.json, the bytes of the link for implementations in other languages (LINK.md).

    python tests/link/make_vectors.py

Run it only when the protocol's version changes: the file is the contract, and test_vectors.py holds the code to it.
"""

from __future__ import annotations

import json
from pathlib import Path

from crc32c import crc32c

from heliograph.link.one_way import frames as one_way
from heliograph.link.wire import keys, messages, proofs, session
from heliograph.link.wire.frames import MAX_BODY, FrameCoder
from heliograph.link.wire.messages import (
    Ack,
    Announce,
    Data,
    Done,
    Gone,
    Have,
    Lost,
    Message,
    Ping,
    Reject,
    Want,
)
from heliograph.packets import packet, word
from heliograph.packets.packetizer import Packetizer
from heliograph.packets.plan import Layer, Plan

KEY, SENDER, RECEIVER = bytes(range(32)), bytes(range(16, 32)), bytes(range(48, 64))
DEVICE, SESSION, NAME = "river-1", 0x1234, "20260101T000000.000000Z-0badcafe.helio"
DIGEST = bytes(range(100, 132))
PICTURE = bytes(range(200, 208))
STREAM = b"\x00picture\x00"
PROOF = proofs.proof_of(proofs.witness_of(STREAM), SENDER)
MESSAGES: dict[str, Message] = {
    "announce": Announce(1, 8000, DIGEST, NAME),
    "announce, another": Announce(200, 1, DIGEST, "a.helio", another=True),
    "data": Data(1, 4096, b"\x00picture\x00"),
    "gone": Gone(16384),
    "ping": Ping(),
    "lost": Lost(PICTURE),
    "have, nothing": Have(1, ()),
    "have, two ranges": Have(1, ((0, 128), (300, 8000))),
    "done": Done(1, DIGEST, PROOF),
    "acknowledge, one packet": Ack(((0, 1),)),
    "acknowledge, three ranges": Ack(((300, 310), (200, 201), (0, 100))),
    "reject": Reject(7, 1),
    "reject, not now": Reject(7, 4),
    "want": Want(PICTURE),
}
ILLEGAL = {
    "empty": "",
    "no such type": "06",
    "announce: reserved flag": "02",
    "ping: byte added": "0400",
    "data: no bytes": "020100",
    "data: number not in shortest form": "0280000041",
    "data: number of five bytes": "0280808080010041",
    "gone: cut": "03",
    "lost: id cut": "05" + PICTURE[:-1].hex(),
    "want: byte added": "85" + PICTURE.hex() + "00",
    "gone: byte added": "030100",
    "done: hash cut": "8201" + DIGEST[:-1].hex(),
    "done: proof cut": "8201" + (DIGEST + PROOF[:-1]).hex(),
    "done: byte added": "8201" + (DIGEST + PROOF).hex() + "00",
    "have: range of no bytes": "81010500",
    "have: ranges that touch": "810100050005",
    "have: beyond the largest stream": "8101808080206f",
    "acknowledge: cut": "83000000",
    "acknowledge: range below 0": "830500000006",
    "acknowledge: no packet missing between": "83050000000000" + "01",
    "reject: no such reason": "840109",
    "announce: empty stream": "01000100" + DIGEST.hex() + b"a.helio".hex(),
    "announce: name with a slash": "01000101" + DIGEST.hex() + b"../a.helio".hex(),
    "announce: hidden name": "01000101" + DIGEST.hex() + b".a.helio".hex(),
    "announce: other suffix": "01000101" + DIGEST.hex() + b"a.helio.partial".hex(),
}


def build() -> dict[str, object]:
    """Return all vectors."""
    coder = FrameCoder()
    bodies = [
        b"\x01",
        b"\x00",
        b"\x00\x00",
        b"\x10\x34\x12\x05\x00\x00\x00\x04",
        bytes(range(1, 256)),
        bytes(600),
    ]
    bodies += [bytes([7]) * n for n in (249, 250, 251, MAX_BODY)]
    handshake = keys.derive(KEY, b"", "heliograph link 1 handshake")
    up, down = session.seals(KEY, SENDER + RECEIVER, DEVICE)
    corrupt = [coder.encode(b"\x01\x02")[:-2], b"\x03" + coder.encode(b"\x01")[1:-1]]
    hellos = {}
    for mode, keyed in (("plain", False), ("keyed", True)):
        hello = session.hello_body(DEVICE, SENDER, handshake if keyed else None)
        welcome = session.welcome_body(hello, SENDER, RECEIVER, SESSION, handshake if keyed else None)
        hellos[mode] = {"hello": hello.hex(), "welcome": welcome.hex()}
    head = session.PACKET.pack(session.UP + 1, SESSION, 5)
    back = session.PACKET.pack(session.DOWN + 1, SESSION, 0)
    data, ack = MESSAGES["data"].to_bytes(), MESSAGES["acknowledge, one packet"].to_bytes()
    packet_key = one_way.packet_key(KEY)
    plan = Plan(len(STREAM), crc32c(STREAM), (Layer(2, 40),), label=one_way.label_of(DEVICE, "a.helio"))
    device = packet.device_number(DEVICE)
    plain, keyed_ = (Packetizer(STREAM, plan, device, 812, key=key) for key in (None, packet_key))
    asked = word.write(word.Word(812, 3), device)
    return {
        "frames": [{"body": body.hex(), "encoded": coder.encode(body).hex()} for body in bodies],
        "corrupt": ["01", "0501", "02ff", *(run.hex() for run in corrupt)],
        "messages": {name: message.to_bytes().hex() for name, message in MESSAGES.items()},
        "illegal_messages": ILLEGAL,
        "sessions": {
            "key": KEY.hex(),
            "device": DEVICE,
            "sender_nonce": SENDER.hex(),
            "receiver_nonce": RECEIVER.hex(),
            "session": SESSION,
            "handshake_key": handshake.hex(),
            **hellos,
            "stream": STREAM.hex(),
            "witness": proofs.witness_of(STREAM).hex(),
            "proof": PROOF.hex(),
            "sealed_from_sender": {
                "counter": 5,
                "message": data.hex(),
                "body": (head + up.close(5, data, head)).hex(),
            },
            "sealed_from_receiver": {
                "counter": 0,
                "message": ack.hex(),
                "body": (back + down.close(0, ack, back)).hex(),
            },
        },
        "one_way": {
            "key": (packet_key or b"").hex(),
            "packets": [(bytes([one_way.PACKET]) + plain.packet(place)).hex() for place in (0, 5)],
            "keyed_packet": (bytes([one_way.PACKET]) + keyed_.packet(5)).hex(),
            "word": (bytes([one_way.WORD]) + asked).hex(),
        },
    }


if __name__ == "__main__":
    assert messages.MAX_RANGES == 64
    text = json.dumps(build(), indent=1)
    Path(__file__).with_name("vectors.json").write_text(text + "\n", encoding="utf-8")
