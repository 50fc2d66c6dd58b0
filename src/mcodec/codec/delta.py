"""What differs from another run of the file (spec/codecs/delta.md).

Without a nested codec the integer difference, lossless (`delta_lengths`); with one the residual in
block floating point, lossy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mcodec.codec.base import CANONICAL, FLOAT_DTYPES, Codec, NotCodableError, Partner, View
from mcodec.codec.bfp import BfpCodec
from mcodec.codec.config import refuse_unknown
from mcodec.codec.exponents import RANGES
from mcodec.codec.streams import as_bytes, invalid, patterns, plane_bytes
from mcodec.errors import CodecConfigError
from mcodec.types import FLOATS, RunSpec, StreamSpec, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.base import Bases, Coded
    from mcodec.codec.streams import Stream
    from mcodec.types import CodedStream

_MODES: Final = range(5)  # log2 of the number of classes
_LOSSY: Final = ("float16", "bfloat16", "float32")
_RESIDUAL: Final = "float32"  # dtype that a residual is decoded to


@dataclass(frozen=True, slots=True)
class DeltaCodec(Codec):
    """Differences from a base.

    Parameters
    ----------
    values
        Codec of the residual; None for the lossless integer difference.
    """

    codec_id: ClassVar[str] = "delta"
    values: BfpCodec | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the codec of its options."""
        refuse_unknown(cls.codec_id, config, ("values",))
        if "values" not in config:
            return cls()
        nested = config["values"]
        if not isinstance(nested, Mapping) or nested.get("id") != BfpCodec.codec_id:
            raise CodecConfigError("codec delta: values is a codec bfp, as values=bfp(bits=6)")
        return cls(BfpCodec.from_config({k: v for k, v in nested.items() if k != "id"}))

    def config(self) -> dict[str, Any]:
        """Return the configuration."""
        nested = {} if self.values is None else {"values": self.values.config()}
        return {"id": self.codec_id, **nested}

    def exact(self, dtype: str) -> bool:
        """Whether every bit is kept: without a nested codec."""
        return self.values is None

    def check(self, run: RunSpec) -> None:
        """Refuse dtypes that are no floats, and runs that the nested codec cannot carry."""
        taken = FLOAT_DTYPES if self.values is None else _LOSSY
        if run.dtype not in taken:
            lossy = "" if self.values is None else " with values"
            message = f"codec delta{lossy} takes {', '.join(taken)}, not {run.dtype}"
            raise CodecConfigError(message)
        if self.values is not None:
            self.values.check(replace(run, dtype=_RESIDUAL))

    @property
    def weight_bits(self) -> int | None:
        """Bits of the residual; None for the lossless difference."""
        return None if self.values is None else self.values.weight_bits

    @property
    def by_levels(self) -> bool:
        """A run on a base cannot be in a progressive file (spec/container.md, section 8)."""
        return False

    def roles(self, dtype: str) -> tuple[str, ...]:
        """Return the dtype of the base: the run's."""
        return (dtype,)

    def level(self, view: View) -> int | None:
        """Return what the nested codec needs; a lossless difference needs all."""
        return None if self.values is None else self.values.level(view)

    def head_streams(self, run: RunSpec) -> tuple[StreamSpec, ...]:
        """Return the head of the nested codec."""
        if self.values is None:
            return ()
        return self.values.head_streams(replace(run, dtype=_RESIDUAL))

    def block_streams(self, run: RunSpec, block: int, mode: int) -> tuple[StreamSpec, ...] | None:
        """Return the lengths by class, the bits below the leading ones, and the signs."""
        if self.values is not None:
            return self.values.block_streams(replace(run, dtype=_RESIDUAL), block, mode)
        if mode not in _MODES:
            return None
        start, stop = run.span(block)
        return _lossless_streams(FLOATS[run.dtype].width, stop - start, mode)

    def counted_streams(
        self, run: RunSpec, block: int, mode: int, streams: Sequence[Stream | None]
    ) -> tuple[StreamSpec, ...]:
        """Return the streams with the sizes that the lengths of the differences give them."""
        from mcodec.codec import delta_lengths

        specs = self.block_streams(run, block, mode) or ()
        if self.values is not None:
            return specs
        first = 1 << mode
        start, stop = run.span(block)
        lengths = [as_bytes(stream) for stream in streams[:first]]
        counts = delta_lengths.counts(run.dtype, lengths, stop - start)
        return (
            *specs[:first],
            *(
                replace(spec, length=plane_bytes(count))
                for spec, count in zip(specs[first:], counts, strict=True)
            ),
        )

    @property
    def surveys(self) -> bool:
        """Whether the residual's exponents need a first look."""
        return self.values is not None

    def survey(
        self,
        tensor: TensorSpec,
        blocks: Iterable[NDArray[Any]],
        bases: Sequence[Iterable[NDArray[Any]]] = (),
    ) -> Any:
        """Return the exponents of the residual's scopes.

        Raises
        ------
        NotCodableError
            It, or its base, holds NaN or infinity, or they are too far apart.
        """
        if self.values is None:
            return None

        def residuals() -> Iterator[NDArray[np.float64]]:
            for values, base in zip(blocks, bases[0], strict=True):
                yield _residual(tensor.dtype, values, base)

        try:
            wide = TensorSpec(tensor.name, "float64", tensor.shape)
            found = self.values.survey(wide, residuals())
        except NotCodableError:
            raise NotCodableError("it, or its base, holds NaN or infinity") from None
        if found.size and int(found.max()) > RANGES[_RESIDUAL][1]:
            raise NotCodableError("it is further from its base than float32 reaches")
        return found

    def encode_head(self, run: RunSpec, surveys: Sequence[Any]) -> tuple[Any, list[CodedStream]]:
        """Return the head of the nested codec."""
        if self.values is None:
            return None, []
        return self.values.encode_head(replace(run, dtype="float64"), surveys)

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
        """Code the differences of a block."""
        from mcodec.codec import delta_lengths

        if self.values is None:
            return delta_lengths.encode(run.dtype, patterns(bases[0]), patterns(values))
        wide = replace(run, dtype="float64")
        residual = _residual(run.dtype, values, bases[0])
        return self.values.encode(wide, block, residual, head, planes_only=planes_only)

    def recode(self, run: RunSpec, block: int, coded: Coded, *, planes_only: bool) -> Coded:
        """Return a residual in the mode that `encode` would choose."""
        if self.values is None:
            return coded
        wide = replace(run, dtype="float64")
        return self.values.recode(wide, block, coded, planes_only=planes_only)

    def decode_head(self, run: RunSpec, streams: Sequence[Stream | None]) -> Any:
        """Return the exponents of the residual, checked against the range of float32."""
        if self.values is None:
            return None
        return self.values.decode_head(replace(run, dtype=_RESIDUAL), streams)

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
        """Add the differences of a block to its base."""
        import numpy as np

        from mcodec.codec import delta_lengths, kernels

        base = patterns(bases[0])
        if self.values is None:
            delta_lengths.decode(run.dtype, mode, streams, base, patterns(out))
            return
        form = FLOATS[run.dtype]
        if kernels.max_exponent(run.dtype, base) == (1 << form.exponent) - 1:
            raise invalid("the base holds NaN or infinity")
        residual = np.empty(out.size, np.float32)
        narrow = replace(run, dtype=_RESIDUAL)
        self.values.decode(narrow, block, mode, streams, head, residual, view)
        kernels.add_residual(run.dtype, base, residual, patterns(out))


def _residual(dtype: str, values: NDArray[Any], base: NDArray[Any]) -> NDArray[np.float64]:
    """Return values less base, in float64."""
    import numpy as np

    from mcodec.codec import kernels

    residual = np.empty(values.size, np.float64)
    kernels.subtract_base(dtype, patterns(base), patterns(values), residual)
    return residual


@lru_cache(maxsize=32)  # a reader asks chunk by chunk, and there are up to 80 streams
def _lossless_streams(width: int, n: int, mode: int) -> tuple[StreamSpec, ...]:
    """Return the streams of a block of n elements."""
    names = [*(f"low.{k}" for k in range(width - 2, -1, -1)), "sign"]
    most = plane_bytes(n)
    return (
        *(StreamSpec(f"length.{i}", n, variable=True) for i in range(1 << mode)),
        *(StreamSpec(name, most, variable=True, counted=True) for name in names),
    )
