"""What attributes and datasets hold, byte for byte: nothing is converted by the HDF5 library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from h5py import h5d, h5g

from mcodec.formats.hdf5_chunks import Chunks, element_dtype, paste
from mcodec.formats.hdf5_guards import invalid, refused
from mcodec.formats.hdf5_headers import Header, Headers

if TYPE_CHECKING:
    from typing import TypeAlias

    from h5py import h5t

    from mcodec.formats.hdf5_image import Image

    ObjectID: TypeAlias = h5g.GroupID | h5d.DatasetID | h5t.TypeID

_INLINE: Final = 0  # classes of layouts: the data stands in the message
_VIRTUAL: Final = 3
_LAYOUT_HEAD_V1: Final = 8  # bytes of version, rank, class, and what is reserved


class RawValues:
    """Reads raw values of one file.

    Parameters
    ----------
    image : Image
        Of the file.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self._headers = Headers(image)

    def check_layout(self, address: int, path: str) -> None:
        """Refuse a virtual dataset before HDF5 opens it, and crashes on a damaged one (2.0.0).

        Raises
        ------
        FormatError
            ``source_refused`` if it is one, ``source_invalid`` if the object's header is damaged.
        """
        if any(_layout_class(one) == _VIRTUAL for one in self._headers.read(address).layouts):
            raise refused(f"{path!r} is a virtual dataset, which reads other files")

    def attribute(self, address: int, name: bytes, length: int, path: str) -> bytes:
        """Return the first `length` bytes of the value of an attribute of the object there.

        Raises
        ------
        FormatError
            ``source_invalid`` if it is shorter, ``source_refused`` if it is stored in a way that is
            not read.
        """
        data = self._headers.attribute(address, name)
        if data is None:
            raise refused(f"{path!r} is stored in a way that mcodec does not read")
        return _exactly(data, length, path)

    def fills(self, dsid: h5d.DatasetID) -> list[bytes]:
        """Return all values of a dataset that HDF5 may take for its fill value.

        Raises
        ------
        FormatError
            As `attribute`.
        """
        return self._header(dsid).fills

    def dataset(self, dsid: h5d.DatasetID, shape: tuple[int, ...], size: int, path: str) -> bytes:
        """Return the elements of a dataset, of `size` bytes each, in C order.

        Raises
        ------
        FormatError
            As `attribute`; or a chunk is damaged.
        """
        count = int(np.prod(shape, dtype=object))
        match dsid.get_create_plist().get_layout():
            case h5d.CONTIGUOUS:
                place = data_offset(dsid, self._image)
                if place is not None:
                    return self._image.read(place - self._image.base, count * size)
            case h5d.COMPACT:
                return self._compact(dsid, count * size, path)
        fill = next(iter(self.fills(dsid)), bytes(size))
        if len(fill) != size:
            raise invalid(f"the fill value of {path!r} does not fit its datatype")
        if dsid.get_create_plist().get_layout() != h5d.CHUNKED:
            return fill * count
        out = np.frombuffer(bytearray(fill * count), element_dtype(size)).reshape(shape)
        chunks = Chunks(dsid, size, self._image.size)
        first = (0,) * len(shape)
        for offset in chunks.overlapping(first, shape):
            paste(out, first, chunks.array(offset), offset)
        return out.tobytes()

    def _compact(self, dsid: h5d.DatasetID, length: int, path: str) -> bytes:
        """Return the data of a layout message (specification, IV.A.2.i)."""
        layouts = self._header(dsid).layouts
        if len(layouts) != 1 or _layout_class(layouts[0]) != _INLINE:
            raise refused(f"{path!r} is stored in a way that mcodec does not read")
        version, rank = layouts[0][:2]
        start = 4 if version >= 3 else _LAYOUT_HEAD_V1 + 4 * rank + 4
        return _exactly(layouts[0][start:], length, path)

    def _header(self, dsid: h5d.DatasetID) -> Header:
        header = self._headers.read(object_address(dsid))
        if header.shared:
            raise refused("a dataset is described elsewhere than in its header")
        return header


def object_address(oid: ObjectID) -> int:
    """Return the address of an object; HDF5 looks at all of its header for that."""
    return int(h5g.get_objinfo(oid, b".").objno[0])


def _layout_class(layout: bytes) -> int:
    """Return how a layout message says that data is stored."""
    if len(layout) < 4:
        raise invalid("a dataset's layout is cut off")
    version, second, third = layout[:3]  # of version 1 and 2: rank, class
    return second if version >= 3 else third


def data_offset(dsid: h5d.DatasetID, image: Image) -> int | None:
    """Return where the data of a contiguous dataset lies in the file; None if there is none.

    HDF5 adds the user block even to the address that stands for none.
    """
    offset = dsid.get_offset()
    return None if offset is None or offset < image.base else int(offset)


def _exactly(data: bytes, length: int, path: str) -> bytes:
    if len(data) < length:
        raise invalid(f"{path!r} has {len(data)} bytes, not {length}")
    return data[:length]
