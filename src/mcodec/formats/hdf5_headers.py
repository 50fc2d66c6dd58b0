"""The headers of HDF5's objects: raw attributes, fill values and layouts.

The library shows the values of attributes only converted. What of them is not to be converted by
it is taken from the header itself (HDF5 file format specification, IV.A), versions 1 and 2.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mcodec.formats.hdf5_dense import dense_messages
from mcodec.formats.hdf5_guards import invalid, over_limit
from mcodec.formats.hdf5_image import Fields
from mcodec.limits import MAX_SOURCE_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.formats.hdf5_image import Image

_OLD_FILL: Final = 0x04  # types of messages
_FILL: Final = 0x05
_LAYOUT: Final = 0x08
_ATTRIBUTE: Final = 0x0C
_CONTINUATION: Final = 0x10
_ATTRIBUTE_INFO: Final = 0x15
_SHARED: Final = 0x02  # flag of messages: it lies elsewhere
_DEFINED: Final = 0x20  # flag of fill values: there is one

_SIGNATURE: Final = b"OHDR"
_BLOCK_SIGNATURE: Final = b"OCHK"
_CHECKSUM_BYTES: Final = 4
_PREFIX_V1: Final = 16  # bytes, with those that align the first message
_OLD_HEAD: Final = struct.Struct("<HHB3x")  # of a message: type, size, flags
_HEAD: Final = struct.Struct("<BHB")
_HEAD_ORDERED: Final = struct.Struct("<BHB2x")
_ATTRIBUTE_HEAD: Final = struct.Struct("<BxHHH")  # version, bytes of name, datatype, dataspace


@dataclass(slots=True)
class Header:
    """What is kept of an object's header.

    Attributes
    ----------
    attributes : dict of bytes to bytes
        By name, the bytes of the value, and maybe some that follow it; those in the header only.
    infos : list of bytes
        Messages that say where more attributes are, as long as these have not been read.
    fills : list of bytes
        Fill values, as many as there are: only one of them is used.
    layouts : list of bytes
        Layout messages.
    shared : bool
        Whether a fill value or the layout lies elsewhere.
    """

    attributes: dict[bytes, bytes] = field(default_factory=dict)
    infos: list[bytes] = field(default_factory=list)
    fills: list[bytes] = field(default_factory=list)
    layouts: list[bytes] = field(default_factory=list)
    shared: bool = False


class Headers:
    """Reads headers of one file; the last one is kept.

    Parameters
    ----------
    image : Image
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self._left = MAX_SOURCE_MESSAGES
        self._kept: tuple[int, Header] | None = None

    def read(self, address: int) -> Header:
        """Return the header of the object at an address.

        Raises
        ------
        FormatError
            ``source_invalid`` if it is damaged, ``source_refused`` if its attributes are stored in
            a way that is not read, ``limit_exceeded`` if there are too many messages.
        """
        if self._kept is None or self._kept[0] != address:
            self._kept = address, self._parse(address)
        return self._kept[1]

    def attribute(self, address: int, name: bytes) -> bytes | None:
        """Return the value of an object's attribute; None if there is none that can be read.

        Raises
        ------
        FormatError
            As `read`.
        """
        header = self.read(address)
        if name not in header.attributes:
            while header.infos:
                for body in dense_messages(self._image.once(), header.infos.pop()):
                    self._count()
                    _add_attribute(header, body)
        return header.attributes.get(name)

    def _parse(self, address: int) -> Header:
        image = self._image.once()
        header = Header()
        for kind, flags, body in _messages(image, address):
            self._count()
            if flags & _SHARED:  # of attributes, one that is shared is missed when it is looked for
                header.shared |= kind in (_FILL, _OLD_FILL, _LAYOUT)
            elif kind == _ATTRIBUTE:
                _add_attribute(header, body)
            elif kind == _ATTRIBUTE_INFO:
                header.infos.append(body)
            elif kind == _LAYOUT:
                header.layouts.append(body)
            elif kind in (_FILL, _OLD_FILL):
                header.fills += _fill_value(kind, body)
        return header

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise over_limit(f"objects have more than {MAX_SOURCE_MESSAGES} messages in all")


def _messages(image: Image, address: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield type, flags and body of each message of a header."""
    new = image.read(address, len(_SIGNATURE)) == _SIGNATURE
    start, size, head = (_begin_v2 if new else _begin_v1)(image, address)
    blocks = deque([image.read(start, size)] if size else [])
    while blocks:
        block = blocks.popleft()
        place = 0
        while len(block) - place >= head.size:  # version 2 may leave a gap at the end
            kind, size, flags = head.unpack_from(block, place)
            place += head.size
            body = block[place : place + size]
            if len(body) != size:
                raise invalid("a message of an object does not fit its header")
            place += size
            if kind == _CONTINUATION:
                blocks.append(_continuation(image, body, new))
            else:
                yield kind, flags, body


def _begin_v1(image: Image, address: int) -> tuple[int, int, struct.Struct]:
    """Return where the messages begin, how many bytes they have, and how each begins."""
    version, size = struct.unpack("<B7xI", image.read(address, _PREFIX_V1 - 4))
    if version != 1:
        raise invalid(f"an object's header is of the unknown version {version}")
    return address + _PREFIX_V1, size, _OLD_HEAD


def _begin_v2(image: Image, address: int) -> tuple[int, int, struct.Struct]:
    place = len(_SIGNATURE)
    version, flags = image.read(address + place, 2)
    if version != 2:
        raise invalid(f"an object's header is of the unknown version {version}")
    place += 2 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)  # times, phase change
    width = 1 << (flags & 3)
    size = int.from_bytes(image.read(address + place, width), "little")
    return address + place + width, size, _HEAD_ORDERED if flags & 0x04 else _HEAD


def _continuation(image: Image, body: bytes, new: bool) -> bytes:
    fields = Fields(body, image)
    address, size = fields.address(), fields.length()
    if address is None:
        raise invalid("a header goes on nowhere")
    block = image.read(address, size)
    if not new:
        return block
    if not block.startswith(_BLOCK_SIGNATURE):
        raise invalid("a header goes on where there is none")
    return block[len(_BLOCK_SIGNATURE) : -_CHECKSUM_BYTES]


def _add_attribute(header: Header, body: bytes) -> None:
    """Take in an attribute message; HDF5 finds the first one of a name."""
    if len(body) < _ATTRIBUTE_HEAD.size:
        raise invalid("an attribute is cut off")
    version, *sizes = _ATTRIBUTE_HEAD.unpack_from(body)
    if version == 1:  # each part is filled up to 8 bytes
        sizes = [-(-size // 8) * 8 for size in sizes]
    elif version not in (2, 3):
        raise invalid(f"an attribute is of the unknown version {version}")
    start = _ATTRIBUTE_HEAD.size + (version == 3)  # with how the name is encoded
    name = body[start : start + sizes[0]].partition(b"\0")[0]
    header.attributes.setdefault(name, body[start + sum(sizes) :])


def _fill_value(kind: int, body: bytes) -> list[bytes]:
    """Return the fill value of a message, if it has one (specification, IV.A.2.e and f)."""
    place = 0
    if kind == _FILL:
        version, flags = (*body[:2], 0, 0)[:2]
        place = 2 if version >= 3 else 4
        if len(body) <= place or (version >= 3 and not flags & _DEFINED):
            return []
    size = int.from_bytes(body[place : place + 4], "little", signed=True)
    value = body[place + 4 : place + 4 + max(0, size)]
    if size > len(value):
        raise invalid("a fill value is cut off")
    return [value] if size > 0 else []
