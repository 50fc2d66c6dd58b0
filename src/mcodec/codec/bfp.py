"""Block floating point: integers under shared exponents (spec/codecs/bfp.md; paper 001)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mcodec.codec.base import CANONICAL, FLOAT_DTYPES, Codec, Partner, View
from mcodec.codec.bfp_placed import can_merge, merge_placed
from mcodec.codec.config import refuse_unknown, take_int, take_step, take_word
from mcodec.codec.exponents import block_exponents, checked, exponents_of
from mcodec.codec.magnitudes import (
    PLANES,
    SYMBOL_BITS,
    SYMBOLS,
    block_specs,
    code_top,
    gather_signs,
    magnitude_planes,
    spread_signs,
    symbols_of,
)
from mcodec.codec.maxima import scope_maxima
from mcodec.codec.merges import Merges
from mcodec.codec.scope import TENSOR, Scope, parse_scope
from mcodec.codec.streams import as_plane, empty_planes, patterns, plane_bytes, plane_of
from mcodec.errors import CodecConfigError
from mcodec.stored.placed import Placed
from mcodec.types import BLOCK, FLOATS, RunSpec, StreamSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from mcodec.codec.base import Bases, Coded, Write
    from mcodec.codec.exponents import Exponents
    from mcodec.codec.merges import Call
    from mcodec.codec.streams import Buffer, Stream
    from mcodec.types import CodedStream, TensorSpec

MAX_BITS: Final = 24
_KEYS: Final = ("bits", "rounding", "scope", "step", "signs", "reconstruct")


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
        scope = parse_scope(name, config.get("scope", "tensor"))
        signs = take_word(name, config, "signs", ("full", "compact"), "full")
        reconstruct = take_word(name, config, "reconstruct", ("low", "mid"), "low")
        if reconstruct == "mid" and bits == MAX_BITS:
            raise CodecConfigError("codec bfp: reconstruct=mid needs bits of 23 or less")
        step = take_step(name, config["step"]) if "step" in config else None
        if step is not None and scope.kind != "tensor":
            raise CodecConfigError("codec bfp: a step needs scope=tensor")
        return cls(bits, rounding, scope, step, signs, reconstruct)

    def config(self) -> dict[str, Any]:
        """Return the configuration, every key but an absent step written out."""
        return {
            "id": self.codec_id,
            "bits": self.bits,
            "rounding": self.rounding,
            "scope": str(self.scope),
            **({} if self.step is None else {"step": self.step}),
            "signs": self.signs,
            "reconstruct": self.reconstruct,
        }

    def exact(self, dtype: str) -> bool:
        """Whether all bits are kept: never."""
        return False

    @property
    def weight_bits(self) -> int:
        """The magnitude and the sign: n of the papers' m + n + 2."""
        return self.bits + 1

    @property
    def by_levels(self) -> bool:
        """Compact signs are placed by all planes."""
        return self.signs == "full"

    def recode(self, run: RunSpec, block: int, coded: Coded, *, planes_only: bool) -> Coded:
        """Change between planes and symbols; the integers stay as they are."""
        from mcodec.codec import bfp_modes

        if planes_only == (coded[0] == PLANES):
            return coded
        change = bfp_modes.without_symbols if planes_only else bfp_modes.with_symbols
        return change(self, run, block, coded[1])

    def check(self, run: RunSpec) -> None:
        """Refuse dtypes that are no floats, and scopes that the shapes do not have."""
        if run.dtype not in FLOATS:
            raise CodecConfigError(f"codec bfp takes {', '.join(FLOAT_DTYPES)}, not {run.dtype}")
        self.scope.check(run.shapes, 2)
        if self.scope.kind == "block" and len(run.shapes) > 1 and run.elements > BLOCK:
            raise CodecConfigError("codec bfp: a shared run with scope=block has at most one block")

    def head_streams(self, run: RunSpec) -> tuple[StreamSpec, ...]:
        """Return the exponents of tensor and axis scopes."""
        if self.step is not None or self.scope.kind == "block":
            return ()
        count = self.scope.count_in_run(run)
        return (StreamSpec("exponent", 2 * count),) if count else ()

    def block_streams(self, run: RunSpec, block: int, mode: int) -> tuple[StreamSpec, ...] | None:
        """Return exponents of block scopes, the sign, then magnitudes."""
        if mode not in (PLANES, SYMBOLS):
            return None
        start, stop = run.span(block)
        local = self.scope.kind == "block"
        exponents = self.scope.count_in_block(run, block) if local else -1
        return block_specs(self.bits, self.signs, exponents, stop - start, mode)

    @property
    def first_magnitude(self) -> int:
        """The number of a block's first stream behind exponents and signs."""
        return 2 if self.scope.kind == "block" else 1

    def dithers_with(self, below: Codec, dtype: str) -> bool:
        """Whether both have full signs and shared exponents, as the papers have them."""
        both = [codec for codec in (self, below) if isinstance(codec, BfpCodec)]
        return len(both) == 2 and all(c.signs == "full" and c.step is None for c in both)

    @property
    def surveys(self) -> bool:
        """Exponents, and the check for NaN and infinity, need a first look."""
        return True

    def survey(
        self,
        tensor: TensorSpec,
        blocks: Iterable[NDArray[Any]],
        bases: Sequence[Iterable[NDArray[Any]]] = (),
    ) -> Exponents:
        """Return the exponents of a tensor's scopes (of the whole tensor, for block scopes)."""
        if self.step is not None and self.rounding == "truncate":
            raise CodecConfigError("codec bfp: a step is rounded to nearest, not truncated")
        scope = self.scope if self.scope.kind == "axis" else TENSOR
        return exponents_of(tensor.dtype, scope_maxima(tensor, blocks, scope))

    def encode_head(self, run: RunSpec, surveys: Sequence[Any]) -> tuple[Any, list[CodedStream]]:
        """Join the members' exponents."""
        import numpy as np

        from mcodec.codec import coder

        joined = np.concatenate(surveys) if surveys else np.zeros(0, np.int16)
        if not self.head_streams(run):
            return joined, []
        return joined, [coder.code(joined.astype("<i2").view(np.uint8), coder.SYMBOLS)]

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
        """Split a block into sign and magnitude planes, and take symbols where they are smaller."""
        from mcodec.codec import coder, kernels

        n = values.size
        bits = patterns(values)
        rows = empty_planes(self.bits + 1, n)
        sign, planes = rows[0], rows[1:]
        coded: list[CodedStream] = []
        if self.scope.kind == "block":
            head = block_exponents(run, block, bits, self.scope)
            coded.append(coder.code(head.astype("<i2").view("u1"), coder.SYMBOLS))
        if len(run.shapes) > 1:  # members leave gaps, which are zero
            for row in rows:
                row[:] = 0
        for start, stop, scopes, exponents in self.scope.parts(run, block, head):
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
            sign = gather_signs(sign, planes, n)
        top = min(SYMBOL_BITS, self.bits)
        coded += coder.code_planes([sign], n)
        mode, above = code_top(planes[:top], n, planes_only=planes_only)
        return mode, [*coded, *above, *coder.code_planes(planes[top:], n)]

    def decode_head(self, run: RunSpec, streams: Sequence[Stream | None]) -> Exponents:
        """Return the exponents, checked against the dtype's range."""
        import numpy as np

        if not streams:
            return np.zeros(0, np.int16)
        return checked(run.dtype, streams[0])

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
        bases: Bases = (),
    ) -> None:
        """Merge sign and magnitude planes of a block."""
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
        """Take a block's planes apart by member."""
        first, last = run.span(block)
        count = self.bits if view.planes is None else max(1, min(view.planes, self.bits))
        width, midpoint, above = self.bits, self._midpoint(view, count), min(SYMBOL_BITS, self.bits)
        exponents = checked(run.dtype, streams[0]) if self.scope.kind == "block" else head
        if isinstance(streams, Placed) and can_merge(self, run, mode, streams, view):
            return merge_placed(self, run, block, mode, streams, exponents)
        streams, symbols = streams[self.first_magnitude - 1 :], None
        if mode == SYMBOLS and self.signs == "full" and above <= count and view.planes != 0:
            symbols, count = symbols_of(streams[1], above), count - above
            streams = [streams[0], *streams[2:]]
        sign, planes = self._planes(PLANES if symbols is not None else mode, streams, last - first)
        planes = [None] if view.planes == 0 else planes[:count]
        if view.dither and partner is not None:
            from mcodec.codec import bfp_modes

            planes = [*planes, *bfp_modes.noise(partner, last - first, MAX_BITS - self.bits)]
            width, midpoint = len(planes) + (0 if symbols is None else above), False
        several = len(run.shapes) > 1
        calls: list[Call] = []
        for start, stop, scopes, own in self.scope.parts(run, block, exponents):
            how = (width, midpoint, scopes.flat, own if self.step is None else None, self.step)
            cut, own_symbols, where = [sign, *planes], symbols, None
            if several:
                part, where = slice(start // 8, plane_bytes(stop)), slice(start, stop)
                cut = [None if plane is None else plane[part] for plane in cut]
                own_symbols = None if symbols is None else symbols[where]
            calls.append(("merge_bfp", where, run.dtype, (*how, cut[0], cut[1:], own_symbols)))
        return Merges(tuple(calls), gaps=several)

    def _planes(
        self, mode: int, streams: Sequence[Stream | None], n: int
    ) -> tuple[Buffer | None, Sequence[Buffer | None]]:
        """Return the sign plane and the magnitude planes of a block."""
        if self.signs == "full" and mode == PLANES:  # the usual form: no arrays are needed
            sign, *whole = [plane_of(stream, n) for stream in streams]
            return sign, whole
        planes = magnitude_planes(mode, streams[1:], self.bits, n)
        if self.signs == "full":
            return as_plane(streams[0], n), planes
        return spread_signs(streams[0], planes, n, missing=None in streams[1:]), planes

    def _midpoint(self, view: View, count: int) -> bool:
        """Decide the reconstruction: the configuration's for all planes, else mid if it fits."""
        if count == MAX_BITS:
            return False
        if view.midpoint is not None:
            return view.midpoint
        return self.reconstruct == "mid" if count == self.bits else True
