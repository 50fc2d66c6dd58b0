"""zstd frames under the rules of spec/container.md, section 5."""

from __future__ import annotations

import threading
from typing import Final

import zstandard

from mcodec.limits import MAX_WINDOW

# A tiny window and hash make zstd an entropy coder: best for exponent bytes, whose repeats are
# noise (design: "What was measured").
ENTROPY: Final = {
    "window_log": 17,
    "hash_log": 6,
    "chain_log": 6,
    "search_log": 1,
    "min_match": 7,
    "strategy": zstandard.STRATEGY_FAST,
}
MAGIC: Final = b"\x28\xb5\x2f\xfd"


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.compressors: dict[tuple[int, int], zstandard.ZstdCompressor] = {}
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)


_local = _PerThread()


class FrameError(ValueError):
    """A frame that breaks the rules; the caller names the reason."""


def _params(level: int, size: int) -> zstandard.ZstdCompressionParameters:
    extra = ENTROPY if level == 0 else {}
    return zstandard.ZstdCompressionParameters.from_level(
        level or 1,
        source_size=size,
        write_content_size=True,
        write_checksum=False,
        write_dict_id=False,
        **extra,
    )


def compress(data: bytes | memoryview, level: int) -> bytes:
    """Return one frame of `data`; level 0 means the `ENTROPY` parameters.

    A compressor is kept per thread, level and size class, since making one costs more than small
    streams do.
    """
    key = (level, len(data).bit_length())
    compressor = _local.compressors.get(key)
    if compressor is None:
        params = _params(level, 1 << key[1])
        compressor = zstandard.ZstdCompressor(compression_params=params)
        _local.compressors[key] = compressor
    return compressor.compress(data)


def decompress(data: bytes | memoryview, raw: int) -> bytes:
    """Return the `raw` bytes of one frame.

    Raises
    ------
    FrameError
        The frame breaks a rule of section 5, or is damaged.
    """
    if bytes(data[:4]) != MAGIC:
        raise FrameError("not a zstd frame")
    try:
        params = zstandard.get_frame_parameters(data)
        if params.content_size != raw:
            raise FrameError(f"frame holds {params.content_size} bytes, not {raw}")
        if params.dict_id or params.has_checksum:
            raise FrameError("frame has a dictionary or a checksum")
        if params.window_size > MAX_WINDOW:
            raise FrameError("frame has a window over 8 MiB")
        # The size that the frame states was just compared with a checked number, so it is safe
        # to allocate; `allow_extra_data` refuses what follows the frame.
        if not raw:  # the library does not look behind the header of a frame of no bytes
            return _nothing(data)
        result = _local.decompressor.decompress(data, max_output_size=raw, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FrameError(str(error)) from None
    if len(result) != raw:
        raise FrameError(f"frame gave {len(result)} bytes, not {raw}")
    return result


def _nothing(data: bytes | memoryview) -> bytes:
    stream = _local.decompressor.decompressobj()
    # A few blocks at a time, since each may hold 128 KiB whatever the header says.
    found = any(
        stream.decompress(data[at : at + 64]) or stream.unused_data
        for at in range(0, len(data), 64)
    )
    if found or not stream.eof:
        raise FrameError("frame of no bytes holds some, is cut off, or something follows it")
    return b""
