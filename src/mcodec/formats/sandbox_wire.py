"""What the process that reads a stranger's file and the one that asks for it say to each other.

A message is its length in 4 bytes, little-endian, and msgpack of one of the types below. Nothing
in here can run anything: the process that reads may have been taken over by the file.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from mcodec.errors import McodecError

LENGTH: Final = struct.Struct("<I")
PIECE: Final = 4 << 20  # bytes of a tensor, or of a skeleton, that one answer brings


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="is"):
    pass


class Open(_Message, frozen=True, tag="open"):
    """Limit yourself, say that you are ready, and open this file.

    Attributes
    ----------
    path : bytes
        Absolute, as the file system has it.
    key : str
    memory : int
        Bytes.
    seconds : float
        Of processor time for each answer.
    """

    path: bytes
    key: str
    memory: int
    seconds: float


class AskSkeleton(_Message, frozen=True, tag="skeleton"):
    """Send the skeleton: a `Data` that says how long it is, then pieces of it."""


class Read(_Message, frozen=True, tag="read"):
    """Send elements [start, stop) of a tensor, in pieces of at most `PIECE` bytes."""

    index: int
    start: int
    stop: int


class Ready(_Message, frozen=True, tag="ready"):
    """The limits hold; nothing of the file has been looked at."""


class Opened(_Message, frozen=True, tag="opened"):
    """What a `TensorSource` has as attributes; tensors are name, dtype and shape."""

    format: str
    tensors: list[tuple[str, str, tuple[int, ...]]]
    metadata: dict[str, str]
    same_as: dict[int, int]
    notes: list[str]


class Data(_Message, frozen=True, tag="data"):
    """So many bytes follow the message, as they are; for a skeleton, in pieces later."""

    count: int


class Failed(_Message, frozen=True, tag="failed"):
    """An error instead of an answer. Texts are UTF-8, names of files in them as they are."""

    kind: str
    code: str
    message: bytes
    where: bytes


Request = Open | AskSkeleton | Read
Answer = Ready | Opened | Data | Failed


def encode(message: Request | Answer) -> bytes:
    """Return a message as msgpack, without its length."""
    return msgspec.msgpack.encode(message)


def framed(payload: bytes) -> bytes:
    """Put the length in front of a message."""
    return LENGTH.pack(len(payload)) + payload


def to_bytes(text: str) -> bytes:
    """Return a text that may hold names of files that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def failure(error: McodecError) -> Failed:
    """Return the answer for an error."""
    return Failed(type(error).__name__, error.code, to_bytes(error.message), to_bytes(error.where))
