"""The project's goals beside what this machine reaches, in one run.

    python benchmarks/goals.py [--quick] [--markdown] [--json] [--runs 7] [--only WORD]

Ratios of medians of alternating runs, of MiniLM in float32, or of drawn weights where it cannot be
had. Goals of the kernels are in `kernels.py`. Unpacking is from the page cache, with every hash
checked; `fresh` is into new memory, beside a copy into new memory, `touched` into memory that is
there, beside such a copy, which always has one thread. Packing is from memory, beside ZipNN's
`compress` with as many threads: to bytes in memory, and to a file that is synced, ZipNN's too.
`--quick` measures memory with 1 GB, growth to 256 MiB, and sizes of few models.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import compressors
import contenders
import corpus
import growth
import numpy as np
from peers import FEW

import mcodec
from mcodec.api import benchways as ways
from mcodec.api.timing import Machine, Way, alternate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

THREADS: Final = (1, 2)
BITS_SHARE: Final = 0.45  # of a copy, with one thread
SCALING: Final = 1.5  # of that, with two
UNPACK_ZIPNN: Final = 2.0
PACK_ZIPNN: Final = 4.0
MANY: Final = 10_000
MANY_SHARE: Final = 0.5
OPEN_SHARE: Final = 1.0
LARGE: Final = 4_000_000  # bytes, from which on mcodec is to be smaller
PEAK: Final = 512.0  # MB


class Row(NamedTuple):
    """A goal and its figure; `least` says that the figure is to be no smaller, else no larger."""

    what: str
    figure: float
    goal: float
    least: bool = True
    note: str = ""

    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.figure >= self.goal if self.least else self.figure <= self.goal

    def cells(self) -> list[str]:
        """Return the row of the table."""
        sign = "≥" if self.least else "≤"
        figure = f"{self.figure:.3g}" if self.figure < 100 else f"{self.figure:.0f}"
        reached = "yes" if self.met() else "no"
        return [self.what, figure, f"{sign} {self.goal:.4g}", reached, self.note]


def model() -> Arrays:
    """Return MiniLM, or drawn weights of its size."""
    found = corpus.arrays("minilm")
    if found is None:
        found = growth.model(90 << 20)
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def unpack_bits(arrays: Arrays, folder: Path, runs: int) -> Iterator[Row]:
    """One task at 12 bits, alone and of a fused pair, beside a copy."""
    targets = ways.touched(arrays)
    for kind, tasks in (
        ("alone", {"A": arrays}),
        ("of a pair", {"A": arrays, "B": corpus.noisy(arrays)}),
    ):
        path = folder / "bits.mc"
        mcodec.pack(tasks, path, bits=12)
        work: dict[Any, Callable[[], object]] = {
            "fresh": partial(ways.fresh_copy, arrays),
            "touched": ways.copier(arrays, targets),
        }
        for threads in THREADS:
            work["fresh", threads] = partial(ways.load_task, path, "A", threads)
            work["touched", threads] = partial(ways.load_into, path, "A", targets, threads)
        seconds = alternate(work, runs)
        for threads in THREADS:
            for how in ("fresh", "touched"):
                share = seconds[how] / seconds[how, threads]
                goal = BITS_SHARE * (SCALING if threads > 1 else 1)
                what = f"unpack 12 bits {kind}, {how}, threads {threads}, of a copy"
                yield Row(what, share, goal, note=note(arrays, seconds[how, threads]))


def note(arrays: Arrays, seconds: float) -> str:
    """Say how long something took, and its speed."""
    return f"{1e3 * seconds:.1f} ms, {ways.nbytes(arrays) / seconds / 1e9:.2f} GB/s"


def beside_zipnn(arrays: Arrays, folder: Path, runs: int) -> Iterator[Row]:
    """Unpacking and packing lossless, beside ZipNN with as many threads."""
    if compressors.version("zipnn") is None:
        print("zipnn: left out, it is not installed", file=sys.stderr)
        return
    zipnn = contenders.CONTENDERS["ZipNN"]
    make = importlib.import_module("zipnn").ZipNN
    for threads in THREADS:
        own = make(input_format="byte", bytearray_dtype="float32", threads=threads)
        packed, path = own.compress(zipnn.ready(arrays)[0]), folder / "own.mc"
        ways.pack_arrays(arrays, path, threads)
        targets = ways.touched(arrays)
        ready = partial(zipnn.ready, arrays)

        def compress(given: Any, own: Any = own) -> object:
            return own.compress(given[0])

        def compress_to_file(given: Any, own: Any = own, path: Path = path) -> None:
            with path.with_suffix(".znn").open("wb") as file:
                file.write(own.compress(given[0]))
                os.fsync(file.fileno())

        seconds = alternate(
            {
                "decompress": partial(own.decompress, packed),
                "load": partial(ways.load_task, path, "A", threads),
                "into": partial(ways.load_into, path, "A", targets, threads),
                "compress": Way(compress, ready),
                "pack": partial(mcodec.dumps, {"A": arrays}, jobs=threads),
                "compress to file": Way(compress_to_file, ready),
                "pack to file": partial(ways.pack_arrays, arrays, path, threads),
            },
            runs,
        )
        for way, other, goal, what in (
            ("load", "decompress", UNPACK_ZIPNN, "unpack lossless, fresh"),
            ("into", "decompress", UNPACK_ZIPNN, "unpack lossless, touched"),
            ("pack", "compress", PACK_ZIPNN, "pack lossless to memory"),
            ("pack to file", "compress to file", PACK_ZIPNN, "pack lossless to a file"),
        ):
            both = f"{note(arrays, seconds[way])}; ZipNN {1e3 * seconds[other]:.1f} ms"
            full = f"{what}, threads {threads}, speed of ZipNN's"
            yield Row(full, seconds[other] / seconds[way], goal, note=both)


def sizes(quick: bool) -> Iterator[Row]:
    """Size over ZipNN's of each model of more than 4 MB: the worst of each dtype."""
    if compressors.version("zipnn") is None:
        return
    zipnn = next(peer for peer in compressors.PEERS if peer.name == "ZipNN")
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float32", "float16", "bfloat16"):
            found = {}
            for name in FEW if quick else corpus.MODELS:
                model = corpus.arrays(name)
                if model is None:
                    continue
                cast = corpus.cast(model, dtype)
                if ways.nbytes(cast) > LARGE:
                    path = Path(folder, "m.mc")
                    data = b"".join(array.tobytes() for array in cast.values())
                    ways.pack_arrays(cast, path, max(THREADS))
                    found[name] = path.stat().st_size / zipnn.size(data, dtype)
            if found:
                worst = max(found, key=found.__getitem__)
                what = f"file over ZipNN's bytes, {dtype}, the worst of {len(found)} models"
                yield Row(what, found[worst], 1.0, least=False, note=worst)


def many_tensors(folder: Path, runs: int) -> Iterator[Row]:
    """10,000 tensors of 4 KB beside one of 40 MB; and opening them to read one."""
    rng = np.random.default_rng(0)
    whole = (rng.standard_normal((MANY, 32, 32)) * 0.05).astype(np.float32)
    kinds = {"many": {f"t{i}": part for i, part in enumerate(whole)}, "one": {"t": whole}}
    path = {kind: folder / f"{kind}.mc" for kind in kinds}
    for options in ({}, {"bits": 12}):
        what = "12 bits" if options else "lossless"
        for threads in THREADS:
            work: dict[Any, Callable[[], object]] = {}
            for kind, arrays in kinds.items():
                ways.pack_arrays(arrays, path[kind], threads, **options)
                work["pack", kind] = partial(
                    ways.pack_arrays, arrays, path[kind], threads, **options
                )
                work["unpack", kind] = partial(ways.load_task, path[kind], "A", threads)
            seconds = alternate(work, runs)
            for verb in ("pack", "unpack"):
                share = seconds[verb, "one"] / seconds[verb, "many"]
                name = f"{verb} {MANY:,} tensors of 4 KB, {what}, threads {threads}, of one's speed"
                words = note(kinds["many"], seconds[verb, "many"])
                yield Row(name, share, MANY_SHARE, note=words)
    yield from opening(kinds["many"], folder, runs)


def opening(arrays: Arrays, folder: Path, runs: int) -> Iterator[Row]:
    """Opening a file of many tensors to read one, beside safetensors."""
    name = f"t{MANY // 2}"
    ways.save_safetensors(arrays, folder / "many.safetensors")
    ways.pack_arrays(arrays, folder / "many.mc", max(THREADS))
    seconds = alternate(
        {
            "theirs": partial(ways.one_of_safetensors, folder / "many.safetensors", name),
            "ours": partial(ways.one_of_task, folder / "many.mc", "A", name, 1),
        },
        4 * runs,
    )
    words = f"{1e3 * seconds['ours']:.2f} ms; safetensors {1e3 * seconds['theirs']:.2f} ms"
    share = seconds["theirs"] / seconds["ours"]
    what = f"open {MANY:,} tensors and read one, speed of safe_open's"
    yield Row(what, share, OPEN_SHARE, note=words)


def memory(quick: bool) -> Iterator[Row]:
    """Peak memory of a large model, from `memory.py`."""
    gigabytes = 1.1 if quick else 4
    script = str(Path(__file__).with_name("memory.py"))
    command = [sys.executable, script, "--json", "--gigabytes", str(gigabytes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    for row in found["rows"]:
        what = f"peak MB, {row['verb']} {row['mode']}, model of {found['bytes'] / 1e9:.1f} GB"
        speed = f"{found['bytes'] / row['seconds'] / 1e9:.2f} GB/s"
        yield Row(what, row["peak_bytes"] / 1e6, PEAK, least=False, note=speed)


def exponents(quick: bool) -> Iterator[Row]:
    """How seconds grow with bytes, of packing and unpacking, from file to file."""
    most = growth.QUICK if quick else growth.SIZES[-1]
    series = growth.measure(most, quick, None, [])
    for name, points in series.items():
        if name == growth.FILES[-1]:
            continue  # the plain copy, of which nothing is asked
        for least in (0, growth.SETTLED):
            slope = growth.exponent(points, least)
            if slope is not None:
                start = max(least, min(points)) // growth.MEGABYTE
                span = f"{start} to {max(points) // growth.MEGABYTE} MiB"
                yield Row(f"exponent of {name}, {span}", slope, growth.GOAL, least=False)


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Measure all that is asked for."""
    parts: dict[str, Callable[[Path], Iterator[Row]]] = {
        "unpack": lambda folder: unpack_bits(model(), folder, options.runs),
        "zipnn": lambda folder: beside_zipnn(model(), folder, options.runs),
        "sizes": lambda folder: sizes(options.quick),
        "many": lambda folder: many_tensors(folder, options.runs),
        "memory": lambda folder: memory(options.quick),
        "growth": lambda folder: exponents(options.quick),
    }
    for name, part in parts.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                yield from part(Path(folder))


def main() -> None:
    """Print goals and figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument(
        "--only", choices=("unpack", "zipnn", "sizes", "many", "memory", "growth"), help="one part"
    )
    options = parser.parse_args()
    found = list(rows(options))
    if options.json:
        figures = [row._asdict() | {"met": row.met()} for row in found]
        print(json.dumps({"machine": Machine.here()._asdict(), "rows": figures}, indent=2))
        return
    print(*Machine.here().words(), corpus.command(), "", sep="\n")
    head = ["goal", "figure", "wanted", "reached", "of this"]
    print(*corpus.table([head, *(row.cells() for row in found)], options.markdown), sep="\n")


if __name__ == "__main__":
    main()
