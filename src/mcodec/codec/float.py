"""The fields of a floating-point number, lossless at full width (spec/codecs/float.md)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from mcodec.codec import float_symbols
from mcodec.codec.base import CANONICAL, FLOAT_DTYPES, Codec, Partner, View
from mcodec.codec.config import refuse_unknown, take_int
from mcodec.codec.merges import Merges
from mcodec.codec.scratch import take
from mcodec.codec.streams import (
    NeedAllPlanesError,
    as_bytes,
    as_plane,
    bytes_of,
    empty_planes,
    invalid,
    patterns,
    plane_bytes,
    plane_of,
)
from mcodec.errors import CodecConfigError
from mcodec.stored.placed import Placed
from mcodec.types import FLOATS, Fill, FloatFormat, RunSpec, StreamSpec, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.base import Bases, Coded, Write
    from mcodec.codec.streams import Buffer, Stream
    from mcodec.types import CodedStream


@dataclass(frozen=True, slots=True)
class FloatCodec(Codec):
    """Sign plane, exponent bytes, mantissa planes; or bytes of an exponent and two bits.

    Parameters
    ----------
    keep
        Bits kept from the top of the pattern; None for the dtype's full width.
    """

    codec_id: ClassVar[str] = "float"
    keep: int | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the codec of its options."""
        refuse_unknown(cls.codec_id, config, ("keep",))
        if "keep" not in config:
            return cls()
        return cls(take_int(cls.codec_id, config, "keep", 1, 64))

    def config(self) -> dict[str, Any]:
        """Return the configuration."""
        options = {} if self.keep is None else {"keep": self.keep}
        return {"id": self.codec_id, **options}

    def exact(self, dtype: str) -> bool:
        """Whether all bits are kept."""
        return self.keep is None or self.keep == FLOATS[dtype].width

    @property
    def weight_bits(self) -> int | None:
        """What is kept: k of paper 000; 1 + 8 + n of paper 001, bit fusion v1."""
        return self.keep

    @property
    def plain(self) -> bool:
        """Whether the dtype alone says that a tensor can be carried: it does."""
        return True

    def check(self, run: RunSpec) -> None:
        """Refuse dtypes that are no floats, and more bits than they have."""
        if run.dtype not in FLOATS:
            raise CodecConfigError(f"codec float takes {', '.join(FLOAT_DTYPES)}, not {run.dtype}")
        width = FLOATS[run.dtype].width
        if self.keep is not None and self.keep > width:
            raise CodecConfigError(f"codec float: keep={self.keep} of {width} bits ({run.dtype})")

    def stored_mantissa(self, form: FloatFormat) -> int:
        """Return the mantissa planes that are stored."""
        return max(0, (self.keep or form.width) - 1 - form.exponent)

    def dithers_with(self, below: Codec, dtype: str) -> bool:
        """Whether there is room below the bits that are kept, and mantissa bits to fill it."""
        from mcodec.codec import float_dither

        return isinstance(below, FloatCodec) and float_dither.width(self, below, dtype) > 0

    def block_streams(self, run: RunSpec, block: int, mode: int) -> tuple[StreamSpec, ...] | None:
        """Return sign, exponent and mantissa planes from the top down, or symbols for some."""
        start, stop = run.span(block)
        return _streams(run.dtype, self.stored_mantissa(FLOATS[run.dtype]), stop - start, mode)

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
        """Split a block into its fields."""
        from mcodec.codec import coder, kernels

        form = FLOATS[run.dtype]
        n = values.size
        bits = patterns(values)
        dropped = form.width - self.keep if self.keep is not None else 0
        if dropped > form.mantissa:  # planes drop mantissa bits; this drops exponent bits
            bits = (bits >> dropped) << dropped
        (sign,) = empty_planes(1, n)
        exponents = [take(n) for _ in range(1 if form.exponent <= 8 else 2)]
        planes = empty_planes(self.stored_mantissa(form), n)
        kernels.split_float(run.dtype, bits, sign, exponents, planes)
        search = coder.search(bits)
        mode, top = 0, 0
        if len(exponents) == 1:
            top = min(float_symbols.BITS, len(planes))
            mode, coded = float_symbols.code_top(
                run.dtype, exponents[0], planes[:top], planes_only=planes_only, search=search
            )
        else:
            coded = coder.code_all(exponents, coder.SYMBOLS, search=search)
        signs, *below = coder.code_all([sign, *planes[top:]], coder.PLANE, search=search)
        return mode, [signs, *coded, *below]

    def recode(self, run: RunSpec, block: int, coded: Coded, *, planes_only: bool) -> Coded:
        """Change between fields and symbols; the pattern stays as it is."""
        mode, streams = coded
        form = FLOATS[run.dtype]
        if planes_only == (mode == 0) or form.exponent > 8:
            return coded
        import numpy as np

        from mcodec.codec import coder

        start, stop = run.span(block)
        values = np.empty(stop - start, numpy_dtype(run.dtype))
        self.decode(run, block, mode, [coder.decode(stream) for stream in streams], None, values)
        end = 2 if mode else 2 + min(float_symbols.BITS, self.stored_mantissa(form))
        mode, top = float_symbols.recode_top(
            run.dtype, mode, streams[1:end], stop - start,
            planes_only=planes_only, search=coder.search(patterns(values)),
        )  # fmt: skip
        return mode, [streams[0], *top, *streams[end:]]

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
        """Merge the fields of a block."""
        self.prepare(run, block, mode, streams, head, view, partner, bases)(out)

    def prepare(
        self,
        run: RunSpec,
        block: int,
        mode: int,
        streams: Sequence[Stream | None],
        head: Any,
        view: View = CANONICAL,
        partner: Partner | None = None,
        bases: Bases = (),
    ) -> Write:
        """Check the fields of a block."""
        form = FLOATS[run.dtype]
        start, stop = run.span(block)
        n = stop - start
        stored = self.stored_mantissa(form)
        count = stored if view.planes is None else min(view.planes, stored)
        if mode and count < stored:
            fields = float_symbols.separate(run.dtype, mode, streams[1], n)
            mode, streams = 0, [streams[0], *fields, *streams[2:]]
        first = 2 if form.exponent <= 8 else 3
        end = None if count == stored else first + count
        name, merged = _call(run.dtype, mode, streams if end is None else streams[:end], n)
        whole = Merges(((name, None, run.dtype, (*merged, None)),), wrong=float_symbols.TOO_WIDE)
        if count == stored and not (view.dither and partner is not None):
            return whole

        def write(out: NDArray[Any]) -> None:
            whole(out)
            bits = patterns(out)
            if count < stored:
                self._derive(bits, form, count, streams[first + count :], bool(view.midpoint))
            elif partner is not None:
                from mcodec.codec import float_dither

                float_dither.add_noise(run.dtype, bits, self, partner)

        return write

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
        name, fields = _call(dtype, mode, streams, count)
        Merges(((name, None, dtype, (*fields, mask)),), wrong=float_symbols.TOO_WIDE)(out)

    def _derive(
        self,
        bits: NDArray[Any],
        form: FloatFormat,
        count: int,
        rest: Sequence[Stream | None],
        midpoint: bool,
    ) -> None:
        """Keep NaNs NaN, and add half a unit where that was asked for."""
        kind = bits.dtype.type
        special = kind(((1 << form.exponent) - 1) << form.mantissa)
        if midpoint:
            exponent = bits & special
            inside = (exponent != 0) & (exponent != special)
            bits[inside] |= kind(1 << (form.mantissa - count - 1))
        magnitude = bits & kind((1 << (form.width - 1)) - 1)
        bare = magnitude == special
        if bare.any():
            bits[bare & _any_bit(rest, bits.size)] |= kind(1 << (form.mantissa - 1))


@lru_cache(maxsize=1024)  # blocks are alike, and every reading of one asks
def _streams(dtype: str, kept: int, n: int, mode: int) -> tuple[StreamSpec, ...] | None:
    """Return the streams of a block of n elements with so many mantissa planes."""
    form, length = FLOATS[dtype], plane_bytes(n)
    names: tuple[str, ...] = ("exponent",)
    top = form.mantissa - 1
    if mode:
        if not float_symbols.has_mode(dtype, mode, kept):
            return None
        names, top = ("symbols",), top - float_symbols.BITS
    elif form.exponent > 8:
        names = ("exponent.1", "exponent.0")
    return (
        StreamSpec("sign", length),
        *(StreamSpec(name, n) for name in names),
        *(
            StreamSpec(f"mantissa.{k}", length, form.mantissa - k)
            for k in range(top, form.mantissa - 1 - kept, -1)
        ),
    )


def _call(
    dtype: str, mode: int, streams: Sequence[Stream | None], n: int
) -> tuple[str, tuple[Any, ...]]:
    """Check the fields or symbols of n elements; return the kernel that merges them, and its input.

    Planes that are missing at the end are zeros.
    """
    form, first = FLOATS[dtype], float_symbols.first_exponent(mode)
    if mode and n % 8 == 0 and isinstance(streams, Placed) and streams.symbols(1):
        return "placed_symbols", (streams.memory, streams.offsets, first)
    sign = plane_of(streams[0], n)
    if mode:
        below = [plane_of(stream, n) for stream in streams[2:]]
        return "merge_symbols", (sign, bytes_of(streams[1]), first, below)
    start = 2 if form.exponent <= 8 else 3
    exponents = [_exponent(stream, form, i) for i, stream in enumerate(streams[1:start])]
    planes = [plane_of(stream, n) for stream in streams[start:]]
    return "merge_float", (sign, exponents, planes)


def _exponent(stream: Stream | None, form: FloatFormat, index: int) -> Buffer | int:
    """Return an exponent stream as kernels take it, checked against the field's width."""
    width = form.exponent if form.exponent <= 8 else (3, 8)[index]
    if isinstance(stream, Fill):
        if stream.value >> width:
            raise invalid("an exponent is wider than its field")
        return stream.value
    if width < 8 and as_bytes(stream).max(initial=0) >> width:
        raise invalid("an exponent is wider than its field")
    return bytes_of(stream)


def _any_bit(planes: Sequence[Stream | None], n: int) -> NDArray[np.bool_]:
    """Tell for each element whether any of the planes has its bit set."""
    import numpy as np

    found = np.zeros(plane_bytes(n), np.uint8)
    for stream in planes:
        if stream is None:
            raise NeedAllPlanesError
        plane = as_plane(stream, n)
        if plane is not None:
            found |= plane
    return np.unpackbits(found, count=n, bitorder="little").view(bool)
