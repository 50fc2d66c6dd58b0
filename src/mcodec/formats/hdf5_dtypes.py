"""Which HDF5 datatypes are tensors, and of which dtype."""

from __future__ import annotations

from typing import Final

import msgspec

from mcodec.formats.hdf5_types import (
    Compound,
    Enum,
    Float,
    Integer,
    Member,
    Opaque,
    Predefined,
    Type,
)
from mcodec.types import ITEMSIZE, itemsize

# What Keras marks an opaque type with: an attribute of the dataset that names the dtype.
MARKER: Final = "dtype"


def _float(size: int, exponent: int, bias: int) -> Float:
    """Return the little-endian float of `size` bytes with the fields of IEEE 754, and its order."""
    bits = 8 * size
    mantissa = bits - 1 - exponent
    fields = (bits - 1, mantissa, exponent, 0, mantissa)
    return Float(size, "little", bits, 0, fields, bias, norm=0, pad=(0, 0, 0))


def _complex(half: Float) -> Compound:
    """Return h5py's complex numbers: two floats that are called r and i."""
    return Compound(2 * half.size, (Member("r", 0, half), Member("i", half.size, half)))


# What mcodec writes, where no skeleton names a datatype. HDF5 itself has no booleans: they are
# h5py's enumeration, over NumPy's bytes 0 and 1.
_PLAIN: Final[dict[str, Type]] = {
    "bool": Enum(Integer(1, "little", signed=True), (("FALSE", 0), ("TRUE", 1))),
    **{f"int{8 * size}": Integer(size, "little", signed=True) for size in (1, 2, 4, 8)},
    **{f"uint{8 * size}": Integer(size, "little", signed=False) for size in (1, 2, 4, 8)},
    "float16": _float(2, 5, 15),
    "float32": _float(4, 8, 127),
    "float64": _float(8, 11, 1023),
    "complex64": _complex(_float(4, 8, 127)),
    "complex128": _complex(_float(8, 11, 1023)),
}
_NAMES: Final[dict[Type, str]] = {
    **{kind: name for name, kind in _PLAIN.items()},
    _float(2, 8, 127): "bfloat16",
    _float(1, 4, 7): "float8_e4m3fn",
    _float(1, 5, 15): "float8_e5m2",
    Predefined("COMPLEX_IEEE_F32LE"): "complex64",
    Predefined("COMPLEX_IEEE_F64LE"): "complex128",
}


def is_extension(dtype: str) -> bool:
    """Tell whether a dtype is written as opaque bytes, and named by the attribute `MARKER`."""
    return dtype in ITEMSIZE and dtype not in _PLAIN


def plain_type(dtype: str) -> Type:
    """Return the HDF5 datatype that a tensor gets where no skeleton names one."""
    return _PLAIN.get(dtype) or Opaque(itemsize(dtype), "")


def tensor_dtype(kind: Type, marker: str = "") -> str | None:
    """Return the dtype that a tensor of an HDF5 datatype has, or None if it is no tensor.

    Parameters
    ----------
    kind : Type
        Of either byte order.
    marker : str
        What the dataset's attribute `MARKER` says.
    """
    match little_endian(kind):
        case Opaque(size=size) if is_extension(marker) and itemsize(marker) == size:
            return marker
        case Enum() as little:
            return _NAMES.get(little) or _NAMES.get(little.base)
        case little if little in _NAMES:
            return _NAMES[little]
        case Integer(size=size) | Float(size=size) | Opaque(size=size):
            return f"V{size}"  # no layout that NumPy has: bytes to keep
    return None


def little_endian(kind: Type) -> Type:
    """Return the datatype with which a tensor of this one is written.

    Keras on torch cannot read big-endian datasets. Layouts without a dtype stay as they are, since
    their bytes are not turned.
    """
    turned = _turn(kind)
    known = turned.base in _NAMES if isinstance(turned, Enum) else turned in _NAMES
    return turned if known else kind


def _turn(kind: Type) -> Type:
    match kind:
        case Integer() | Float():
            return msgspec.structs.replace(kind, order="little")
        case Enum():
            return msgspec.structs.replace(kind, base=_turn(kind.base))
        case Compound():
            members = [msgspec.structs.replace(m, type=_turn(m.type)) for m in kind.members]
            return msgspec.structs.replace(kind, members=tuple(members))
        case Predefined():
            return Predefined(kind.name.removesuffix("BE") + "LE" * kind.name.endswith("BE"))
    return kind


def swap_unit(kind: Type) -> int:
    """Return how many bytes at a time make a tensor's bytes little-endian when turned; 0: none."""
    dtype = tensor_dtype(kind)
    if dtype is None or little_endian(kind) == kind:
        return 0
    return itemsize(dtype) // (2 if dtype.startswith("complex") else 1)
