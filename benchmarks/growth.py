"""Cost against size: packing and unpacking random models of 1 MB to 4 GB, and how cost grows.

    python benchmarks/growth.py [--quick] [--most BYTES] [--files] [--folder FOLDER] [--json]

Models are matrices of 1,024 columns of normally distributed float32, in tensors of up to 16 MB. Up
to 1 GB all contenders go from arrays to a file, both in memory, and back, with two threads where
they have them, one after another. mcodec also goes from file to file, up to 4 GB, beside a plain
copy of the file that is synced like ours. The exponent is the slope of log seconds over log bytes,
by least squares: over all sizes, and from 16 MB on, where what every call costs has died off. The
goal is 1.02.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import struct
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import contenders
import corpus
import numpy as np

import mcodec
from mcodec.api.timing import Way, alternate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Series = dict[str, dict[int, float]]  # by name: bytes to seconds

MEGABYTE: Final = 1 << 20
SIZES: Final = tuple(MEGABYTE * 4**power for power in range(7))  # 1 MiB to 4 GiB
IN_MEMORY: Final = 1 << 30
QUICK: Final = 1 << 28
SETTLED: Final = 16 * MEGABYTE
TENSOR: Final = 16 * MEGABYTE
COLUMNS: Final = 1024
THREADS: Final = 2
GOAL: Final = 1.02
PATIENCE: Final = {True: 4.0, False: 60.0}  # seconds of a way at one size, quick or not
FILES: Final = ("mcodec file to file, pack", "mcodec file to file, unpack", "copy of the file")


def blocks(total: int) -> Iterator[NDArray[Any]]:
    """Draw the tensors of a model of so many bytes."""
    rng = np.random.default_rng(0)
    while total > 0:
        rows = min(total, TENSOR) // (4 * COLUMNS)
        yield rng.standard_normal((rows, COLUMNS), dtype=np.float32) * np.float32(0.05)
        total -= TENSOR


def model(total: int) -> dict[str, NDArray[Any]]:
    """Return a model of so many bytes."""
    return {f"layer.{index}.weight": block for index, block in enumerate(blocks(total))}


def write_model(path: Path, total: int) -> None:
    """Write a model as a safetensors file, a tensor at a time."""
    header: dict[str, Any] = {}
    for index, start in enumerate(range(0, total, TENSOR)):
        stop = min(total, start + TENSOR)
        shape = [(stop - start) // (4 * COLUMNS), COLUMNS]
        entry = {"dtype": "F32", "shape": shape, "data_offsets": [start, stop]}
        header[f"layer.{index}.weight"] = entry
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for block in blocks(total):
            file.write(block.tobytes())
        os.fsync(file.fileno())


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, and wait for the disk."""
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def of_files(folder: Path, total: int) -> dict[str, Way]:
    """Return what goes from file to file."""
    source, packed, out = (folder / name for name in ("m.safetensors", "m.mc", "o.safetensors"))
    write_model(source, total)
    mcodec.pack([source], packed, jobs=THREADS)
    work = (
        Way(partial(mcodec.pack, [source], packed, jobs=THREADS)),
        Way(partial(mcodec.unpack, packed, out=out, jobs=THREADS)),
        Way(partial(copy_file, source, out)),
    )
    return dict(zip(FILES, work, strict=True))


def of_arrays(one: contenders.Contender, arrays: contenders.Arrays, folder: Path) -> dict[str, Way]:
    """Return what a contender does from memory to a file, and from there to arrays."""
    path = folder / "packed"
    one.save(one.ready(arrays), path, THREADS)
    return {
        f"{one.name}, pack": Way(
            lambda given: one.save(given, path, THREADS), partial(one.ready, arrays)
        ),
        f"{one.name}, unpack": Way(partial(one.load, path, THREADS, arrays)),
    }


def measure(
    most: int, quick: bool, folder: str | None, others: Sequence[contenders.Contender]
) -> Series:
    """Return the median seconds of every way at every size that it is patient enough for."""
    series: Series = {}
    patience = PATIENCE[quick]
    alive = [one for one in others if one.lossless]
    for total in (size for size in SIZES if size <= most):
        runs = (3 if quick else 5) if total <= 1 << 26 else (2 if quick else 3)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            if shutil.disk_usage(place).free < 4 * total:
                print(f"{total:,} bytes and more: left out, there is no room for them")
                break
            found = alternate(of_files(Path(place), total), runs, most=4 * patience)
        if total > IN_MEMORY:
            alive = []
        arrays = model(total) if alive else {}
        for one in list(alive):
            with tempfile.TemporaryDirectory(dir=corpus.memory()) as place:
                own = alternate(of_arrays(one, arrays, Path(place)), runs, most=patience)
            if 4 * max(own.values()) > patience:
                alive.remove(one)
            found |= own
        for name, seconds in found.items():
            series.setdefault(name, {})[total] = seconds
    return series


def exponent(points: Mapping[int, float], least: int = 0) -> float | None:
    """Return the slope of log seconds over log bytes, of sizes from `least` on."""
    chosen = {size: seconds for size, seconds in points.items() if size >= least}
    if len(chosen) < 2:
        return None
    return float(np.polyfit(np.log(list(chosen)), np.log(list(chosen.values())), 1)[0])


def lines(series: Series, markdown: bool) -> Iterator[str]:
    """Give the table: nanoseconds a byte at each size, and both exponents."""
    sizes = sorted({size for points in series.values() for size in points})
    heads = [f"{size // MEGABYTE} MiB" for size in sizes]
    rows = [["ns a byte", *heads, "exponent", f"from {SETTLED // MEGABYTE} MiB"]]
    for name, points in series.items():
        cells = [f"{1e9 * points[size] / size:.2f}" if size in points else "-" for size in sizes]
        slopes = (exponent(points), exponent(points, SETTLED))
        rows.append([name, *cells, *("-" if one is None else f"{one:.3f}" for one in slopes)])
    yield from corpus.table(rows, markdown)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="up to 256 MiB, fewer runs")
    parser.add_argument("--most", type=float, default=SIZES[-1], help="bytes of the largest model")
    parser.add_argument("--files", action="store_true", help="from file to file alone")
    parser.add_argument("--folder", help="where to work [default: the system's temporary folder]")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    most = min(int(options.most), QUICK) if options.quick else int(options.most)
    others = [] if options.files else contenders.installed()
    series = measure(most, options.quick, options.folder, others)
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "seconds": series}, indent=2))
        return
    print(f"{corpus.machine()}; {corpus.command()}; {THREADS} threads, goal {GOAL}")
    print(*lines(series, markdown=False), sep="\n")


if __name__ == "__main__":
    main()
