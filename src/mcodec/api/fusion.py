"""What a weight of each of two tasks costs together: the ways of paper 001's table 1."""

from __future__ import annotations

from typing import Final

from mcodec.types import FLOATS

# way -> what people read; the order of the paper's table, PackNet (which has no row there) added
WAYS: Final = {
    "separate": "two separate networks",
    "classifier": "classifier only",
    "piggyback": "Piggyback, two masks",
    "packnet": "PackNet, one owner bit",
    "v1": "bit fusion v1",
    "v2": "bit fusion v2",
}
# what the paper names besides the formulas: its table, and its text
PAPER_BITS: Final = {"v1": (50, 49), "v2": (34, 25)}


def pair_bits(
    way: str, n: int = 0, m: int = 0, *, dtype: str = "float32", networks: int = 2
) -> int:
    """Return the bits that a way takes for a weight of A and its weight of B.

    Parameters
    ----------
    way
        One of `WAYS`.
    n, m
        Bits of A and of B: mantissa bits below the hidden one for ``v1``, magnitude bits with the
        leading one for ``v2``; of no use to the others.
    dtype
        Of the weights.
    networks
        How many share the weights, for ``packnet``: its owners take ⌈log2 of that⌉ bits.
    """
    form = FLOATS[dtype]
    match way:
        case "separate":
            return 2 * form.width
        case "classifier":
            return form.width
        case "piggyback":
            return form.width + 2
        case "packnet":
            return form.width + (networks - 1).bit_length()
        case "v1":
            return 2 * (1 + form.exponent) + n + m
        case _:
            return 2 + n + m
