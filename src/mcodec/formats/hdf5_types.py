"""HDF5 datatypes as plain values: read off the library, kept in a skeleton, built again.

`Type` says all that HDF5 says of a datatype (HDF5 file format specification, IV.A.2.d), so that a
file written from a skeleton has the very types of its source. NumPy's dtypes would not do: h5py
shows a native bfloat16 as float32.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from h5py import h5t

from mcodec.formats.hdf5_guards import check_element, invalid, refused

Order = Literal["little", "big"]
_MAX_NESTING: Final = 8
_ORDERS: Final[dict[int, Order]] = {h5t.ORDER_LE: "little", h5t.ORDER_BE: "big"}
_ORDER_IDS: Final = {name: code for code, name in _ORDERS.items()}
# Types that h5py can only copy, not put together.
_PREDEFINED: Final[dict[str, Any]] = {
    name: getattr(h5t, name)
    for name in (
        "STD_REF_OBJ",
        *(f"STD_B{bits}{order}" for bits in (8, 16, 32, 64) for order in ("LE", "BE")),
        *(f"COMPLEX_IEEE_F{bits}{order}" for bits in (16, 32, 64) for order in ("LE", "BE")),
    )
    if hasattr(h5t, name)
}


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


def describe(tid: Any, path: str, depth: int = 0) -> Type:
    """Say what a datatype of an open file is.

    Raises
    ------
    FormatError
        ``limit_exceeded`` if an element is too large, ``source_refused`` for what HDF5 has and a
        skeleton cannot say: times, region references, odd byte orders.
    """
    size = check_element(tid.get_size(), path)
    if depth > _MAX_NESTING:
        raise refused(f"{path!r} has a datatype nested deeper than {_MAX_NESTING}")
    for name, known in _PREDEFINED.items():
        if tid.get_class() == known.get_class() and tid.equal(known):
            return Predefined(name)
    match tid:
        case h5t.TypeStringID():
            length = None if tid.is_variable_str() else size
            return String(length, tid.get_cset(), tid.get_strpad())
        case h5t.TypeEnumID():
            return _describe_enum(tid, path)
        case h5t.TypeIntegerID():
            return _describe_integer(tid, path)
        case h5t.TypeFloatID():
            return _describe_float(tid, path)
        case h5t.TypeOpaqueID():
            return Opaque(size, _text(tid.get_tag(), path))
        case h5t.TypeCompoundID():
            return Compound(size, tuple(_describe_members(tid, path, depth)))
        case h5t.TypeArrayID():
            return Array(describe(tid.get_super(), path, depth + 1), tuple(tid.get_array_dims()))
        case h5t.TypeVlenID():
            return Sequence(describe(tid.get_super(), path, depth + 1))
    raise refused(f"{path!r} has a datatype that mcodec cannot keep")


def _text(raw: bytes | str, path: str) -> str:
    try:
        return raw if isinstance(raw, str) else raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused(f"{path!r} has a datatype with a name that is not UTF-8") from error


def _order(tid: Any, path: str) -> Order:
    try:
        return _ORDERS[tid.get_order()]
    except KeyError:
        raise refused(f"{path!r} has an odd byte order") from None


def _describe_integer(tid: Any, path: str) -> Integer:
    size, precision = tid.get_size(), tid.get_precision()
    return Integer(
        size,
        _order(tid, path),
        tid.get_sign() == h5t.SGN_2,
        0 if precision == 8 * size else precision,
        tid.get_offset(),
        tid.get_pad(),
    )


def _describe_float(tid: Any, path: str) -> Float:
    return Float(
        tid.get_size(),
        _order(tid, path),
        tid.get_precision(),
        tid.get_offset(),
        tid.get_fields(),
        tid.get_ebias(),
        tid.get_norm(),
        (*tid.get_pad(), tid.get_inpad()),
    )


def _describe_enum(tid: Any, path: str) -> Enum:
    base = tid.get_super()
    if not isinstance(base, h5t.TypeIntegerID):
        raise refused(f"{path!r} has an enumeration of something else than integers")
    names = [(tid.get_member_name(i), tid.get_member_value(i)) for i in range(tid.get_nmembers())]
    return Enum(
        _describe_integer(base, path), tuple((_text(name, path), value) for name, value in names)
    )


def _describe_members(tid: Any, path: str, depth: int) -> list[Member]:
    return [
        Member(
            _text(tid.get_member_name(i), path),
            tid.get_member_offset(i),
            describe(tid.get_member_type(i), path, depth + 1),
        )
        for i in range(tid.get_nmembers())
    ]


def build(kind: Type, path: str, depth: int = 0) -> Any:
    """Make the datatype that `describe` described.

    Raises
    ------
    FormatError
        ``source_invalid`` if there can be no such datatype.
    """
    if depth > _MAX_NESTING:
        raise refused(f"{path!r} has a datatype nested deeper than {_MAX_NESTING}")
    tid = _make(kind, path, depth)
    if describe(tid, path, depth) != kind:
        raise invalid(f"{path!r} has a datatype that HDF5 cannot have")
    return tid


def _make(kind: Type, path: str, depth: int) -> Any:
    match kind:
        case Integer():
            return _make_integer(kind)
        case Float():
            return _make_float(kind, path)
        case String():
            tid = h5t.C_S1.copy()
            tid.set_size(h5t.VARIABLE if kind.size is None else check_element(kind.size, path))
            tid.set_cset(kind.charset)
            tid.set_strpad(kind.padding)
        case Opaque():
            tid = h5t.create(h5t.OPAQUE, check_element(kind.size, path))
            tid.set_tag(kind.label.encode("utf-8"))
        case Enum():
            tid = h5t.enum_create(_make_integer(kind.base))
            for name, value in kind.members:
                tid.enum_insert(name.encode("utf-8"), value)
        case Compound():
            tid = h5t.create(h5t.COMPOUND, check_element(kind.size, path))
            for member in kind.members:
                base = build(member.type, path, depth + 1)
                tid.insert(member.name.encode("utf-8"), member.offset, base)
        case Array():
            tid = h5t.array_create(build(kind.base, path, depth + 1), kind.shape)
        case Sequence():
            tid = h5t.vlen_create(build(kind.base, path, depth + 1))
        case Predefined():
            if kind.name not in _PREDEFINED:
                raise refused(f"{path!r} has the datatype {kind.name[:40]!r}, unknown here")
            tid = _PREDEFINED[kind.name].copy()
    return tid


def _make_integer(kind: Integer) -> Any:
    tid = h5t.STD_I8LE.copy()
    tid.set_size(kind.size)
    tid.set_order(_ORDER_IDS[kind.order])
    tid.set_sign(h5t.SGN_2 if kind.signed else h5t.SGN_NONE)
    tid.set_precision(kind.precision or 8 * kind.size)
    tid.set_offset(kind.offset)
    tid.set_pad(*kind.pad)
    return tid


def _make_float(kind: Float, path: str) -> Any:
    tid = h5t.IEEE_F64LE.copy()
    tid.set_size(max(8, check_element(kind.size, path)))
    tid.set_precision(8 * tid.get_size())
    tid.set_fields(*kind.fields)
    tid.set_precision(kind.precision)
    tid.set_offset(kind.offset)
    tid.set_size(kind.size)
    tid.set_ebias(kind.bias)
    tid.set_norm(kind.norm)
    tid.set_inpad(kind.pad[2])
    tid.set_pad(*kind.pad[:2])
    tid.set_order(_ORDER_IDS[kind.order])
    return tid
