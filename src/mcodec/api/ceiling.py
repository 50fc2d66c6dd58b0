"""What the least work on some models holds in memory, for ``--max-memory``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mcodec import allowance
from mcodec.types import block_elements, itemsize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from mcodec.api.destination import Destination
    from mcodec.api.planning import Options
    from mcodec.formats.base import TensorSource
    from mcodec.types import TensorSpec

# Bytes that each tensor takes beside its values and what its source holds of it: what codes it,
# its place, its row and its certificate; HDF5's own tables.
PACKED: Final = 1500
PACKED_LOSSY: Final = 2600  # its survey, and an error in the certificate
UNPACKED: Final = 100
COPIED: Final = 1400
IN_HDF5: Final = 3500
CHANGED: Final = 1500  # what is found of a weight before it is changed
_TABLES: Final = ("hdf5", "keras")  # formats with such tables


def for_packing(
    models: Sequence[TensorSource], options: Options, max_memory: int | None, *, together: bool
) -> AbstractContextManager[allowance.Budget]:
    """Return a context that holds `pack` to a limit.

    Parameters
    ----------
    models
        The sources, open.
    options
        How they are coded.
    max_memory
        The limit in bytes, or None for the default.
    together
        Whether blocks of all models are in work together, since they are fused.

    Raises
    ------
    UsageError
        The work takes more than the limit, however little is done at a time.
    """
    specs = [spec for model in models for spec in model.tensors]
    largest = allowance.BLOCKS * largest_block(specs) * (len(models) if together else 1)
    return allowance.limited(max_memory, _packed(options) * len(specs), largest)


def for_copying(
    specs: Sequence[TensorSpec], format: str, max_memory: int | None
) -> AbstractContextManager[allowance.Budget]:
    """Return a context that holds a copy of a model into another file to a limit.

    Parameters
    ----------
    specs
        The tensors.
    format
        What they are written as.
    max_memory
        The limit in bytes, or None for the default.

    Raises
    ------
    UsageError
        The work takes more than the limit, however little is done at a time.
    """
    return allowance.limited(max_memory, (COPIED + _tables(format)) * len(specs))


def for_unpacking(
    specs: Sequence[TensorSpec], format: str, max_memory: int | None
) -> AbstractContextManager[allowance.Budget]:
    """Return a context that holds `unpack` to a limit; parameters are those of `for_copying`."""
    largest = allowance.BLOCKS * largest_block(specs)
    return allowance.limited(max_memory, (UNPACKED + _tables(format)) * len(specs), largest)


def for_change(
    model: TensorSource, destination: Destination, options: Options, max_memory: int | None
) -> AbstractContextManager[allowance.Budget]:
    """Return a context that holds to a limit what changes a model on its way to a destination."""
    specs = model.tensors
    if destination.plan is None:
        each, largest = _packed(options), allowance.BLOCKS * largest_block(specs)
        return allowance.limited(max_memory, (CHANGED + each) * len(specs), largest)
    each = CHANGED + COPIED + _tables(destination.format)
    return allowance.limited(max_memory, each * len(specs))


def _packed(options: Options) -> int:
    lossy = options.codec is not None or any(options.bits) or bool(options.plan.rules)
    return PACKED_LOSSY if lossy else PACKED


def _tables(format: str) -> int:
    return IN_HDF5 if format in _TABLES else 0


def largest_block(specs: Iterable[TensorSpec]) -> int:
    """Return the bytes of the largest block that tensors are cut into."""
    kinds = {(spec.size, spec.dtype) for spec in specs}  # thousands are alike
    items = ((size, itemsize(dtype)) for size, dtype in kinds)
    return max((min(size, block_elements(item)) * item for size, item in items), default=0)
