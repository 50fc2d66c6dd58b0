"""Which HDF5 datatypes are tensors, and of which dtype."""

from __future__ import annotations

from typing import Final

import msgspec

from mcodec.formats.hdf5_types import Compound, Enum, Float, Integer, Member, Opaque, Predefined, Type
from mcodec.types import itemsize


def _float(size: int, exponent: int, bias: int) -> Float:
    """Return the little-endian IEEE-like float of `size` bytes."""
    bits = 8 * size
    mantissa = bits - 1 - exponent
    fields = (bits - 1, mantissa, exponent, 0, mantissa)
    return Float(size, "little", bits, 0, fields, bias, norm=0, pad=(0, 0, 0))


FLOATS: Final[dict[str, Float]] = {
    "float16": _float(2, 5, 15),
    "bfloat16": _float(2, 8, 127),
    "float32": _float(4, 8, 127),
    "float64": _float(8, 11, 1023),
    "float8_e4m3fn": _float(1, 4, 7),
    "float8_e5m2": _float(1, 5, 15),
}
_FLOAT_NAMES: Final = {kind: name for name, kind in FLOATS.items()}
_COMPLEX: Final = {"complex64": "float32", "complex128": "float64"}
_COMPLEX_NAMES: Final = {half: name for name, half in _COMPLEX.items()}
_NATIVE_COMPLEX: Final = {
    f"COMPLEX_IEEE_F{bits}{suffix}": (name, order)
    for bits, name in ((32, "complex64"), (64, "complex128"))
    for suffix, order in (("LE", "little"), ("BE", "big"))
}
# h5py's boolean: NumPy's bytes 0 and 1, which HDF5 itself has no type for.
BOOL: Final = Enum(Integer(1, "little", signed=True), (("FALSE", 0), ("TRUE", 1)))
# What Keras marks an opaque type with, in an attribute of the dataset.
MARKER: Final = "dtype"
_MARKED: Final = frozenset({"bfloat16", "float8_e4m3fn", "float8_e5m2"})


def tensor_dtype(kind: Type, marker: str | None = None) -> str | None:
    """Return the dtype that a tensor of an HDF5 datatype has, or None if it is no tensor.

    Parameters
    ----------
    kind : Type
        Of either byte order.
    marker : str, optional
        What the dataset's attribute ``dtype`` says (Keras: bfloat16 in an opaque type).
    """
    little = little_endian(kind)
    match little:
        case Integer(precision=0, offset=0) if little.size in (1, 2, 4, 8):
            return f"{'' if little.signed else 'u'}int{8 * little.size}"
        case Float() if little in _FLOAT_NAMES:
            return _FLOAT_NAMES[little]
        case Integer() | Float():
            return f"V{little.size}"  # an odd layout: bytes to keep
        case Enum():
            return "bool" if little == BOOL else tensor_dtype(little.base)
        case Opaque():
            named = marker if marker in _MARKED and itemsize(marker) == little.size else None
            return named or f"V{little.size}"
        case Compound():
            return _complex(little)
        case Predefined():
            return _NATIVE_COMPLEX.get(little.name, (None,))[0]
    return None


def _complex(kind: Compound) -> str | None:
    """Return the dtype of h5py's complex numbers: two floats that are called r and i."""
    match kind.members:
        case (Member("r", 0, Float() as half), Member("i", at, Float() as other)):
            fits = half == other and at == half.size and kind.size == 2 * half.size
            return _COMPLEX_NAMES.get(_FLOAT_NAMES.get(half, "")) if fits else None
    return None


def little_endian(kind: Type) -> Type:
    """Return the datatype with which a tensor of this one is written.

    Keras on torch cannot read big-endian datasets; odd layouts stay as they are, since their bytes
    are not turned.
    """
    match kind:
        case Integer(precision=0, offset=0) | Float():
            turned = msgspec.structs.replace(kind, order="little")
            return turned if isinstance(kind, Integer) or turned in _FLOAT_NAMES else kind
        case Enum():
            base = little_endian(kind.base)
            return msgspec.structs.replace(kind, base=base)
        case Compound():
            turned_members = tuple(
                msgspec.structs.replace(m, type=little_endian(m.type)) for m in kind.members
            )
            turned = msgspec.structs.replace(kind, members=turned_members)
            return turned if _complex(turned) else kind
        case Predefined() if kind.name in _NATIVE_COMPLEX:
            return Predefined(kind.name[:-2] + "LE")
    return kind


def swap_unit(kind: Type) -> int:
    """Return how many bytes at a time a tensor's bytes are turned to be little-endian; 0 for none."""
    if little_endian(kind) == kind:
        return 0
    match kind:
        case Integer() | Float():
            return kind.size
        case Enum():
            return kind.base.size
        case Compound():
            return kind.size // 2
        case Predefined():
            return 4 if "F32" in kind.name else 8
    return 0


def plain_type(dtype: str) -> Type:
    """Return the HDF5 datatype that a tensor gets where no skeleton names one.

    Float types that HDF5 cannot name are opaque, with the dtype as their tag.
    """
    if dtype in FLOATS and not dtype.startswith(("bfloat16", "float8")):
        return FLOATS[dtype]
    if dtype in _COMPLEX:
        half = FLOATS[_COMPLEX[dtype]]
        members = (Member("r", 0, half), Member("i", half.size, half))
        return Compound(2 * half.size, members)
    if dtype == "bool":
        return BOOL
    size = itemsize(dtype)
    if dtype.startswith(("int", "uint")):
        return Integer(size, "little", signed=dtype.startswith("int"))
    return Opaque(size, "")
