"""Symmetric 8-bit integers under one scale a tensor or a channel (spec/codecs/int8.md)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mcodec.codec.base import CANONICAL, FLOAT_DTYPES, Codec, Partner, View
from mcodec.codec.config import refuse_unknown
from mcodec.codec.int8_codes import (
    BYTES,
    PLANES,
    codes_of,
    multiply,
    planes_of,
    store_codes,
    top_of,
)
from mcodec.codec.scales import MAGNITUDE_BITS, checked, find_scales, integers_of
from mcodec.codec.scope import TENSOR, Scope, parse_scope
from mcodec.codec.streams import patterns, plane_bytes
from mcodec.errors import CodecConfigError
from mcodec.types import FLOATS, RunSpec, StreamSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.base import Bases, Coded
    from mcodec.codec.scales import Scales
    from mcodec.codec.streams import Buffer, Stream
    from mcodec.types import CodedStream, TensorSpec

_SCALE_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Int8Codec(Codec):
    """Integers from -127 to 127 in units that a scope shares.

    Parameters
    ----------
    scope
        What shares a scale: ``tensor`` or ``axis:a``.
    """

    codec_id: ClassVar[str] = "int8"
    scope: Scope = TENSOR

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the codec of its options."""
        refuse_unknown(cls.codec_id, config, ("scope",))
        return cls(parse_scope(cls.codec_id, config.get("scope", "tensor"), blocks=False))

    def config(self) -> dict[str, Any]:
        """Return the configuration."""
        return {"id": self.codec_id, "scope": str(self.scope)}

    def exact(self, dtype: str) -> bool:
        """Whether all bits are kept: never."""
        return False

    @property
    def weight_bits(self) -> int:
        """The magnitude and the sign."""
        return MAGNITUDE_BITS + 1

    @property
    def quantized(self) -> Self:
        """The integers are its own."""
        return self

    def check(self, run: RunSpec) -> None:
        """Refuse dtypes that are no floats, and scopes that the shapes do not have."""
        if run.dtype not in FLOATS:
            raise CodecConfigError(f"codec int8 takes {', '.join(FLOAT_DTYPES)}, not {run.dtype}")
        self.scope.check(run.shapes, _SCALE_BYTES)

    def head_streams(self, run: RunSpec) -> tuple[StreamSpec, ...]:
        """Return the scales."""
        count = self.scope.count_in_run(run)
        return (StreamSpec("scale", _SCALE_BYTES * count),) if count else ()

    def block_streams(self, run: RunSpec, block: int, mode: int) -> tuple[StreamSpec, ...] | None:
        """Return the codes, or the sign and the magnitudes."""
        start, stop = run.span(block)
        if mode == BYTES:
            return (StreamSpec("codes", stop - start),)
        if mode != PLANES:
            return None
        return _planes(plane_bytes(stop - start))

    @property
    def surveys(self) -> bool:
        """Scales, and the check for NaN and infinity, need a first look."""
        return True

    def survey(
        self,
        tensor: TensorSpec,
        blocks: Iterable[NDArray[Any]],
        bases: Sequence[Iterable[NDArray[Any]]] = (),
    ) -> Scales:
        """Return the scales of a tensor."""
        return find_scales(tensor, blocks, self.scope)

    def encode_head(self, run: RunSpec, surveys: Sequence[Any]) -> tuple[Any, list[CodedStream]]:
        """Join the members' scales."""
        import numpy as np

        from mcodec.codec import coder

        joined = np.concatenate([np.zeros(0, np.float32), *surveys])
        if not joined.size:
            return joined, []
        return joined, [coder.code(joined.astype("<f4").view(np.uint8), coder.SYMBOLS)]

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
        """Round a block to codes, and store them as planes or as bytes."""
        import numpy as np

        from mcodec.codec import kernels

        codes = np.zeros(values.size, np.uint8)  # gaps stay zero
        bits = patterns(values)
        for start, stop, scopes, own in self.scope.parts(run, block, head):
            part = slice(start, stop)
            assert own is not None
            kernels.quantize_int8(run.dtype, bits[part], scopes, own, codes[part])
        return store_codes(codes, planes_of(codes), planes_only=planes_only)

    def recode(self, run: RunSpec, block: int, coded: Coded, *, planes_only: bool) -> Coded:
        """Change between planes and bytes; the codes stay as they are."""
        from mcodec.codec import coder

        mode, streams = coded
        if planes_only == (mode == PLANES):
            return coded
        start, stop = run.span(block)
        codes = codes_of(mode, [coder.decode(stream) for stream in streams], stop - start)
        planes = list(streams) if mode == PLANES else planes_of(codes)
        return store_codes(codes, planes, planes_only=planes_only)

    def decode_head(self, run: RunSpec, streams: Sequence[Stream | None]) -> Scales:
        """Return the scales, checked."""
        import numpy as np

        return checked(streams[0]) if streams else np.zeros(0, np.float32)

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
        """Multiply a block's codes with their scales."""
        from mcodec.codec import kernels

        few = view.planes is not None and view.planes < MAGNITUDE_BITS
        if len(run.shapes) == 1 and not few and None not in streams:
            for _, _, scopes, own in self.scope.parts(run, block, head):
                assert own is not None
                multiply(run.dtype, mode, streams, out, scopes, own)
            return
        codes = codes_of(mode, streams, out.size)
        if few and view.planes is not None:
            codes = top_of(codes, view.planes, middle=view.midpoint is not False)
        bits = patterns(out)
        if len(run.shapes) > 1:
            bits[:] = 0
        for start, stop, scopes, own in self.scope.parts(run, block, head):
            part = slice(start, stop)
            assert own is not None
            kernels.dequantize_int8(run.dtype, bits[part], scopes, own, codes[part])

    def spread(
        self,
        dtype: str,
        count: int,
        mode: int,
        streams: Sequence[Stream | None],
        head: Any,
        out: NDArray[Any],
        mask: Buffer,
    ) -> None:
        """Decode `count` elements that are a run of their own to the places that a mask has.

        Raises
        ------
        FormatError
            As `decode`.
        """
        scopes = self.scope.layout((count,), 0)
        multiply(dtype, mode, streams, out, scopes, head, (count, mask))

    def scales(self, head: Any) -> Scales:
        """Return the scales of a head."""
        found: Scales = head
        return found

    def integers(
        self,
        run: RunSpec,
        block: int,
        mode: int,
        streams: Sequence[Stream | None],
        head: Any,
        out: NDArray[np.int8],
    ) -> None:
        """Decode one block to its integers, 0 in gaps."""
        found = integers_of(codes_of(mode, streams, out.size))
        out[:] = 0
        for _, part in run.parts(block):
            out[part] = found[part]


@lru_cache(maxsize=1024)  # blocks are alike, and every reading of one asks
def _planes(length: int) -> tuple[StreamSpec, ...]:
    """Return the streams of planes of so many bytes."""
    magnitudes = (
        StreamSpec(f"magnitude.{k}", length, MAGNITUDE_BITS - k)
        for k in range(MAGNITUDE_BITS - 1, -1, -1)
    )
    return (StreamSpec("sign", length), *magnitudes)
