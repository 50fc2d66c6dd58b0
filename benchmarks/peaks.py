"""Peak resident memory of one contender that does one thing, in a process of its own.

    python benchmarks/peaks.py NAME pack|unpack THREADS DTYPE SOURCE FILE

SOURCE is a safetensors file of the model, whose arrays are in memory while they are packed into
FILE; how they got there does not count. It prints the bytes of the peak; without a contender of
that NAME those of a process that only has the arrays (`pack`) or the libraries (`unpack`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from contenders import CONTENDERS
from safetensors.numpy import load_file

from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def peak(name: str, verb: str, threads: int, dtype: str, source: Path, file: Path) -> int:
    """Return the peak resident bytes of a process that packs SOURCE, or unpacks FILE."""
    command = [sys.executable, __file__, name, verb, str(threads), dtype, str(source), str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(json.loads(done.stdout.splitlines()[-1]))


def _high_water() -> int:
    """Return the peak of this process's resident memory since it was started, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this system does not tell a process's peak memory")


def _forget() -> None:
    """Let the peak begin anew from what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def main(arguments: Sequence[str]) -> None:
    """Do one thing, and print the peak."""
    name, verb, threads, dtype, source, file = arguments
    one = CONTENDERS.get(name)
    if verb == "pack":
        stored = load_file(source)
        arrays = {key: stored.pop(key).view(numpy_dtype(dtype)) for key in list(stored)}
        given = None if one is None else one.ready(arrays)
        if isinstance(given, tuple):
            arrays.clear()  # it is given bytes in their place
        _forget()
        if one is not None:
            one.save(given, Path(file), int(threads))
    elif one is not None:
        one.load(Path(file), int(threads), _shapes(Path(source), dtype))
    print(json.dumps(_high_water()))


def _shapes(source: Path, dtype: str) -> dict[str, NDArray[Any]]:
    """Return arrays of a file's names and shapes that take no memory."""
    from safetensors import safe_open

    zero = np.zeros((), numpy_dtype(dtype))
    with safe_open(source, framework="np") as file:
        return {
            name: np.broadcast_to(zero, file.get_slice(name).get_shape())
            for name in list(file.keys())
        }


if __name__ == "__main__":
    main(sys.argv[1:])
