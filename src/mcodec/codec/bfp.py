"""Block floating point: integers under shared exponents (spec/codecs/bfp.md; paper 001)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mcodec.codec.base import (
    CANONICAL,
    FLOAT_DTYPES,
    Codec,
    NotCodableError,
    Partner,
    View,
    as_bytes,
    as_plane,
    empty_planes,
    invalid,
    patterns,
    plane_bytes,
)
from mcodec.codec.config import refuse_unknown, take_int, take_word
from mcodec.codec.scope import TENSOR, Scope, parse_scope
from mcodec.errors import CodecConfigError, FormatError
from mcodec.types import BLOCK, FLOATS, RunSpec, StreamSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.base import Stream
    from mcodec.types import CodedStream, TensorSpec

    Exponents = NDArray[np.int16]
    Plane = NDArray[np.uint8] | None

MAX_BITS: Final = 24
ZERO_SCOPE: Final = -32768  # the exponent of a scope of zeros only
PLANES: Final = 0  # modes of a block
SYMBOLS: Final = 1
_KEYS: Final = ("bits", "rounding", "scope", "step", "signs", "reconstruct")
# dtype -> the least and the largest exponent that a scope can have
RANGES: Final = {
    "float16": (-23, 16),
    "bfloat16": (-132, 128),
    "float32": (-148, 128),
    "float64": (-1073, 1024),
}


@dataclass(frozen=True, slots=True)
class BfpCodec(Codec):
    """Magnitudes of `bits` bits in units that a scope shares.

    Parameters
    ----------
    bits
        Magnitude bits, the leading one included: 1 to 24.
    rounding
        ``nearest`` (ties to even) or ``truncate`` (the papers').
    scope
        What shares an exponent: ``tensor``, ``axis:a`` or ``block:k``.
    step
        The unit, in place of exponents; a positive normal float32.
    signs
        ``full``, one a weight, or ``compact``, only where the magnitude is not 0.
    reconstruct
        ``low``, or ``mid``: the canonical decode adds half a unit to what is not 0.
    """

    codec_id: ClassVar[str] = "bfp"
    lossless: ClassVar[bool] = False
    bits: int
    rounding: str = "nearest"
    scope: Scope = TENSOR
    step: float | None = None
    signs: str = "full"
    reconstruct: str = "low"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the codec of its options."""
        name = cls.codec_id
        refuse_unknown(name, config, _KEYS)
        bits = take_int(name, config, "bits", 1, MAX_BITS)
        rounding = take_word(name, config, "rounding", ("nearest", "truncate"), "nearest")
        scope = parse_scope(config.get("scope", "tensor"))
        signs = take_word(name, config, "signs", ("full", "compact"), "full")
        reconstruct = take_word(name, config, "reconstruct", ("low", "mid"), "low")
        if reconstruct == "mid" and bits == MAX_BITS:
            raise CodecConfigError("codec bfp: reconstruct=mid needs bits of 23 or less")
        step = _take_step(config["step"]) if "step" in config else None
        if step is not None and scope.kind != "tensor":
            raise CodecConfigError("codec bfp: a step needs scope=tensor")
        return cls(bits, rounding, scope, step, signs, reconstruct)

    def config(self) -> dict[str, Any]:
        """Return the configuration, every key but an absent step written out."""
        step = {} if self.step is None else {"step": self.step}
        return {
            "id": self.codec_id,
            "bits": self.bits,
            "rounding": self.rounding,
            "scope": str(self.scope),
            **step,
            "signs": self.signs,
            "reconstruct": self.reconstruct,
        }

    def check(self, run: RunSpec) -> None:
        """Refuse dtypes that are no floats, and scopes that the shapes do not have."""
        if run.dtype not in FLOATS:
            raise CodecConfigError(f"codec bfp takes {', '.join(FLOAT_DTYPES)}, not {run.dtype}")
        self.scope.check(run.shapes)
        if self.scope.kind == "block" and len(run.shapes) > 1 and run.elements > BLOCK:
            raise CodecConfigError("codec bfp: a shared run with scope=block has at most one block")

    def head_streams(self, run: RunSpec) -> tuple[StreamSpec, ...]:
        """Return the exponents of tensor and axis scopes."""
        if self.step is not None or self.scope.kind == "block":
            return ()
        count = sum(self.scope.count(shape) for shape in run.shapes)
        return (StreamSpec("exponent", 2 * count),) if count else ()

    def block_streams(self, run: RunSpec, block: int, mode: int) -> tuple[StreamSpec, ...] | None:
        """Return exponents of block scopes, the sign, then magnitudes."""
        if mode not in (PLANES, SYMBOLS):
            return None
        start, stop = run.span(block)
        n = stop - start
        length = plane_bytes(n)
        streams = []
        if self.scope.kind == "block":
            streams.append(StreamSpec("exponent", 2 * self._block_scopes(run, n)))
        streams.append(StreamSpec("sign", length, variable=self.signs == "compact"))
        top = self.bits
        if mode == SYMBOLS:
            streams.append(StreamSpec("symbols", n))
            top -= min(8, self.bits)
        streams.extend(
            StreamSpec(f"mantissa.{k}", length, self.bits - k) for k in range(top - 1, -1, -1)
        )
        return tuple(streams)

    def _block_scopes(self, run: RunSpec, n: int) -> int:
        sizes = run.sizes if len(run.sizes) > 1 else (n,)
        return sum(-(-size // self.scope.argument) for size in sizes)

    @property
    def dithers(self) -> bool:
        """Full signs and shared exponents, as the papers have them."""
        return self.signs == "full" and self.step is None

    @property
    def surveys(self) -> bool:
        """Exponents, and the check for NaN and infinity, need a first look."""
        return True

    def survey(self, tensor: TensorSpec, blocks: Iterable[NDArray[Any]]) -> Exponents:
        """Return the exponents of a tensor's scopes (of the whole tensor, for block scopes)."""
        if self.step is not None and self.rounding == "truncate":
            raise CodecConfigError("codec bfp: a step is rounded to nearest, not truncated")
        import numpy as np

        from mcodec.codec import kernels

        scope = self.scope if self.scope.kind == "axis" else TENSOR
        maxima = np.zeros(scope.count(tensor.shape), np.uint64)
        first = 0
        for values in blocks:
            if values.size:
                where = scope.layout(tensor.shape, first)
                kernels.scope_max(tensor.dtype, patterns(values), where, maxima)
            first += values.size
        return exponents_of(tensor.dtype, maxima)

    def encode_head(
        self, run: RunSpec, surveys: Sequence[Any]
    ) -> tuple[Exponents, list[CodedStream]]:
        """Join the members' exponents."""
        import numpy as np

        from mcodec.codec import coder

        joined = np.concatenate(surveys) if surveys else np.zeros(0, np.int16)
        if not self.head_streams(run):
            return joined, []
        return joined, [coder.code(joined.astype("<i2").view(np.uint8), coder.SYMBOLS)]

    def encode(
        self, run: RunSpec, block: int, values: NDArray[Any], head: Any, *, planes_only: bool
    ) -> tuple[int, list[CodedStream]]:
        """Split a block into sign and magnitude planes, and take symbols where they are smaller."""
        from mcodec.codec import coder, kernels

        n = values.size
        bits = patterns(values)
        rows = empty_planes(self.bits + 1, n)
        sign, planes = rows[0], rows[1:]
        coded: list[CodedStream] = []
        if self.scope.kind == "block":
            head = self._block_exponents(run, block, bits)
            coded.append(coder.code(head.astype("<i2").view("u1"), coder.SYMBOLS))
        whole = len(run.shapes) > 1  # members leave gaps, which are zero
        if whole:
            for row in rows:
                row[:] = 0
        for start, stop, scopes, exponents in self._members(run, block, n, head):
            part = slice(start // 8, plane_bytes(stop))
            kernels.split_bfp(
                run.dtype,
                bits[start:stop],
                self.bits,
                self.rounding == "truncate",
                scopes,
                exponents,
                self.step,
                sign[part],
                [plane[part] for plane in planes],
            )
        if self.signs == "compact":
            sign = _gather(sign, _nonzero(planes, n), n)
        coded.append(coder.code(sign, coder.PLANE))
        magnitudes = [coder.code(plane, coder.PLANE) for plane in planes]
        if not planes_only:
            symbols = _symbols(planes, magnitudes, n)
            if symbols is not None:
                return SYMBOLS, [*coded, symbols, *magnitudes[min(8, self.bits) :]]
        return PLANES, [*coded, *magnitudes]

    def _block_exponents(self, run: RunSpec, block: int, bits: NDArray[Any]) -> Exponents:
        """Return the exponents of the block scopes that start in this block."""
        import numpy as np

        from mcodec.codec import kernels

        found = []
        for start, stop, scopes, _ in self._members(run, block, bits.size, None):
            maxima = np.zeros(-(-(stop - start) // self.scope.argument), np.uint64)
            kernels.scope_max(run.dtype, bits[start:stop], scopes, maxima)
            found.append(exponents_of(run.dtype, maxima))
        return np.concatenate(found) if found else np.zeros(0, np.int16)

    def _members(
        self, run: RunSpec, block: int, n: int, exponents: Exponents | None
    ) -> Iterable[tuple[int, int, Any, Exponents | None]]:
        """Yield the parts of members in a block: start and stop in it, scopes, their exponents."""
        first, last = run.span(block)
        base = 0
        for start, size, shape in zip(run.starts, run.sizes, run.shapes, strict=True):
            low, high = max(start, first), min(start + size, last)
            local = self.scope.kind == "block"  # exponents of this block alone
            count = -(-(high - low) // self.scope.argument) if local else self.scope.count(shape)
            if low < high:
                scopes = self.scope.layout(shape, 0 if local else low - start)
                own = None if exponents is None else exponents[base : base + count]
                yield low - first, high - first, scopes, own
                base += count if local else 0
            base += 0 if local else count

    def decode_head(self, run: RunSpec, streams: Sequence[Stream | None]) -> Exponents:
        """Return the exponents, checked against the dtype's range."""
        import numpy as np

        if not streams:
            return np.zeros(0, np.int16)
        return _checked(run.dtype, streams[0])

    def level(self, view: View) -> int | None:
        """Compact signs are placed by all planes, so they need them all."""
        return None if self.signs == "compact" else view.planes

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
    ) -> None:
        """Merge sign and magnitude planes of a block."""
        from mcodec.codec import kernels

        n = out.size
        rest = list(streams)
        if self.scope.kind == "block":
            head = _checked(run.dtype, rest.pop(0))
        planes = self.planes(mode, rest[1:], n)
        sign = self._sign(rest[0], planes, n, missing=None in rest[1:])
        count = self.bits if view.planes is None else max(1, min(view.planes, self.bits))
        width, midpoint = self.bits, self._midpoint(view, count)
        planes = planes[:count]
        if view.dither and partner is not None:
            planes = planes + _noise(partner, n, MAX_BITS - self.bits)
            width, midpoint = len(planes), False
        bits = patterns(out)
        if len(run.shapes) > 1:
            bits[:] = 0
        for start, stop, scopes, exponents in self._members(run, block, n, head):
            part = slice(start // 8, plane_bytes(stop))
            kernels.merge_bfp(
                run.dtype,
                bits[start:stop],
                width,
                midpoint,
                scopes,
                exponents if self.step is None else None,
                self.step,
                None if sign is None else sign[part],
                [None if plane is None else plane[part] for plane in planes],
            )

    def _midpoint(self, view: View, count: int) -> bool:
        """Decide the reconstruction: the configuration's for all planes, else mid if it fits."""
        if count == MAX_BITS:
            return False
        if view.midpoint is not None:
            return view.midpoint
        return self.reconstruct == "mid" if count == self.bits else True

    def planes(self, mode: int, streams: Sequence[Stream | None], n: int) -> list[Plane]:
        """Return the magnitude planes of a block from the top down, of either mode."""
        from mcodec.codec import kernels

        if mode == PLANES:
            return [as_plane(stream, n) for stream in streams]
        top = min(8, self.bits)
        symbols = as_bytes(streams[0])
        if top < 8 and symbols.size and int(symbols.max()) >> top:
            raise invalid("a symbol is wider than its bits")
        rows = empty_planes(top, n)
        kernels.bytes_to_planes(symbols, rows)
        return [*rows, *(as_plane(stream, n) for stream in streams[1:])]

    def without_symbols(
        self, run: RunSpec, block: int, coded: Sequence[CodedStream]
    ) -> tuple[int, list[CodedStream]]:
        """Code a block of mode 1 anew as planes; the integers stay as they are."""
        from mcodec.codec import coder

        start, stop = run.span(block)
        first = 2 if self.scope.kind == "block" else 1
        planes = self.planes(SYMBOLS, [coder.decode(coded[first])], stop - start)
        new = [coder.code(plane, coder.PLANE) for plane in planes if plane is not None]
        return PLANES, [*coded[:first], *new, *coded[first + 1 :]]

    def with_symbols(
        self, run: RunSpec, block: int, coded: Sequence[CodedStream]
    ) -> tuple[int, list[CodedStream]]:
        """Code a block of mode 0 anew where `encode` would have taken symbols: the inverse."""
        from mcodec.codec import coder

        start, stop = run.span(block)
        first = 2 if self.scope.kind == "block" else 1
        magnitudes = list(coded[first:])
        planes = [as_bytes(coder.decode(stream)) for stream in magnitudes[:8]]
        symbols = _symbols(planes, magnitudes, stop - start)
        if symbols is None:
            return PLANES, list(coded)
        return SYMBOLS, [*coded[:first], symbols, *magnitudes[8:]]

    def _sign(
        self, stream: Stream | None, planes: list[Plane], n: int, *, missing: bool
    ) -> Plane:
        """Return the sign plane; compact signs are spread over the nonzero magnitudes."""
        import numpy as np

        if self.signs == "full":
            return as_plane(stream, n)
        if missing:
            message = "the file is cut off, and compact signs need all planes"
            raise FormatError(message, code="file_truncated")
        present = _nonzero(planes, n)
        count = int(np.count_nonzero(present))
        packed = as_bytes(stream)
        if packed.size != plane_bytes(count) or (count % 8 and packed[-1] >> count % 8):
            raise invalid("compact signs are not as many as the magnitudes that are not zero")
        spread = np.zeros(n, np.uint8)
        spread[present] = np.unpackbits(packed, count=count, bitorder="little")
        return np.packbits(spread, bitorder="little")


def exponents_of(dtype: str, maxima: NDArray[np.uint64]) -> Exponents:
    """Return E, the least integer with max < 2^E, for patterns of largest magnitudes.

    Raises
    ------
    NotCodableError
        One of them is a NaN or an infinity.
    """
    import numpy as np

    from mcodec.types import numpy_dtype

    form = FLOATS[dtype]
    if maxima.size and int(maxima.max()) >> form.mantissa == (1 << form.exponent) - 1:
        raise NotCodableError("it holds NaN or infinity")
    values = maxima.astype(f"<u{form.width // 8}").view(numpy_dtype(dtype)).astype(np.float64)
    exponents = np.frexp(values)[1].astype(np.int16)
    exponents[maxima == 0] = ZERO_SCOPE
    return exponents


def _checked(dtype: str, stream: Stream | None) -> Exponents:
    import numpy as np

    exponents = as_bytes(stream).view("<i2")
    low, high = RANGES[dtype]
    if not ((exponents == ZERO_SCOPE) | ((exponents >= low) & (exponents <= high))).all():
        raise invalid(f"a shared exponent is outside the range of {dtype}")
    return exponents.astype(np.int16, copy=False)


def _take_step(value: Any) -> float:
    import numpy as np

    near = ""
    if type(value) in (int, float) and 2.0**-126 <= value <= float(np.finfo(np.float32).max):
        single = float(np.float32(value))
        if single == value:
            return single
        near = f"; the nearest is {single!r}"
    raise CodecConfigError(f"codec bfp: step is a positive normal float32, not {value!r}{near}")


def _nonzero(planes: Sequence[Plane], n: int) -> NDArray[np.bool_]:
    """Tell for each element whether its magnitude is not zero."""
    import numpy as np

    joined = np.zeros(plane_bytes(n), np.uint8)
    for plane in planes:
        if plane is not None:
            joined |= plane
    return np.unpackbits(joined, count=n, bitorder="little").view(np.bool_)


def _gather(sign: NDArray[np.uint8], present: NDArray[np.bool_], n: int) -> NDArray[np.uint8]:
    import numpy as np

    bits = np.unpackbits(sign, count=n, bitorder="little")
    return np.packbits(bits[present], bitorder="little")


def _symbols(
    planes: Sequence[NDArray[np.uint8]], magnitudes: list[CodedStream], n: int
) -> CodedStream | None:
    """Return the top bits as coded bytes if that is smaller than as coded planes."""
    import numpy as np

    from mcodec.codec import coder, kernels

    top = min(8, len(planes))
    limit = coder.stored(magnitudes[:top])
    if limit >= top * plane_bytes(n) or n <= coder.ROW_COST:
        return None  # no plane shrank: neither will the bytes
    symbols = np.empty(n, np.uint8)
    kernels.planes_to_bytes(planes[:top], symbols)
    coded = coder.code(symbols, coder.SYMBOLS)
    return coded if len(coded.data) < limit else None


def _noise(partner: Partner, n: int, room: int) -> list[Plane]:
    """Return the top planes of the next task of the pair, as many as fit below ours."""
    codec = partner.codec
    assert isinstance(codec, BfpCodec)  # runs of a pair have one codec id
    skip = 2 if codec.scope.kind == "block" else 1
    return codec.planes(partner.mode, partner.streams[skip:], n)[:room]
