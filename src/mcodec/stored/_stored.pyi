from array import array
from collections.abc import Sequence

from mcodec.stored import Buffer

def read(
    source: int | Buffer | Sequence[tuple[int, Buffer]],
    rows: Buffer,
    scratch: bytearray,
    verify: bool,
    lengths: array[int] | None,
) -> int | list[int] | bytes | tuple[int, str, str]: ...
def plain_rows(rows: Buffer, index: int, lengths: array[int], mode: int, end: int) -> int: ...
def overlap(rows: Buffer, front: int, length: int) -> int: ...
