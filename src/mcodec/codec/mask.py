"""Another run of the file where a mask is set, zeros elsewhere (spec/codecs/mask.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mcodec.codec.base import CANONICAL, FLOAT_DTYPES, Codec, NotCodableError, Partner, View
from mcodec.codec.config import refuse_unknown, take_int, take_word
from mcodec.codec.streams import as_plane, patterns, plane_bytes
from mcodec.errors import CodecConfigError
from mcodec.types import FLOATS, RunSpec, StreamSpec, itemsize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.base import Bases
    from mcodec.codec.streams import Stream
    from mcodec.types import CodedStream, TensorSpec

PLAIN: Final = "plain"
SIGNED: Final = "signed"
MOST_OWNERS: Final = 255
_SIZES: Final = (1, 2, 4, 8)  # bytes of an element


@dataclass(frozen=True, slots=True)
class MaskCodec(Codec):
    """A base under a mask.

    Parameters
    ----------
    owner
        Number of this task, 1 to 255: it sees what tasks up to it own. None for a mask of its own.
    zero
        ``plain``: zero bits; ``signed``: the base's sign bit alone, as weight · 0.0 has it.
    """

    codec_id: ClassVar[str] = "mask"
    owner: int | None = None
    zero: str = PLAIN

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the codec of its options."""
        refuse_unknown(cls.codec_id, config, ("owner", "zero"))
        zero = take_word(cls.codec_id, config, "zero", (PLAIN, SIGNED), PLAIN)
        if "owner" not in config:
            return cls(zero=zero)
        return cls(take_int(cls.codec_id, config, "owner", 1, MOST_OWNERS), zero)

    def config(self) -> dict[str, Any]:
        """Return the configuration."""
        owner = {} if self.owner is None else {"owner": self.owner}
        return {"id": self.codec_id, **owner, "zero": self.zero}

    def check(self, run: RunSpec) -> None:
        """Refuse elements of another size, and signs of what has none."""
        if itemsize(run.dtype) not in _SIZES:
            raise CodecConfigError(f"codec mask takes elements of 1, 2, 4 or 8 bytes: {run.dtype}")
        if self.zero == SIGNED and run.dtype not in FLOATS:
            message = f"codec mask: zero=signed is for {', '.join(FLOAT_DTYPES)}, not {run.dtype}"
            raise CodecConfigError(message)

    @property
    def by_levels(self) -> bool:
        """A run on a base cannot be in a progressive file (spec/container.md, section 8)."""
        return False

    def roles(self, dtype: str) -> tuple[str, ...]:
        """Return the dtypes of the base and of the owners."""
        return (dtype,) if self.owner is None else (dtype, "uint8")

    def level(self, view: View) -> int | None:
        """Return None: there is no derived decode."""
        return None

    def block_streams(self, run: RunSpec, block: int, mode: int) -> tuple[StreamSpec, ...] | None:
        """Return the mask; owners make it without a stream."""
        if mode:
            return None
        if self.owner is not None:
            return ()
        start, stop = run.span(block)
        return (StreamSpec("mask", plane_bytes(stop - start)),)

    @property
    def surveys(self) -> bool:
        """Whether the values have to be held against the base first."""
        return True

    def survey(
        self,
        tensor: TensorSpec,
        blocks: Iterable[NDArray[Any]],
        bases: Sequence[Iterable[NDArray[Any]]] = (),
    ) -> None:
        """Check that a tensor is its base under a mask.

        Raises
        ------
        NotCodableError
            It is not.
        """
        for values, *below in zip(blocks, *bases, strict=True):
            self._mask(values, below)

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
        """Return the mask of a block.

        Raises
        ------
        NotCodableError
            The values are not the base under a mask.
        """
        from mcodec.codec import coder

        mask = self._mask(values, bases)
        return 0, [] if self.owner is not None else [coder.code(mask, coder.SYMBOLS)]

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
        """Copy the base where the mask is set."""
        import numpy as np

        from mcodec.codec import kernels

        owner = self.owner
        mask = as_plane(streams[0], out.size) if owner is None else _seen(bases[1], owner)
        if mask is None:
            mask = np.zeros(plane_bytes(out.size), np.uint8)
        kernels.mask_elements(mask, patterns(bases[0]), patterns(out), self.zero == SIGNED)

    def _mask(self, values: NDArray[Any], bases: Bases) -> NDArray[np.uint8]:
        """Return the mask that gives these values, of one block."""
        signed = self.zero == SIGNED
        if self.owner is None:
            mask = _clear_zeros(values, bases[0], signed)
        else:
            mask = _seen(bases[1], self.owner)
        if not _gives(mask, bases[0], values, signed):
            raise NotCodableError("it is not its base with some values set to zero")
        return mask


def zeros(values: NDArray[Any], base: NDArray[Any]) -> tuple[str, ...]:
    """Return the kinds of zero, of ``plain`` and ``signed``, with which a base gives values.

    Parameters
    ----------
    values, base
        One block each, one-dimensional, of one dtype of 1, 2, 4 or 8 bytes and of one size.

    Returns
    -------
    tuple of str
        Both where no zero tells them apart; none where the values are no base under a mask.
    """
    kinds = (PLAIN, SIGNED) if values.dtype.name in FLOATS else (PLAIN,)
    found = []
    for kind in kinds:
        mask = _clear_zeros(values, base, kind == SIGNED)
        if _gives(mask, base, values, kind == SIGNED):
            found.append(kind)
    return tuple(found)


def _seen(owners: NDArray[np.uint8], owner: int) -> NDArray[np.uint8]:
    """Return the mask of what a task sees."""
    import numpy as np

    return np.packbits((owners >= 1) & (owners <= owner), bitorder="little")


def _clear_zeros(values: NDArray[Any], base: NDArray[Any], signed: bool) -> NDArray[np.uint8]:
    """Return the mask that is clear where a value is the zero of its place, and set elsewhere."""
    import numpy as np

    from mcodec.codec import kernels

    bits = patterns(values)
    if signed:
        bits = bits ^ (patterns(base) & bits.dtype.type(1 << (8 * bits.itemsize - 1)))
    mask = np.empty(plane_bytes(bits.size), np.uint8)
    kernels.nonzero_plane(bits, mask)
    return mask


def _gives(mask: NDArray[np.uint8], base: NDArray[Any], values: NDArray[Any], signed: bool) -> bool:
    """Tell whether a base under a mask has the bits of these values."""
    import numpy as np

    from mcodec.codec import kernels

    found = np.empty_like(patterns(values))
    kernels.mask_elements(mask, patterns(base), found, signed)
    return np.array_equal(found, patterns(values))
