"""The first reads of a `.mc` file: header and front, from afar in two requests at most.

spec/container.md, section 6, steps 1 to 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import xxhash

from mcodec import frames
from mcodec.container import header as headers
from mcodec.errors import FormatError

if TYPE_CHECKING:
    from mcodec.container.header import Header
    from mcodec.storage import ByteSource

FIRST_READ: Final = 64 * 1024


def read_front(source: ByteSource, *, partial: bool = False) -> tuple[Header, bytes]:
    """Read and check the header, and read the front that it places; its hash is checked too.

    Parameters
    ----------
    source
    partial
        Take a progressive file that ends early (section 8), if its front is whole.

    Raises
    ------
    FormatError
        With the reason codes of steps 1 to 5 of section 6.
    """
    first = source.first(FIRST_READ)
    header = headers.parse(first[: headers.SIZE])
    start, stop = header.front_offset, header.front_offset + header.front_length
    at = min(max(start, len(first)), stop)  # from where it is not read yet
    rest: bytes | memoryview | None = None
    if _credible(header) and not (partial and header.layout == "progressive"):
        rest = source.claim(header.file_length, at, stop)
    headers.check_place(header, source.size, partial=partial)
    if rest is None and at < stop:
        rest = source.read_at(at, stop - at)
    front = first[start:stop]
    if rest:
        front = b"".join((front, rest)) if front else bytes(rest)
    if xxhash.xxh3_64_intdigest(front) != header.front_hash:
        message = "the manifest or row table is damaged (its hash does not match)"
        raise FormatError(message, code="front_checksum")
    return header, front


def _credible(header: Header) -> bool:
    """Tell whether the front is where it may be, if the file is as long as its header says."""
    try:
        headers.check_place(header, header.file_length)
    except FormatError:
        return False
    return True


def manifest_bytes(front: bytes, header: Header) -> bytes:
    """Return the manifest's JSON.

    Raises
    ------
    FormatError
        ``manifest_corrupt``.
    """
    stored = front[: header.manifest_stored]
    if any(front[header.manifest_stored : header.manifest_padded]):
        raise FormatError("the manifest's padding is not zero", code="manifest_corrupt")
    try:
        return frames.decompress(stored, header.manifest_raw)
    except frames.FrameError as error:
        raise FormatError(f"the manifest: {error}", code="manifest_corrupt") from None
