"""The dtypes of safetensors files, and how those of less than a byte are held as bytes.

The tags are those of the safetensors library 0.8. F4, F6_E2M3 and F6_E3M2 pack values without
regard to bytes, and a shape counts values; such a tensor has to end on a whole byte. mcodec has no
such dtypes: it reads the bytes, opaque, and the header, kept as it stood, says what they are.
"""

from __future__ import annotations

import math
from typing import Final

from mcodec.errors import FormatError
from mcodec.types import TensorSpec

# In the order of the library's own list, by which it lays tensors out (`build_header`).
DTYPES: Final[dict[str, str]] = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "C64": "complex64",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
}
TAGS: Final = {name: tag for tag, name in DTYPES.items()}
RANKS: Final = {name: rank for rank, name in enumerate(TAGS)}
SUB_BYTE: Final = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}  # bits of a value


def sub_byte_spec(name: str, tag: str, shape: tuple[int, ...]) -> TensorSpec:
    """Return the opaque tensor that holds the bytes of one of a `SUB_BYTE` dtype.

    Parameters
    ----------
    name : str
    tag : str
    shape : tuple of int
        It counts values.

    Returns
    -------
    TensorSpec
        An element is the fewest values that fill whole bytes: 2 of F4 in a ``V1``, 4 of F6 in a
        ``V3``; if the last axis is no multiple of that, the bytes in one axis.

    Raises
    ------
    FormatError
        ``source_invalid`` if the tensor does not end on a whole byte.
    """
    bits = SUB_BYTE[tag]
    total = math.prod(shape) * bits
    if total % 8:
        raise FormatError(
            f"tensor {name!r} has {total} bits ({tag}): no whole bytes", code="source_invalid"
        )
    element = math.lcm(bits, 8)
    values = element // bits
    if shape and shape[-1] % values == 0:
        return TensorSpec(name, f"V{element // 8}", (*shape[:-1], shape[-1] // values))
    return TensorSpec(name, "V1", (total // 8,))
