from collections.abc import Sequence

from mcodec.stored import Buffer

def read(
    source: int | Sequence[tuple[int, Buffer]], rows: Buffer, scratch: bytearray, verify: bool
) -> int | list[int] | tuple[int, str, str]: ...
