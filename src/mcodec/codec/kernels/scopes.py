"""Which exponent or scale belongs to which element of a tensor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scopes:
    """Which exponent belongs to which element: element i has ``((i + first) // inner) % count``.

    Parameters
    ----------
    inner
        Elements that follow each other with one exponent: all of them for a tensor, the product of
        the later dimensions for an axis, k for blocks of k.
    count
        Exponents until they start again: 1 for a tensor, the dimension for an axis, any number that
        is not reached for blocks.
    first
        The place of element 0 in the tensor.
    """

    inner: int
    count: int
    first: int = 0

    @property
    def flat(self) -> tuple[int, int, int]:
        """The three numbers, as the backends take them."""
        return self.inner, self.count, self.first
