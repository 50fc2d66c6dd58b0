"""Operations on the bit patterns of floats (paper 000)."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import UsageError
from mcodec.types import FLOATS, FloatFormat

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BY_KEEP: Final = ("truncate", "round")
BY_MASK: Final = ("set", "clear", "flip")
WIDEST: Final = max(form.width for form in FLOATS.values())


@dataclass(frozen=True, slots=True)
class BitOperation:
    """What is done to every pattern of W bits of a tensor.

    Attributes
    ----------
    name
        ``truncate``: the low n = W - keep bits become zero, ``(bits >> n) << n``, whatever that
        makes of a NaN or an infinity. ``round``: the pattern without its sign becomes the nearest
        multiple of 2^n, of two as near the even one; it may carry into the exponent, but what would
        then be infinite is truncated, and NaNs and infinities are truncated too. ``set``,
        ``clear``, ``flip``: the bits of the mask become one, become zero, or change; bits of the
        exponent among them make NaNs and infinities of numbers, and numbers of those.
    keep
        Of ``truncate`` and ``round``: bits from the top of the pattern, 1 or more. A dtype of fewer
        bits is kept whole.
    mask
        Of ``set``, ``clear`` and ``flip``: bit 0 is the lowest of the pattern.
    """

    name: str
    keep: int = 0
    mask: int = 0

    def changes(self, dtype: str) -> bool:
        """Whether any pattern of a float dtype can change."""
        return self.keep < FLOATS[dtype].width if self.name in BY_KEEP else self.mask > 0

    def apply(self, dtype: str, bits: NDArray[Any]) -> NDArray[Any]:
        """Return what patterns become.

        Parameters
        ----------
        dtype
            One of `FLOATS`.
        bits
            Unsigned integers of its width; they stay as they are.
        """
        form = FLOATS[dtype]
        kind = bits.dtype.type
        result: NDArray[Any]
        if self.name in BY_MASK:
            mask = kind(self.mask)
            match self.name:
                case "set":
                    result = bits | mask
                case "clear":
                    result = bits & ~mask
                case _:
                    result = bits ^ mask
            return result
        dropped = max(0, form.width - self.keep)
        cut: NDArray[Any] = (bits >> kind(dropped)) << kind(dropped)
        if self.name == "round" and dropped:
            up, over = _nearer_above(form, bits, dropped)
            cut[up & ~over] += kind(1 << dropped)  # stays below the exponent of all ones
        return cut

    def held(self, dtype: str, bits: NDArray[Any]) -> int:
        """Return how many finite numbers are truncated, since rounding would make them infinite."""
        form = FLOATS[dtype]
        dropped = form.width - self.keep
        if self.name != "round" or dropped <= 0:
            return 0
        up, over = _nearer_above(form, bits, dropped)
        return int((up & over & ~is_special(dtype, bits)).sum())


def is_special(dtype: str, bits: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which patterns of a float dtype are a NaN or an infinity."""
    form = FLOATS[dtype]
    ones = bits.dtype.type(((1 << form.exponent) - 1) << form.mantissa)
    special: NDArray[np.bool_] = (bits & ones) == ones
    return special


def _nearer_above(
    form: FloatFormat, bits: NDArray[Any], dropped: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which patterns are nearer to the multiple above, and which of these are not finite."""
    kind = bits.dtype.type
    magnitude = bits & kind((1 << form.width - 1) - 1)
    below = magnitude & kind((1 << dropped) - 1)
    half, unit = kind(1 << dropped - 1), kind(1 << dropped)
    up = (below > half) | ((below == half) & ((magnitude & unit) != 0))
    # The sum fits: what is added up stays below the sign bit.
    over = (magnitude - below) + unit >= kind(((1 << form.exponent) - 1) << form.mantissa)
    return up, over


def operation_of(name: str, keep: int | None, mask: int | str | None) -> BitOperation:
    """Return an operation as people ask for it.

    Parameters
    ----------
    name
        One of `BY_KEEP` and `BY_MASK`.
    keep
        For `BY_KEEP`, 1 to 64.
    mask
        For `BY_MASK`: a number, or its hexadecimal digits.

    Raises
    ------
    UsageError
        They do not go together, or are no such numbers.
    """
    if name in BY_KEEP:
        if mask is not None:
            raise UsageError(f"{name} keeps the top bits: it takes no mask ({_words(BY_MASK)} do)")
        return BitOperation(name, keep=_keep(name, keep))
    if name not in BY_MASK:
        raise UsageError(f"the operation is {_words((*BY_KEEP, *BY_MASK), 'or')}, not {name!r}")
    if keep is not None:
        raise UsageError(f"{name} goes by a mask: it takes no keep ({_words(BY_KEEP)} do)")
    return BitOperation(name, mask=_mask(name, mask))


def _keep(name: str, keep: Any) -> int:
    if keep is None:
        raise UsageError(f"{name} needs to know how many bits to keep: keep, 1 to {WIDEST}")
    count = operator.index(keep) if hasattr(keep, "__index__") else 0
    if isinstance(keep, bool) or not 1 <= count <= WIDEST:
        raise UsageError(f"keep must be an integer from 1 to {WIDEST}, not {keep!r}")
    return count


def _mask(name: str, mask: Any) -> int:
    if mask is None:
        raise UsageError(f"{name} needs a mask: the bits as a hexadecimal number, as 0000ffff")
    if isinstance(mask, str):
        digits = mask.lower().removeprefix("0x")
        if not digits or len(digits) > 64 or set(digits) - set("0123456789abcdef"):
            raise UsageError(f"mask {mask[:80]!r} is no hexadecimal number, as 0000ffff")
        number = int(digits, 16)
    else:
        number = operator.index(mask) if hasattr(mask, "__index__") else -1
    if isinstance(mask, bool) or number < 0:
        raise UsageError(f"mask must be a number of bits, 0 or more, not {mask!r}")
    return number


def _words(names: tuple[str, ...], last: str = "and") -> str:
    return f"{', '.join(names[:-1])} {last} {names[-1]}"
