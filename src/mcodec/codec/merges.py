"""Blocks that kernels write: their calls, to be made for many blocks at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcodec.codec.streams import invalid, patterns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mcodec.codec.base import Write

    Call = tuple[str, slice | None, str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Merges:
    """What `Codec.prepare` returns where kernels do all that is left.

    Attributes
    ----------
    calls : tuple of (name, part, dtype, arguments)
        The merge of `kernels.merge_all`, the part of the block that it writes (None for all), and
        its arguments behind the output.
    gaps : bool
        Whether members leave gaps, which are zero.
    wrong : str
        What is wrong with the block if a kernel says no.
    """

    calls: tuple[Call, ...]
    gaps: bool = False
    wrong: str = ""

    def __call__(self, out: NDArray[Any]) -> None:
        """Write the block."""
        write_all([(self, out, False)])


def write_all(blocks: Sequence[tuple[Write, NDArray[Any], bool]]) -> None:
    """Write blocks, each into its array; those of kernels in one call, without the GIL.

    Parameters
    ----------
    blocks
        What writes a block, the array, and whether that is fresh or will be read at once: it is
        written through the caches then, where its pages were just cleared or the reader looks.

    Raises
    ------
    FormatError
        ``stream_invalid``: a block breaks a rule that only shows when it is decoded.
    """
    from mcodec.codec import kernels

    calls, owners, nears = [], [], []
    for write, out, near in blocks:
        if not isinstance(write, Merges):
            write(out)
            continue
        bits = patterns(out)
        if write.gaps:
            bits[:] = 0
        for name, part, dtype, arguments in write.calls:
            calls.append((name, (dtype, bits if part is None else bits[part], *arguments)))
            owners.append(write)
            nears.append(near)
    for valid, owner in zip(kernels.merge_all(calls, nears), owners, strict=True):
        if not valid:
            raise invalid(owner.wrong)


def in_parts(
    write: Write, parts: Sequence[tuple[slice, NDArray[Any]]]
) -> list[tuple[Write, NDArray[Any]]]:
    """Return what writes parts of a block straight into arrays; nothing where kernels do not."""
    if not isinstance(write, Merges):
        return []
    calls = {(part.start, part.stop): call for call in write.calls if (part := call[1]) is not None}
    found: list[tuple[Write, NDArray[Any]]] = []
    for part, out in parts:
        call = calls.get((part.start, part.stop))
        if call is None:
            return []
        found.append((Merges(((call[0], None, *call[2:]),), wrong=write.wrong), out))
    return found
