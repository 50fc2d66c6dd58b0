"""Which tensors of a model are weights that may be pruned or quantised."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from mcodec.api.patterns import choose_by_name
from mcodec.api.planning import is_weight
from mcodec.api.scalenames import scales_of
from mcodec.types import FLOATS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mcodec.formats.base import TensorSource
    from mcodec.types import TensorSpec

# Ends of names that are no weights, however many dimensions they have: the biases of Keras' GRU and
# attention have two. Keras 2 ends names in ``:0``.
_NO_WEIGHT: Final = re.compile(
    r"(?:.*[./_])?"
    r"(?:bias(?:_[^./]*)?(?:\.weight)?|beta|gamma|(?:moving|running)_(?:mean|var|variance))"
    r"(?::\d+)?",
    re.DOTALL,
)
_KERAS_VARIABLE: Final = re.compile(r"((?:.*/)?vars)/([1-9][0-9]*)", re.DOTALL)


def choose_weights(
    source: TensorSource,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    warn: Callable[[str], None] = lambda message: None,
) -> list[int]:
    """Return the arrays of a model that are weights: floating, of two or more dimensions.

    Never biases, what belongs to a batch normalisation, scales of integers, or training state. An
    array of several names is one if all of them may be.

    Parameters
    ----------
    source
        The model.
    include, exclude
        Shell patterns of names: of the weights only those that one of `include` matches, if there
        are any, and none that one of `exclude` matches. With several names, one that matches is
        enough.
    warn
        Called with a line for each pattern that matches no weight.

    Returns
    -------
    list of int
        Indices of tensors, second names left out.
    """
    by_name = {tensor.name: tensor for tensor in source.tensors}
    scales = scales_of(source.tensors)
    names: defaultdict[int, list[str]] = defaultdict(list)
    refused: set[int] = set()
    for index, tensor in enumerate(source.tensors):
        first = source.same_as.get(index, index)
        names[first].append(tensor.name)
        if tensor.name in scales or not _may_be(tensor, by_name):
            refused.add(first)
    weights = {index: own for index, own in names.items() if index not in refused}
    return choose_by_name(weights, include, exclude, warn, "weight")


def _may_be(tensor: TensorSpec, by_name: Mapping[str, TensorSpec]) -> bool:
    return (
        tensor.dtype in FLOATS
        and is_weight(tensor)
        and not _NO_WEIGHT.fullmatch(tensor.name)
        and not _is_unnamed_bias(tensor, by_name)
    )


def _is_unnamed_bias(tensor: TensorSpec, by_name: Mapping[str, TensorSpec]) -> bool:
    """Tell a bias of Keras 3, which numbers a layer's variables and does not name them.

    A layer's first variable is its kernel. Biases of attention have fewer dimensions; that of a GRU
    is a pair of vectors behind two kernels.
    """
    found = _KERAS_VARIABLE.fullmatch(tensor.name)
    kernel = by_name.get(f"{found[1]}/0") if found else None
    if found is None or kernel is None:
        return False
    if len(tensor.shape) < len(kernel.shape):
        return True
    second = by_name.get(f"{found[1]}/1")
    units, rest = divmod(tensor.shape[-1], 3)
    return (
        found[2] == "2"
        and rest == 0
        and second is not None
        and second.shape == (units, 3 * units)
        and len(kernel.shape) == 2
        and kernel.shape[1] == 3 * units
        and tensor.shape == (2, 3 * units)
    )
