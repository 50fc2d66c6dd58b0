"""What runs the kernels here, for figures to be read with."""

from __future__ import annotations

from mcodec.codec import kernels


def kernel_target() -> str:
    """Return the instruction set that kernels use, such as ``avx2``; or ``reference``."""
    return kernels.target()
