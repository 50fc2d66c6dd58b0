"""Codecs whose values are small integers under scales, and what can be asked of them as such."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.scope import Scope
    from mcodec.codec.streams import Stream
    from mcodec.types import RunSpec


class Quantized(Protocol):
    """What `Codec.quantized` gives: the integers below a codec's floats."""

    @property
    def scope(self) -> Scope:
        """What shares a scale."""
        ...

    def scales(self, head: Any) -> NDArray[np.float32]:
        """Return a run's scales, members in order, of what `Codec.decode_head` gave."""
        ...

    def integers(
        self,
        run: RunSpec,
        block: int,
        mode: int,
        streams: Sequence[Stream | None],
        head: Any,
        out: NDArray[np.int8],
    ) -> None:
        """Decode one block to its integers, -127 to 127, 0 in gaps.

        Raises
        ------
        FormatError
            As `Codec.decode`.
        """
        ...
