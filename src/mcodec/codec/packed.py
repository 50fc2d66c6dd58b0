"""Elements taken out of a run and put one after another, for the codecs that carry them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mcodec.codec import positions
from mcodec.codec.bfp import BfpCodec
from mcodec.codec.int8 import Int8Codec
from mcodec.codec.scope import Scope
from mcodec.codec.streams import patterns
from mcodec.types import RunSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.base import Codec
    from mcodec.codec.kernels import Scopes
    from mcodec.codec.positions import Mask
    from mcodec.codec.quantized import Quantized
    from mcodec.codec.streams import Stream


def packed_run(run: RunSpec, count: int) -> RunSpec:
    """Return the run that elements of a run make when they are packed."""
    return RunSpec.of(run.dtype, [(count,)])


def scope_of(values: Codec) -> Scope | None:
    """Return what shares an exponent or a scale in a codec; None where nothing does."""
    return values.scope if isinstance(values, BfpCodec | Int8Codec) else None


def packed_head(
    values: Codec, run: RunSpec, block: int, mask: Mask, count: int, head: Any
) -> tuple[Codec, Any]:
    """Return the codec and the head under which packed elements are what they are in their run.

    Where every element of the run has one scope, these are the codec and the head of the run; else
    each packed element becomes a scope of its own.

    Parameters
    ----------
    values
        The codec of the elements.
    run, block, mask
        Where they stand; none in a gap between members.
    count
        How many they are.
    head
        What the codec's `encode_head` or `decode_head` gave for the run.
    """
    import numpy as np

    from mcodec.codec import kernels

    if not isinstance(values, BfpCodec | Int8Codec) or not values.head_streams(run):
        return values, head
    if values.scope.kind == "tensor" and len(run.shapes) == 1:
        return values, head
    own = np.empty(count, head.dtype)
    spread = _by_element(values.scope, run, block, head)
    kernels.gather_elements(mask, patterns(spread), patterns(own))
    return replace(values, scope=Scope("axis", 0)), own


def _by_element(scope: Scope, run: RunSpec, block: int, head: NDArray[Any]) -> NDArray[Any]:
    """Return for each element of a block what its scope has in the head; zeros in gaps."""
    import numpy as np

    first, last = run.span(block)
    spread = np.zeros(last - first, head.dtype)
    for start, stop, where, own in scope.parts(run, block, head):
        assert own is not None
        _lay(spread[start:stop], where, own)
    return spread


def _lay(out: NDArray[Any], where: Scopes, own: NDArray[Any]) -> None:
    """Write to each element of a member's part the entry of its scope."""
    import numpy as np

    size = out.size
    period = where.inner * where.count
    if period <= size:  # one turn through all scopes, and then copies of what is there
        skip = where.first % period
        turn = np.repeat(own, where.inner)
        out[: period - skip], out[period - skip : period] = turn[skip:], turn[:skip]
        while period < size:
            out[period : 2 * period] = out[: min(period, size - period)]
            period *= 2
        return
    skip = where.first % where.inner
    touched = (skip + size - 1) // where.inner + 1
    entries = (where.first // where.inner + np.arange(touched)) % where.count
    if where.inner == 1:
        out[:] = own[entries]
        return
    lengths = np.full(touched, where.inner)
    lengths[0] -= skip
    lengths[-1] -= lengths.sum() - size
    out[:] = np.repeat(own[entries], lengths)


@dataclass(frozen=True, slots=True)
class PackedIntegers:
    """The integers of a csr codec: those of its values, and zeros (`mcodec.codec.quantized`)."""

    values: Quantized

    @property
    def scope(self) -> Scope:
        """What shares a scale."""
        return self.values.scope

    def scales(self, head: Any) -> NDArray[np.float32]:
        """Return a run's scales."""
        return self.values.scales(head)

    def integers(
        self,
        run: RunSpec,
        block: int,
        mode: int,
        streams: Sequence[Stream | None],
        head: Any,
        out: NDArray[np.int8],
    ) -> None:
        """Decode the stored integers of a block, and put them at their positions among zeros."""
        import numpy as np

        from mcodec.codec import kernels

        mask, count = positions.read(mode >> 4, streams, run, block)
        rest = streams[positions.streams_of(mode >> 4) :]
        stored = np.empty(count, np.int8)
        self.values.integers(packed_run(run, count), 0, mode & 15, rest, head, stored)
        kernels.spread_elements(mask, stored.view(np.uint8), out.view(np.uint8))
