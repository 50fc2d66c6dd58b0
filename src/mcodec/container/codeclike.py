"""What the container asks of codecs, which it does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcodec.types import Fill, RunSpec, StreamSpec


class CodecLike(Protocol):
    """What the container needs to know of a codec; `mcodec.codec.base` has the rest."""

    @property
    def codec_id(self) -> str:
        """The id in the registry."""
        ...

    def check(self, run: RunSpec) -> None:
        """Raise CodecConfigError if the codec cannot carry the run."""
        ...

    def head_streams(self, run: RunSpec) -> tuple[StreamSpec, ...]:
        """Return the streams of the run's head."""
        ...

    def block_streams(self, run: RunSpec, block: int, mode: int) -> tuple[StreamSpec, ...] | None:
        """Return the streams of a block in a mode; None for a mode that the codec has not."""
        ...

    def roles(self, dtype: str) -> tuple[str, ...]:
        """Return the dtypes of the runs that a run of a dtype stands on, one a role."""
        ...

    def counted_streams(
        self, run: RunSpec, block: int, mode: int, streams: Sequence[memoryview | Fill | None]
    ) -> tuple[StreamSpec, ...]:
        """Return the streams of a block with the exact lengths of those that are counted."""
        ...
