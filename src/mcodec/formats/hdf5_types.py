"""HDF5 datatypes as plain values, as a skeleton keeps them (hdf5_typeids reads and builds them).

`Type` says all that HDF5 says of a datatype (HDF5 file format specification, IV.A.2.d), so that a
file written from a skeleton has the very types of its source. NumPy's dtypes would not do: h5py
shows a native bfloat16 as float32.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

MAX_RANK: Final = 32  # dimensions: HDF5's own limit
MAX_NESTING: Final = 8
Order = Literal["little", "big"]


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="class"):
    """Strict and hashable: skeletons come from files that nobody has checked."""


class Integer(_Struct, frozen=True, tag="integer", omit_defaults=True):
    """An integer of `precision` bits, `offset` bits up from the lowest; 0 means all of its size."""

    size: int
    order: Order
    signed: bool
    precision: int = 0
    offset: int = 0
    pad: tuple[int, int] = (0, 0)


class Float(_Struct, frozen=True, tag="float"):
    """A float; `fields` are sign, exponent position and size, mantissa position and size."""

    size: int
    order: Order
    precision: int
    offset: int
    fields: tuple[int, int, int, int, int]
    bias: int
    norm: int
    pad: tuple[int, int, int]


class String(_Struct, frozen=True, tag="string"):
    """A string; `size` is None where its length varies."""

    size: int | None
    charset: Literal[0, 1]
    padding: Literal[0, 1, 2]


class Opaque(_Struct, frozen=True, tag="opaque"):
    """Bytes with a tag that names them."""

    size: int
    label: str


class Enum(_Struct, frozen=True, tag="enum"):
    """Integers with names."""

    base: Integer
    members: tuple[tuple[str, int], ...]


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field of a compound."""

    name: str
    offset: int
    type: Type


class Compound(_Struct, frozen=True, tag="compound"):
    """A record."""

    size: int
    members: tuple[Member, ...]


class Array(_Struct, frozen=True, tag="array"):
    """An element that is itself an array."""

    base: Type
    shape: tuple[int, ...]


class Sequence(_Struct, frozen=True, tag="sequence"):
    """An element that is a sequence of any length."""

    base: Type


class Predefined(_Struct, frozen=True, tag="predefined"):
    """A datatype that HDF5 has by name: a bit field, a complex number, an object reference."""

    name: str


Type = Integer | Float | String | Opaque | Enum | Compound | Array | Sequence | Predefined
REFERENCE: Final = Predefined("STD_REF_OBJ")


def lies_in_heap(kind: Type) -> bool:
    """Tell whether elements of a datatype are just descriptors of what lies in a global heap."""
    return isinstance(kind, Sequence) or (isinstance(kind, String) and kind.size is None)


def is_variable(kind: Type) -> bool:
    """Tell whether elements of a datatype lie elsewhere in the file, in whole or in part."""
    match kind:
        case Compound():
            return any(is_variable(member.type) for member in kind.members)
        case Array():
            return is_variable(kind.base)
    return lies_in_heap(kind) or kind == REFERENCE
