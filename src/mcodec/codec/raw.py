"""Bytes as they are, for any dtype (spec/codecs/raw.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from mcodec.codec.base import CANONICAL, Codec, Partner, View
from mcodec.codec.config import refuse_unknown
from mcodec.codec.streams import as_bytes, invalid
from mcodec.errors import FormatError
from mcodec.limits import MIB
from mcodec.types import RunSpec, StreamSpec, itemsize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from mcodec.codec.base import Bases
    from mcodec.codec.streams import Stream
    from mcodec.types import CodedStream


@dataclass(frozen=True, slots=True)
class RawCodec(Codec):
    """One stream: the elements, little-endian."""

    codec_id: ClassVar[str] = "raw"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the codec; it has no options."""
        refuse_unknown(cls.codec_id, config, ())
        return cls()

    def config(self) -> dict[str, Any]:
        """Return the configuration."""
        return {"id": self.codec_id}

    @property
    def plain(self) -> bool:
        """Whether the dtype alone says that a tensor can be carried: it does."""
        return True

    def check(self, run: RunSpec) -> None:
        """Take every run."""

    def block_streams(self, run: RunSpec, block: int, mode: int) -> tuple[StreamSpec, ...] | None:
        """Return the one stream."""
        if mode:
            return None
        start, stop = run.span(block)
        return (StreamSpec("bytes", (stop - start) * itemsize(run.dtype)),)

    def level(self, view: View) -> int | None:
        """Return None: there is no derived decode."""
        return None

    def encode(
        self,
        run: RunSpec,
        block: int,
        values: NDArray[Any],
        head: Any,
        *,
        planes_only: bool,
        bases: Bases = (),
    ) -> tuple[int, list[CodedStream]]:
        """Return the elements' bytes, coded."""
        from mcodec.codec import coder

        if run.dtype == "bool" and values.size and int(values.view("u1").max()) > 1:
            raise FormatError("a bool of the source is neither 0 nor 1", code="source_invalid")
        # A skeleton is text, and worth a better level; large uint8 tensors are weights.
        text = run.dtype == "uint8" and run.nbytes <= MIB
        levels: tuple[int, ...] = coder.TEXT if text else coder.BYTES
        if itemsize(run.dtype) == 1:  # int8 weights and owner maps have no repeats to find
            levels = (*coder.SYMBOLS[:1], *levels)
        stream = values.view("u1")
        if (
            not stream.flags.writeable
        ):  # the caller's own memory, which may change before it is written
            stream = stream.copy()
        return 0, [coder.code(stream, levels)]

    def decode(
        self,
        run: RunSpec,
        block: int,
        mode: int,
        streams: Sequence[Stream | None],
        head: Any,
        out: NDArray[Any],
        view: View = CANONICAL,
        partner: Partner | None = None,
        bases: Bases = (),
    ) -> None:
        """Copy the bytes."""
        data = as_bytes(streams[0])
        if run.dtype == "bool" and data.size and int(data.max()) > 1:
            raise invalid("a bool is neither 0 nor 1")
        out.view("u1")[:] = data
