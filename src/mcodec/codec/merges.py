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
        write_all([(self, out)])


def write_all(blocks: Sequence[tuple[Write, NDArray[Any]]], *, near: bool = False) -> None:
    """Write blocks, each into its array; those of kernels in one call, without the GIL.

    `near` says that the arrays are fresh or will be read at once: then they are written through the
    caches, where the pages were just cleared or the reader looks.

    Raises
    ------
    FormatError
        ``stream_invalid``: a block breaks a rule that only shows when it is decoded.
    """
    from mcodec.codec import kernels

    calls, owners = [], []
    for write, out in blocks:
        if not isinstance(write, Merges):
            write(out)
            continue
        bits = patterns(out)
        if write.gaps:
            bits[:] = 0
        for name, part, dtype, arguments in write.calls:
            calls.append((name, (dtype, bits if part is None else bits[part], *arguments)))
            owners.append(write)
    for valid, owner in zip(kernels.merge_all(calls, near=near), owners, strict=True):
        if not valid:
            raise invalid(owner.wrong)
