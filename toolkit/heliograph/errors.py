"""The one error tree: every failure a user can cause is a HeliographError with a next step in it."""

from __future__ import annotations


class HeliographError(Exception):
    """Base of every error this package raises on purpose; its text is one line for the user."""


class PictureError(HeliographError):
    """A file is not a picture that can be read, or its size is outside the limits."""


class RateError(HeliographError, ValueError):
    """A quality or a budget is out of range, or more than one was given."""


class StreamError(HeliographError):
    """A .helio stream is malformed, cut, corrupt, or for another codec."""


class PacketError(HeliographError):
    """Packets cannot be made as asked: their size, number or key, or a picture that they cannot carry."""


class ReferenceMissing(StreamError):
    """A stream refers to a picture whose values are not here; with them it would decode.

    Attributes:
        picture_id: 8 bytes that name the picture.
        depth: how many pictures the stream builds on, 1 to 63.
    """

    def __init__(self, picture_id: bytes, depth: int) -> None:
        chain = "" if depth == 1 else f", the last of a chain of {depth}"
        super().__init__(
            f"stream refers to picture {picture_id.hex()}{chain}, which is not here; give that picture's stream too, "
            "or with --memory the folder that holds it"
        )
        self.picture_id, self.depth = picture_id, depth


class CodecError(HeliographError):
    """A codec folder is missing, incomplete, changed, or inconsistent."""


class RuntimeUnavailableError(HeliographError):
    """A TFLite runtime, delegate, Keras backend or camera library that was asked for cannot be loaded."""


class TrainingError(HeliographError):
    """Training cannot start or go on: no pictures, a bad checkpoint, a missing stage."""


class ConversionError(HeliographError):
    """A converted .tflite model breaks a promise: tensor types, operations, scales, agreement."""


class OutputError(HeliographError):
    """An output file cannot be written; nothing half-written was left behind."""


class NotNowError(OutputError):
    """A stream cannot be kept at present: the disk is full, a quota is used up, its folder is in use. Others may be."""


class FolderLostError(NotNowError):
    """A device's folder is in use by another receiver, or was removed: room made in it would not help."""


class LinkError(HeliographError):
    """A port cannot be opened, the other end refuses, a key file is not usable, a package of the link is missing."""


class ExportError(HeliographError):
    """A codec does not fit the device it is exported to, or a tool of the device's maker failed."""


class SpoolError(HeliographError):
    """A spool's folder cannot be used or has no room, or a picture is no longer in it."""


class SpoolBoundError(SpoolError):
    """A stream is larger than its spool may ever be."""


class CameraError(HeliographError):
    """A picture source cannot be opened, or gave no picture."""


def cause(error: Exception) -> str:
    """Return what another package's error says, and of which kind it is where its text alone tells little."""
    return str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
