"""The mcodec format as a plain program, a second opinion on what a file means.

It is written from the pages alone, shares no code with the library, and is clear rather than fast.
``python reference_decoder.py FILE`` prints one line for each tensor (task, name, dtype, shape,
SHA-256 of its bytes), or the reason code of a refusal. The pages are modules of `reference`:
front, frames, runs, checks, rows and files are container.md, and `codecs` has a module a codec.

Needs ``bitarray``, ``blake3``, ``xxhash`` and ``zstandard``.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from reference.basics import Refused
from reference.codecs import CODECS, Ask
from reference.files import (
    check_padding,
    decode_members,
    open_file,
    read_head,
    read_part,
)
from reference.frames import read_frame
from reference.front import read_header, read_manifest

__all__ = ["CODECS", "Refused", "decode", "main", "open_file", "read_frame", "read_head"]
__all__ += ["read_header", "read_manifest", "read_part"]

Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]


def decode(
    data: bytes,
    partial: bool = False,
    *,
    planes: int | None = None,
    mid: bool | None = None,
    dither: bool = False,
    budget: int | None = None,
) -> dict[str, Tensors]:
    """Verify a file and decode all its tasks.

    Parameters
    ----------
    data : bytes
        The whole file, or with `partial` the begin of a progressive one.
    partial : bool
        Take a progressive file that is cut off (container.md 8).
    planes : int, optional
        A derived decode with so many mantissa planes, or all that a run has where it has fewer.
    mid : bool, optional
        In a derived decode, half a unit more (`mid`) or not (`low`); None: what the page names.
    dither : bool
        With the planes of the next run of a pair as low bits (codecs/bfp.md and
        codecs/float.md, "Dither").
    budget : int, optional
        The decoded budget (container.md 7).

    Returns
    -------
    dict
        task name -> tensor name -> (dtype, shape, bytes: little-endian, C order).

    Raises
    ------
    Refused
        If the file breaks any rule.
    """
    if dither and planes is not None:
        raise ValueError("dither takes all planes")
    f = open_file(data, partial, budget)
    members = decode_members(f, Ask(planes, mid), dither)
    check_padding(f)
    return {
        task["name"]: {
            name: (f.runs[r].dtype, tuple(f.runs[r].shapes[m]), members[r, m])
            for name, r, m in task["tensors"]
        }
        for task in f.tasks
    }


def main(path: str) -> int:
    try:
        tasks = decode(Path(path).read_bytes())
    except Refused as refusal:
        print(refusal.code)
        return 3
    for task, tensors in tasks.items():
        for name, (dtype, shape, data) in tensors.items():
            print(task, name, dtype, list(shape), hashlib.sha256(data).hexdigest(), sep="\t")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python reference_decoder.py FILE")
    sys.exit(main(sys.argv[1]))
