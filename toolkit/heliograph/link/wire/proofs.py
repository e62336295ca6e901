"""Proofs that who confirms a stream has its bytes: their SHA-256 is on the line, their witness never (LINK.md, 4)."""

from __future__ import annotations

import hashlib

from heliograph.link.wire import keys

PROOF_BYTES = keys.TAG_BYTES
_PURPOSE = b"heliograph link 1 witness"


def witness_of(data: bytes) -> bytes:
    """Return what only who has a stream's bytes can know, and can keep in their place: 32 bytes."""
    digest = hashlib.sha256(_PURPOSE)
    digest.update(data)
    return digest.digest()


def proof_of(witness: bytes, nonce: bytes) -> bytes:
    """Return the proof to the sender of a session, whose nonce that is."""
    return keys.tag(witness, nonce)


def is_proof(witness: bytes, nonce: bytes, candidate: bytes) -> bool:
    """Return whether a proof was made by who has the stream's bytes."""
    return keys.is_tag(witness, nonce, candidate)
