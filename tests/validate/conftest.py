"""What several tests of validation examine: the small codec with its preview decoder."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from heliograph.codec.codec import Codec
from heliograph.server.decoders import open_decoder
from heliograph.validate.subject import Subject


@pytest.fixture(scope="session")
def subject_of() -> Callable[[Codec], Subject]:
    """Return a codec as a subject with its preview decoder, which loads in no time."""

    def subject(codec: Codec) -> Subject:
        return Subject(codec, lambda kind: open_decoder(kind, codec).decode, decoders=("preview",))

    return subject


@pytest.fixture(scope="session")
def subject(codec: Codec, subject_of: Callable[[Codec], Subject]) -> Subject:
    """The small codec."""
    return subject_of(codec)
