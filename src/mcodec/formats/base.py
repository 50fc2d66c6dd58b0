"""What a model format offers: a source to read lazily, and a sink to fill.

`api` joins a source with the container's writer, and the container's reader with a sink; a
format knows nothing of `.mc` files, and the container nothing of formats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import msgspec

from mcodec.errors import FormatError, one_line
from mcodec.limits import MAX_CARRIED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.types import TensorSpec

# Where a file of one format carries the skeleton of another (spec/skeletons.md, "Carrying").
SKELETON_KEY: Final = "mcodec.skeleton"
SKELETON_FILE: Final = f"{SKELETON_KEY}.json"  # in an archive
VERSION: Final = 1  # of all skeletons
OWN_KEYS: Final = "mcodec."  # how all names begin that mcodec adds to a file


class TensorSource(Protocol):
    """A model file that is open for reading; nothing is loaded until `read`.

    Attributes
    ----------
    format : str
        The format's id in `registry.FORMATS`.
    tensors : sequence of TensorSpec
        In model order; names are unique.
    metadata : mapping of str to str
        What the file says of itself in words (safetensors' ``__metadata__``).
    same_as : mapping of int to int
        Tensors that are another, earlier one under a second name (hard links, tied weights): index
        to the index of the first. Dtype and shape are equal; `read` takes either.
    notes : sequence of str
        One line for each thing that lies there and is not taken.
    """

    format: str
    tensors: Sequence[TensorSpec]
    metadata: Mapping[str, str]
    same_as: Mapping[int, int]
    notes: Sequence[str]

    def skeleton(self) -> bytes:
        """Return all that the file holds besides arrays, as the format's own JSON; maybe empty."""
        ...

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`, in C order.

        The array is one-dimensional, contiguous, little-endian, of the tensor's dtype, and its
        caller's own if it may be written to. May be called from several threads.

        Raises
        ------
        FormatError
            ``source_invalid`` if the bytes are not there.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class TensorSink(Protocol):
    """A model file, or a folder of files, that is being written.

    Bytes come in any order, from any thread. Whoever creates a sink ends it with `close` or
    `discard`.

    Attributes
    ----------
    same_as : mapping of int to int
        Tensors that share another's place in the file, as in `TensorSource`; what is written to
        them is not kept, so their bytes have to be equal.
    notes : sequence of str
        One line for each thing of the skeleton or metadata that the file cannot hold.
    """

    same_as: Mapping[int, int]
    notes: Sequence[str]

    def write(self, index: int, offset: int, data: memoryview) -> None:
        """Put `data`, little-endian bytes in C order, at byte `offset` of tensor `index`."""
        ...

    def close(self) -> None:
        """Finish the file and sync it."""
        ...

    def discard(self) -> None:
        """Release what is held, temporary files too, and leave the file as it is.

        It never raises, and does nothing after `close`.
        """
        ...


def carriable(skeleton: bytes, notes: list[str]) -> bytes:
    """Return a skeleton that a file is to carry; nothing, and a note, if it is too large for that.

    Parameters
    ----------
    skeleton : bytes
    notes : list of str
        The sink's; one line is added where the skeleton is left out.
    """
    if len(skeleton) <= MAX_CARRIED:
        return skeleton
    over = f"{len(skeleton)} bytes are over {MAX_CARRIED}"
    notes.append(f"what the model was converted from is left out: {over}")
    return b""


_T = TypeVar("_T")


class _Tagged(msgspec.Struct):
    format: str


def skeleton_format(skeleton: bytes) -> str | None:
    """Return the id of the format that a skeleton speaks of; None for an empty one.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is no skeleton at all.
    """
    return read_skeleton(skeleton, _Tagged).format if skeleton else None


def read_skeleton(skeleton: bytes, kind: type[_T]) -> _T:
    """Read the JSON of a skeleton as one of our own types.

    Raises
    ------
    FormatError
        ``source_invalid`` if it does not fit, ``version_unsupported`` if its key ``version`` says
        that a newer mcodec wrote it.
    """
    try:
        found = msgspec.json.decode(skeleton, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        message = f"the skeleton is invalid ({one_line(error)})"
        raise FormatError(message, code="source_invalid") from error
    version = getattr(found, "version", VERSION)
    if version != VERSION:
        raise FormatError(
            f"the skeleton is of version {version}, not {VERSION}", code="version_unsupported"
        )
    return found


def summary(data: bytes) -> str:
    """Return what tells a change of bytes: their number, and the begin of their hash."""
    from blake3 import blake3

    return f"{len(data)} bytes, blake3:{blake3(data).hexdigest()[:16]}"
