"""HDF5 datatypes of the library, described as plain values and built from them again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from h5py import h5t

from mcodec.formats.hdf5_guards import check_element, invalid, name_text, over_limit, refused
from mcodec.formats.hdf5_types import (
    MAX_NESTING,
    MAX_RANK,
    Array,
    Compound,
    Enum,
    Float,
    Integer,
    Member,
    Opaque,
    Order,
    Predefined,
    Sequence,
    String,
    Type,
)
from mcodec.limits import MAX_TYPE_MEMBERS

if TYPE_CHECKING:
    from collections.abc import Callable

_ORDERS: Final[dict[int, Order]] = {h5t.ORDER_LE: "little", h5t.ORDER_BE: "big"}
_ORDER_IDS: Final = {name: code for code, name in _ORDERS.items()}
# Types that h5py can only copy, not put together.
_PREDEFINED: Final[dict[str, h5t.TypeID]] = {
    name: getattr(h5t, name)
    for name in (
        "STD_REF_OBJ",
        *(f"STD_B{bits}{order}" for bits in (8, 16, 32, 64) for order in ("LE", "BE")),
        *(f"COMPLEX_IEEE_F{bits}{order}" for bits in (16, 32, 64) for order in ("LE", "BE")),
    )
    if hasattr(h5t, name)
}


def describe(tid: h5t.TypeID, path: str, depth: int = 0) -> Type:
    """Say what a datatype of an open file is.

    Raises
    ------
    FormatError
        ``limit_exceeded`` if an element is too large, ``source_refused`` for what HDF5 has and a
        skeleton cannot say: times, region references, odd byte orders.
    """
    check_element(tid.get_size(), path)
    if depth > MAX_NESTING:
        raise refused(f"{path!r} has a datatype nested deeper than {MAX_NESTING}")
    describer = _DESCRIBERS.get(tid.get_class(), _describe_predefined)
    return describer(tid, path, depth)


def _describe_predefined(tid: h5t.TypeID, path: str, _: int) -> Type:
    for name, known in _PREDEFINED.items():
        if tid.get_class() == known.get_class() and tid.equal(known):
            return Predefined(name)
    raise refused(f"{path!r} has a datatype that mcodec cannot keep")


def _order(tid: h5t.TypeID, path: str) -> Order:
    try:
        return _ORDERS[tid.get_order()]
    except KeyError:
        raise refused(f"{path!r} has an odd byte order") from None


def _describe_integer(tid: h5t.TypeIntegerID, path: str, _: int) -> Integer:
    size, precision = tid.get_size(), tid.get_precision()
    return Integer(
        size,
        _order(tid, path),
        tid.get_sign() == h5t.SGN_2,
        0 if precision == 8 * size else precision,
        tid.get_offset(),
        tid.get_pad(),
    )


def _describe_float(tid: h5t.TypeFloatID, path: str, _: int) -> Float:
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


def _describe_string(tid: h5t.TypeStringID, path: str, _: int) -> String:
    size = None if tid.is_variable_str() else tid.get_size()
    charset, padding = tid.get_cset(), tid.get_strpad()
    if charset not in (0, 1) or padding not in (0, 1, 2):
        raise invalid(f"{path!r} has strings of an unknown kind")
    return String(size, charset, padding)


def _describe_opaque(tid: h5t.TypeOpaqueID, _path: str, _: int) -> Opaque:
    return Opaque(tid.get_size(), name_text(tid.get_tag()))


def _members(tid: h5t.TypeEnumID | h5t.TypeCompoundID, path: str) -> range:
    count = tid.get_nmembers()
    if count > MAX_TYPE_MEMBERS:
        raise over_limit(f"{path!r} has a datatype of more than {MAX_TYPE_MEMBERS} members")
    return range(count)


def _describe_enum(tid: h5t.TypeEnumID, path: str, _: int) -> Enum:
    base = tid.get_super()
    if base.get_class() != h5t.INTEGER:
        raise refused(f"{path!r} has an enumeration of something else than integers")
    members = (
        (name_text(tid.get_member_name(i)), tid.get_member_value(i)) for i in _members(tid, path)
    )
    return Enum(_describe_integer(base, path, 0), tuple(members))


def _describe_compound(tid: h5t.TypeCompoundID, path: str, depth: int) -> Compound:
    members = (
        Member(
            name_text(tid.get_member_name(i)),
            tid.get_member_offset(i),
            describe(tid.get_member_type(i), path, depth + 1),
        )
        for i in _members(tid, path)
    )
    return Compound(tid.get_size(), tuple(members))


def _describe_array(tid: h5t.TypeArrayID, path: str, depth: int) -> Array:
    return Array(describe(tid.get_super(), path, depth + 1), tuple(tid.get_array_dims()))


def _describe_sequence(tid: h5t.TypeVlenID, path: str, depth: int) -> Sequence:
    # HDF5 calls through a null pointer for a kind of sequence that it does not know. The kind is
    # seen only in the encoded datatype: two bytes, then the message of the specification.
    if tid.encode()[3] & 0x0F:
        raise invalid(f"{path!r} has sequences of an unknown kind")
    return Sequence(describe(tid.get_super(), path, depth + 1))


_DESCRIBERS: Final[dict[int, Callable[[h5t.TypeID, str, int], Type]]] = {
    h5t.INTEGER: _describe_integer,
    h5t.FLOAT: _describe_float,
    h5t.STRING: _describe_string,
    h5t.OPAQUE: _describe_opaque,
    h5t.ENUM: _describe_enum,
    h5t.COMPOUND: _describe_compound,
    h5t.ARRAY: _describe_array,
    h5t.VLEN: _describe_sequence,
}


def build(kind: Type, path: str, depth: int = 0) -> h5t.TypeID:
    """Make the datatype that `describe` described.

    Raises
    ------
    FormatError
        ``source_invalid`` if there can be no such datatype.
    """
    if depth > MAX_NESTING:
        raise refused(f"{path!r} has a datatype nested deeper than {MAX_NESTING}")
    match kind:
        case Enum():
            tid = h5t.enum_create(_build_integer(kind.base, path))
            for name, value in kind.members:
                tid.enum_insert(name.encode("utf-8"), value)
        case Compound():
            tid = h5t.create(h5t.COMPOUND, check_element(kind.size, path))
            for member in kind.members:
                base = build(member.type, path, depth + 1)
                tid.insert(member.name.encode("utf-8"), member.offset, base)
        case Array():
            tid = _build_array(kind, path, depth)
        case Sequence():
            tid = h5t.vlen_create(build(kind.base, path, depth + 1))
        case _:
            tid = _build_plain(kind, path)
    if describe(tid, path, depth) != kind:
        raise invalid(f"{path!r} has a datatype that HDF5 cannot have")
    return tid


def _build_plain(kind: Integer | Float | String | Opaque | Predefined, path: str) -> h5t.TypeID:
    match kind:
        case Integer():
            return _build_integer(kind, path)
        case Float():
            return _build_float(kind, path)
        case String():
            tid = h5t.C_S1.copy()
            tid.set_size(h5t.VARIABLE if kind.size is None else check_element(kind.size, path))
            tid.set_cset(kind.charset)
            tid.set_strpad(kind.padding)
        case Opaque():
            tid = h5t.create(h5t.OPAQUE, check_element(kind.size, path))
            tid.set_tag(kind.label.encode("utf-8"))
        case Predefined():
            if kind.name not in _PREDEFINED:
                raise refused(f"{path!r} has the datatype {kind.name[:40]!r}, unknown here")
            tid = _PREDEFINED[kind.name].copy()
    return tid


def _build_array(kind: Array, path: str, depth: int) -> h5t.TypeArrayID:
    base = build(kind.base, path, depth + 1)
    if len(kind.shape) > MAX_RANK or any(d < 1 for d in kind.shape):
        raise invalid(f"{path!r} has a datatype of an impossible shape")
    check_element(base.get_size() * math.prod(kind.shape), path)
    return h5t.array_create(base, kind.shape)


def _build_integer(kind: Integer, path: str) -> h5t.TypeIntegerID:
    tid = h5t.STD_I8LE.copy()
    tid.set_size(check_element(kind.size, path))
    tid.set_order(_ORDER_IDS[kind.order])
    tid.set_sign(h5t.SGN_2 if kind.signed else h5t.SGN_NONE)
    tid.set_precision(kind.precision or 8 * kind.size)
    tid.set_offset(kind.offset)
    tid.set_pad(*kind.pad)
    return tid


def _build_float(kind: Float, path: str) -> h5t.TypeFloatID:
    """Make room first, then set the fields, then shrink: HDF5 checks each step by itself."""
    room = max(8, check_element(kind.size, path))
    tid = h5t.IEEE_F64LE.copy()
    tid.set_size(room)
    tid.set_precision(8 * room)
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
