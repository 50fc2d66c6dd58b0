"""Sparse tensors: positions, and what is not zero under another codec (spec/codecs/csr.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mcodec.codec import positions
from mcodec.codec.base import CANONICAL, Codec, Partner, View
from mcodec.codec.config import refuse_unknown, take_int
from mcodec.codec.float import FloatCodec
from mcodec.codec.int8 import Int8Codec
from mcodec.codec.packed import PackedIntegers, packed_head, packed_run, scope_of
from mcodec.codec.streams import invalid, patterns, plane_bytes
from mcodec.errors import CodecConfigError
from mcodec.limits import MAX_DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.base import Bases, Coded
    from mcodec.codec.positions import Mask
    from mcodec.codec.streams import Stream
    from mcodec.types import CodedStream, RunSpec, StreamSpec, TensorSpec

VALUES: Final = ("float", "bfp", "int8")  # codecs that may carry the values
_SPLIT: Final = 1
_FLOAT: Final = FloatCodec()


@dataclass(frozen=True, slots=True)
class CsrCodec(Codec):
    """Positions of what is not zero, and a codec of values for what stands there.

    Parameters
    ----------
    values
        The codec of the values: ``float``, ``bfp`` (not with scopes of k elements) or ``int8``.
    split
        Where the shape is cut into rows and columns for those who want a matrix; None for 1.
    """

    codec_id: ClassVar[str] = "csr"
    values: Codec = _FLOAT
    split: int | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the codec of its options."""
        from mcodec.codec.registry import from_config

        refuse_unknown(cls.codec_id, config, ("values", "split"))
        inner = config.get("values", {"id": "float"})
        if not isinstance(inner, dict) or inner.get("id") not in VALUES:
            given = inner.get("id") if isinstance(inner, dict) else inner
            message = f"codec csr: values is one of {', '.join(VALUES)}, not {given!r}"
            raise CodecConfigError(message)
        values = from_config(inner)
        scope = scope_of(values)
        if scope is not None and scope.kind == "block":
            raise CodecConfigError(f"codec csr: its values cannot have scope {scope}")
        if "split" not in config:
            return cls(values)
        return cls(values, take_int(cls.codec_id, config, "split", -MAX_DIMENSIONS, MAX_DIMENSIONS))

    def config(self) -> dict[str, Any]:
        """Return the configuration."""
        split = {} if self.split is None else {"split": self.split}
        return {"id": self.codec_id, "values": self.values.config(), **split}

    def matrix(self, shape: Sequence[int], split: int | None = None) -> tuple[int, int]:
        """Return the rows and columns of an array as a matrix.

        Parameters
        ----------
        shape
            Fewer than two dimensions make one row.
        split
            In place of the codec's own.

        Raises
        ------
        CodecConfigError
            The shape has fewer dimensions than that.
        """
        if split is None:
            split = _SPLIT if self.split is None else self.split
        if len(shape) < 2:
            return 1, math.prod(shape)
        if abs(split) > len(shape):
            message = f"codec csr: split={split} needs as many dimensions, and a shape is "
            raise CodecConfigError(message + str(list(shape)))
        return math.prod(shape[:split]), math.prod(shape[split:])

    def exact(self, dtype: str) -> bool:
        """Whether all bits are kept: where the values keep theirs."""
        return self.values.exact(dtype)

    @property
    def weight_bits(self) -> int | None:
        """What the values count."""
        return self.values.weight_bits

    @property
    def quantized(self) -> PackedIntegers | None:
        """The integers of the values, and zeros."""
        inner = self.values.quantized
        return None if inner is None else PackedIntegers(inner)

    @property
    def by_levels(self) -> bool:
        """Whether the values can be decoded so."""
        return self.values.by_levels

    def check(self, run: RunSpec) -> None:
        """Refuse what the values refuse, and shapes that `split` does not cut."""
        self.values.check(run)
        for shape in run.shapes:
            self.matrix(shape)

    def head_streams(self, run: RunSpec) -> tuple[StreamSpec, ...]:
        """Return those of the values."""
        return self.values.head_streams(run)

    def block_streams(self, run: RunSpec, block: int, mode: int) -> tuple[StreamSpec, ...] | None:
        """Return the positions, then the values, as long as they can be."""
        start, stop = run.span(block)
        return self._streams(run, block, mode, positions.specs(mode >> 4, stop - start))

    def counted_streams(
        self, run: RunSpec, block: int, mode: int, streams: Sequence[Stream | None]
    ) -> tuple[StreamSpec, ...]:
        """Return the positions, then the values, as long as they are."""
        start, stop = run.span(block)
        count = positions.count(mode >> 4, streams, stop - start)
        places = positions.specs(mode >> 4, stop - start, count)
        return self._streams(packed_run(run, count), 0, mode, places) or ()

    def _streams(
        self, run: RunSpec, block: int, mode: int, places: tuple[StreamSpec, ...] | None
    ) -> tuple[StreamSpec, ...] | None:
        values = self.values.block_streams(run, block, mode & 15)
        if places is None or values is None:
            return None
        return (*places, *_counted(values))

    @property
    def surveys(self) -> bool:
        """Whether the values want to be seen."""
        return self.values.surveys

    def survey(
        self,
        tensor: TensorSpec,
        blocks: Iterable[NDArray[Any]],
        bases: Sequence[Iterable[NDArray[Any]]] = (),
    ) -> Any:
        """Return what the codec of the values finds in all elements."""
        return self.values.survey(tensor, blocks)

    def encode_head(self, run: RunSpec, surveys: Sequence[Any]) -> tuple[Any, list[CodedStream]]:
        """Return the head of the values."""
        return self.values.encode_head(run, surveys)

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
        """Place the elements of a block that are not zero, and code them alone."""
        import numpy as np

        from mcodec.codec import kernels

        bits = patterns(values)
        mask = np.empty(plane_bytes(bits.size), np.uint8)
        kernels.nonzero_plane(bits, mask)
        count = kernels.count_bits(mask)
        stored = np.empty(count, values.dtype)
        kernels.gather_elements(mask, bits, patterns(stored))
        form, coded = positions.code(mask, bits.size, count)
        codec, own = packed_head(self.values, run, block, mask, count, head)
        mode, inner = codec.encode(packed_run(run, count), 0, stored, own, planes_only=planes_only)
        return form << 4 | mode, [*coded, *inner]

    def recode(self, run: RunSpec, block: int, coded: Coded, *, planes_only: bool) -> Coded:
        """Change the mode of the values; the positions stay as they are."""
        from mcodec.codec import coder

        mode, streams = coded
        first = positions.streams_of(mode >> 4)
        start, stop = run.span(block)
        count = positions.count(mode >> 4, [coder.decode(streams[0])], stop - start)
        inner, rest = self.values.recode(
            packed_run(run, count), 0, (mode & 15, streams[first:]), planes_only=planes_only
        )
        return mode & 0xF0 | inner, [*streams[:first], *rest]

    def decode_head(self, run: RunSpec, streams: Sequence[Stream | None]) -> Any:
        """Return the head of the values."""
        return self.values.decode_head(run, streams)

    def level(self, view: View) -> int | None:
        """Return the level that the values need."""
        return self.values.level(view)

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
        """Decode the stored elements, and put them at their positions among zeros."""
        import numpy as np

        from mcodec.codec import kernels

        mask, count, rest = self._positions(run, block, mode, streams)
        if not count:
            patterns(out)[:] = 0
            return
        codec, own = packed_head(self.values, run, block, mask, count, head)
        if view.canonical and isinstance(codec, FloatCodec | Int8Codec):
            codec.spread(run.dtype, count, mode & 15, rest, own, out, mask)
            return
        stored = np.empty(count, out.dtype)
        codec.decode(packed_run(run, count), 0, mode & 15, rest, own, stored, view)
        kernels.spread_elements(mask, patterns(stored), patterns(out))

    def decode_stored(
        self,
        run: RunSpec,
        block: int,
        mode: int,
        streams: Sequence[Stream | None],
        head: Any,
        dtype: np.dtype[Any],
        view: View = CANONICAL,
    ) -> tuple[Mask, NDArray[Any]]:
        """Decode the stored elements of one block, and the plane of where they are.

        Raises
        ------
        FormatError, NeedAllPlanesError
            As `decode`.
        """
        import numpy as np

        mask, count, rest = self._positions(run, block, mode, streams)
        stored = np.empty(count, dtype)
        if count:
            codec, own = packed_head(self.values, run, block, mask, count, head)
            codec.decode(packed_run(run, count), 0, mode & 15, rest, own, stored, view)
        return mask, stored

    def _positions(
        self, run: RunSpec, block: int, mode: int, streams: Sequence[Stream | None]
    ) -> tuple[Mask, int, Sequence[Stream | None]]:
        """Return the plane of where the stored elements are, their count, and their streams."""
        mask, count = positions.read(mode >> 4, streams, run, block)
        rest = streams[positions.streams_of(mode >> 4) :]
        if not count and any(map(_has_bytes, rest)):
            raise invalid("values where no element is stored")
        return mask, count, rest


def _has_bytes(stream: Stream | None) -> bool:
    return stream is not None and len(bytes(stream)) > 0


def break_even(value_bits: float, position_bits: float | None = None) -> float:
    """Return the share of zeros from which on positions cost less than the zeros would.

    Parameters
    ----------
    value_bits
        Bits that the codec of the values takes for an element, zero or not.
    position_bits
        Bits that the positions take for an element; None for their entropy at that share, near
        which they stay.
    """
    if position_bits is not None:
        return min(1.0, position_bits / value_bits)
    low, high = 0.0, 1.0  # entropy(s) - s value_bits is above zero up to the share, then below
    for _ in range(60):
        middle = (low + high) / 2
        if _entropy(middle) > middle * value_bits:
            low = middle
        else:
            high = middle
    return high


def _entropy(share: float) -> float:
    return -sum(p * math.log2(p) for p in (share, 1 - share) if p)


@lru_cache(maxsize=1024)  # blocks are alike, and every reading of one asks
def _counted(values: tuple[StreamSpec, ...]) -> tuple[StreamSpec, ...]:
    """Say of the streams of values that the positions before them give their lengths."""
    return tuple(
        spec if spec.variable else replace(spec, variable=True, counted=True) for spec in values
    )
