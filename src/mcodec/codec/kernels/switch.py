"""Which backend and target is in use; `mcodec.codec.kernels` documents the environment."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mcodec.codec.kernels import reference
from mcodec.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


def _load() -> Any:
    name = os.environ.get("MCODEC_BACKEND", "native")
    if name == "reference":
        return reference
    if name != "native":
        raise UsageError(f"MCODEC_BACKEND={name!r}: must be native or reference")
    try:
        from mcodec.codec.kernels import _native
    except ImportError as error:
        raise MissingDependencyError(
            f"the compiled kernels cannot be loaded ({error}): "
            "install mcodec again, or set MCODEC_BACKEND=reference"
        ) from error
    wanted = os.environ.get("MCODEC_SIMD")
    if wanted is not None and not _native.use(wanted):
        usable = ", ".join(_native.targets())
        raise UsageError(f"MCODEC_SIMD={wanted!r}: this machine has {usable}")
    return _native


_impl: Any = _load()


def impl() -> Any:
    """Return the backend in use: of two modules with one interface, `_native.pyi`."""
    return _impl


def backend() -> str:
    """Return ``native`` or ``reference``."""
    return "reference" if _impl is reference else "native"


def target() -> str:
    """Return the target in use, such as ``avx2`` or ``portable``, or ``reference``."""
    return "reference" if _impl is reference else str(_impl.target())


def targets() -> tuple[str, ...]:
    """Return the targets of the backend that this machine can run, the best first."""
    return ("reference",) if _impl is reference else tuple(_impl.targets())


@contextmanager
def forced(name: str) -> Iterator[None]:
    """Use one of `targets`, or ``reference``, for a while and in all threads: for tests.

    Raises
    ------
    ValueError
        If there is no such target here.
    """
    global _impl  # noqa: PLW0603 - the one switch
    before, chosen = _impl, target()
    if name == "reference":
        _impl = reference
    elif before is reference or not before.use(name):
        raise ValueError(f"no target {name!r} here")
    try:
        yield
    finally:
        _impl = before
        if before is not reference:
            before.use(chosen)
