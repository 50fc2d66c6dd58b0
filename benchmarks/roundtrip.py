"""Real Keras models in and out: every array and every attribute must come back.

    python benchmarks/roundtrip.py

Packs SpliceAI's first two networks into one file, and the FER network alone, unpacks each task as
HDF5 and compares groups, order, attributes with their types, dtypes, shapes and bits.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import corpus
import h5py

MCODEC = str(Path(sys.executable).parent / "mcodec")


def describe(item: Any) -> dict[str, Any]:
    """Return a group's or dataset's attributes, with the HDF5 type of each."""
    found = {}
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        found[name] = (attribute.get_type().encode(), attribute.shape, repr(item.attrs[name]))
    return found


def contents(path: Path) -> dict[str, Any]:
    """Return all that a file holds, by path."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        value: Any
        if isinstance(item, h5py.Dataset):
            value = (item.id.get_type().encode(), item.shape, item[()].tobytes())
        else:
            value = list(item)
        found[name] = (describe(item), value)

    with h5py.File(path) as file:
        found["/"] = (describe(file), list(file))
        file.visititems(visit)
    return found


def check(names: list[str], folder: str) -> bool:
    """Pack these models into one file, and compare each task with its source."""
    sources = [corpus.fetch(name) for name in names]
    if None in sources:
        return True
    packed = f"{folder}/models.mc"
    paths = [str(source) for source in sources]
    subprocess.run([MCODEC, "pack", *paths, "-o", packed], check=True)
    same = True
    for index, path in enumerate(paths):
        back = f"{folder}/back.h5"
        task = chr(ord("A") + index)
        subprocess.run([MCODEC, "unpack", packed, "--task", task, "-o", back, "-q"], check=True)
        ours, theirs = contents(Path(back)), contents(Path(path))
        equal = ours == theirs
        same = same and equal
        verdict = "equal" if equal else "DIFFERS"
        print(f"task {task} is {names[index]}: {len(theirs)} objects, {verdict}")
    return same


def main() -> None:
    """Run both checks."""
    with tempfile.TemporaryDirectory() as folder:
        good = [check(["spliceai1", "spliceai2"], folder), check(["fer"], folder)]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
