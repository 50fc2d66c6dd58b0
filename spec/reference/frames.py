"""container.md 5: zstd frames."""

from __future__ import annotations

import zstandard

from reference.basics import MAX_WINDOW, Refused, need


def read_frame(frame: bytes, raw: int, code: str) -> bytes:
    """Decode one frame of RFC 8878 that states `raw` as its content size."""
    try:
        descriptor = frame[4]
        single, size_flag, id_flag = descriptor >> 5 & 1, descriptor >> 6, descriptor & 3
        at = 5
        window = 0
        if not single:
            base = 1 << (10 + (frame[5] >> 3))
            window, at = base + base // 8 * (frame[5] & 7), 6
        id_end = at + [0, 1, 2, 4][id_flag]
        at = id_end + [single, 2, 4, 8][size_flag]
        size = int.from_bytes(frame[id_end:at], "little") + (256 if size_flag == 1 else 0)
        sound = (
            frame[:4] == bytes.fromhex("28B52FFD")
            and (single or size_flag)
            and size == raw
            and max(window, single * size) <= MAX_WINDOW
            and not any(frame[id_end - [0, 1, 2, 4][id_flag] : id_end])
            and descriptor & 4 == 0
        )
        last = 0
        while sound and not last:  # the block headers lead to the frame's end
            block = frame[at] | frame[at + 1] << 8 | frame[at + 2] << 16
            last, kind, length = block & 1, block >> 1 & 3, block >> 3
            at += 3 + (1 if kind == 1 else length)
        need(sound and at == len(frame), code, "the frame's header, or its end")
        reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(frame)
        content = reader.read(raw + 1)
    except (IndexError, zstandard.ZstdError) as error:
        raise Refused(code, f"zstd: {error}") from error
    need(len(content) == raw, code, "the frame's content size")
    return content
