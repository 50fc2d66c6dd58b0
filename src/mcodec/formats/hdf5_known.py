"""The datatypes of one file, each looked into once: many objects share few of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec.formats.hdf5_dtypes import little_endian, swap_unit, tensor_dtype
from mcodec.formats.hdf5_guards import check_element
from mcodec.formats.hdf5_typeids import describe

if TYPE_CHECKING:
    from h5py import h5t

    from mcodec.formats.hdf5_types import Type


@dataclass(frozen=True, slots=True)
class Known:
    """A datatype, and what becomes of its elements.

    Attributes
    ----------
    kind : Type
    little : Type
        With which it is written back.
    dtype : str or None
        Of a tensor; None for what is no tensor. An opaque one may have a marker that says more.
    swap : int
        Bytes to turn at a time to make it little-endian; 0 for none.
    """

    kind: Type
    little: Type
    dtype: str | None
    swap: int


class KnownTypes:
    """Describes the datatypes of one file."""

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}

    def look_up(self, tid: h5t.TypeID, path: str) -> Known:
        """Describe a datatype.

        Raises
        ------
        FormatError
            As `hdf5_typeids.describe`.
        """
        check_element(tid.get_size(), path)
        key = tid.encode()
        found = self._known.get(key)
        if found is None:
            kind = describe(tid, path)
            found = Known(kind, little_endian(kind), tensor_dtype(kind), swap_unit(kind))
            self._known[key] = found
        return found
