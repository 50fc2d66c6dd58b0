"""Which float tensors of a model are the scales of its integers: an error there is one everywhere.

Every quantiser has its own names. A tensor that is taken for a scale and is none stays lossless,
which costs some bytes; so the rules here are wide.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mcodec.types import FLOATS, ITEMSIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcodec.types import TensorSpec

# What a scale is called behind the name of its tensor, or beside it: Keras' kernel_scale and
# kernel_zero, weight_scale_inv, GPTQ's qweight and scales, MLX' weight, scales and biases.
_SCALE: Final = re.compile(r"(?:(.*)[._/])?(?:scale|zero|absmax|biases)[a-z0-9_.]*\Z", re.DOTALL)
_PACKED: Final = re.compile(r"_(?:quantized|packed)\Z")
_LAST: Final = re.compile(r"(?:(.*)[._/])?([^._/]*)\Z", re.DOTALL)
# Keras numbers the variables of a layer: 0 is the kernel, and its scale one of the others.
_NUMBERED: Final = re.compile(r"(.*\bvars)/[0-9]+\Z", re.DOTALL)


def scales_of(tensors: Iterable[TensorSpec]) -> frozenset[str]:
    """Return the names of float tensors that scale, or shift, integers of the same model.

    These are ``NAME_scale``, ``NAME.scale``, ``NAME_zero…`` and the like beside integers ``NAME``,
    ``PLACE.scales`` beside integers anywhere in ``PLACE``, and all floats among the numbered
    variables of a Keras layer that has integers.

    Parameters
    ----------
    tensors
        Of one model.
    """
    known = list(tensors)
    stems: set[str] = set()
    layers: set[str] = set()
    for tensor in known:
        if _is_quantized(tensor):
            place = _LAST.match(tensor.name)
            assert place is not None  # it matches anything
            stems |= {tensor.name, _PACKED.sub("", tensor.name), place[1] or ""}
            numbered = _NUMBERED.match(tensor.name)
            if numbered:
                layers.add(numbered[1])
    if not stems:
        return frozenset()
    return frozenset(
        tensor.name
        for tensor in known
        if tensor.dtype in FLOATS and _belongs(tensor.name, stems, layers)
    )


def _is_quantized(tensor: TensorSpec) -> bool:
    """Whether a tensor may be quantised weights, several of them in an integer or one."""
    if tensor.dtype in ("int32", "uint32"):
        return "weight" in tensor.name or "kernel" in tensor.name
    return ITEMSIZE.get(tensor.dtype) == 1 and tensor.dtype != "bool"


def _belongs(name: str, stems: set[str], layers: set[str]) -> bool:
    numbered = _NUMBERED.match(name)
    if numbered and numbered[1] in layers:
        return True
    scale = _SCALE.match(name)
    return scale is not None and (scale[1] or "") in stems
