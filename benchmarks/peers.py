"""mcodec beside what people use: size, pack and unpack time, peak memory, and growth; in one run.

    python benchmarks/peers.py [--quick] [--markdown] [--dtype DTYPE] [--json FILE]
                               [--plot FILE] [NAME ...]

Every model of `corpus.py` as float32, float16 and bfloat16, by every contender of `contenders.py`,
with one thread and two where it has threads to set. All go from arrays in memory to a file in
memory (/dev/shm, if it is there: no disk is timed) and back to arrays, in alternating runs; medians
of five. What should return bit for bit is compared. Peaks are of processes of their own that pack
or unpack MiniLM with two threads, the model's arrays included while packing. Then `growth.py`.
`--quick` takes a few models, fewer runs, and growth up to 256 MB: under ten minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import compressors
import contenders
import corpus
import growth
import numpy as np
import peaks

from mcodec.api import benchways as ways
from mcodec.api.timing import Machine, Way, alternate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]
    Key = tuple[str, str, int]

FEW: Final = ("minilm", "efficientnet", "spliceai1", "chgnet")
SHOWN: Final = "minilm"  # of which the table is given in full, with peaks
DTYPES: Final = ("float32", "float16", "bfloat16")
THREADS: Final = (1, 2)
PATIENCE: Final = {True: 3.0, False: 60.0}  # seconds of a way on one model


def timed(
    arrays: Arrays, folder: Path, others: Sequence[contenders.Contender]
) -> tuple[dict[Key, Way], dict[str, Path]]:
    """Return the ways of a model, and the files that they make; what comes back is compared."""
    found: dict[Key, Way] = {}
    paths: dict[str, Path] = {}
    for one in others:
        path = paths[one.name] = folder / f"{len(paths)}"
        one.save(one.ready(arrays), path, max(THREADS))
        if one.lossless:
            compare(one, arrays, one.load(path, max(THREADS), arrays))
        for threads in THREADS:
            verbs = dict(zip(("pack", "unpack"), one.threads, strict=True))
            if threads == THREADS[0] or verbs["pack"]:

                def save(
                    given: Any,
                    one: contenders.Contender = one,
                    path: Path = path,
                    threads: int = threads,
                ) -> None:
                    one.save(given, path, threads)

                found[one.name, "pack", threads] = Way(save, partial(one.ready, arrays))
            if threads == THREADS[0] or verbs["unpack"]:
                load = partial(one.load, path, threads, arrays)
                found[one.name, "unpack", threads] = Way(load)
    return found, paths


def compare(one: contenders.Contender, arrays: Arrays, back: Arrays) -> None:
    """Stop if a bit is not as it was."""
    for name, array in arrays.items():
        if back[name].dtype != array.dtype or back[name].tobytes() != array.tobytes():
            raise SystemExit(f"{one.name} did not give {name} back")


def error(arrays: Arrays, back: Arrays) -> float:
    """Return the root of the mean squared error, as a share of that of the values."""
    sums = np.zeros(2)
    for name, array in arrays.items():
        exact = array.astype(np.float64)
        off = back[name].astype(np.float64) - exact
        sums += float((off * off).sum()), float((exact * exact).sum())
    return math.sqrt(sums[0] / sums[1]) if sums[1] else 0.0


def measure(
    name: str, dtype: str, others: Sequence[contenders.Contender], quick: bool, folder: str | None
) -> dict[str, Any]:
    """Return the figures of one model as one dtype."""
    found = corpus.arrays(name)
    assert found is not None
    cast = corpus.cast(found, dtype)
    arrays = {key: np.ascontiguousarray(array) for key, array in cast.items()}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        work, paths = timed(arrays, Path(place), others)
        seconds = alternate(work, 3 if quick else 5, most=PATIENCE[quick])
        rows: dict[str, dict[str, Any]] = {}
        for one in others:
            path = paths[one.name]
            row = rows[one.name] = {"bytes": path.stat().st_size, "lossless": one.lossless}
            row["seconds"] = {
                f"{verb} {threads}": seconds.get((one.name, verb, threads))
                for verb in ("pack", "unpack")
                for threads in THREADS
            }
            if not one.lossless:
                row["error"] = error(arrays, one.load(path, max(THREADS), arrays))
        if name == SHOWN:
            add_peaks(rows, arrays, dtype, paths, Path(place))
    return {"model": name, "dtype": dtype, "bytes": ways.nbytes(arrays), "contenders": rows}


def add_peaks(
    rows: dict[str, dict[str, Any]],
    arrays: Arrays,
    dtype: str,
    paths: Mapping[str, Path],
    folder: Path,
) -> None:
    """Add the peak memory of each contender, and of a process that does nothing with the arrays."""
    source, threads = folder / "source.safetensors", max(THREADS)
    plain = dict(zip(arrays, ways.plain(arrays).values(), strict=True))
    ways.save_safetensors(plain, source)
    rows["(the arrays alone)"] = {"bytes": ways.nbytes(arrays), "lossless": True, "seconds": {}}
    for name, row in rows.items():
        path = paths.get(name, source)
        row["peaks"] = {
            verb: peaks.peak(name, verb, threads, dtype, source, path)
            for verb in ("pack", "unpack")
        }


def rows_of(
    names: Sequence[str],
    dtypes: Sequence[str],
    others: Sequence[contenders.Contender],
    quick: bool,
    folder: str | None,
) -> Iterator[dict[str, Any]]:
    """Measure models, each as its dtypes; one that is float16 by nature as the two of 16 bits."""
    for name in names:
        found = corpus.arrays(name)
        if found is None:
            continue
        half = {array.dtype.name for array in found.values()} == {"float16"}
        del found
        for dtype in dtypes:
            if dtype != "float32" or not half:
                yield measure(name, dtype, others, quick, folder)


def cells(row: Mapping[str, Any], total: int) -> list[str]:
    """Return a contender's figures of a model: size, four times, error, two peaks."""
    times = [row["seconds"].get(f"{v} {t}") for v in ("pack", "unpack") for t in THREADS]
    found = [f"{row['bytes'] / total:.4f}"]
    found += ["-" if one is None else f"{1e3 * one:.1f}" for one in times]
    found.append("0" if row["lossless"] else f"{row.get('error', 0):.1e}")
    peak = row.get("peaks", {})
    return found + [f"{peak[v] / 1e6:.0f}" if v in peak else "-" for v in ("pack", "unpack")]


HEAD: Final = (
    *("size", *(f"{v} {t}, ms" for v in ("pack", "unpack") for t in THREADS)),
    *("rms error", "peak pack, MB", "peak unpack, MB"),
)


def tables(found: Sequence[Mapping[str, Any]], markdown: bool) -> Iterator[str]:
    """Give a table a model and dtype; in Markdown of the shown model alone."""
    for row in found:
        if markdown and row["model"] != SHOWN:
            continue
        yield f"{row['model']}, {row['dtype']}, {row['bytes'] / 1e6:.2f} MB"
        yield ""
        body = [[n, *cells(one, row["bytes"])] for n, one in row["contenders"].items()]
        yield from corpus.table([["contender", *HEAD], *body], markdown)
        yield ""


def summary(found: Sequence[Mapping[str, Any]], markdown: bool) -> Iterator[str]:
    """Sum up all models of a dtype: part of the bytes, MB/s in and out, and the models won."""
    for dtype in dict.fromkeys(row["dtype"] for row in found):
        rows = [row for row in found if row["dtype"] == dtype]
        total = sum(row["bytes"] for row in rows)
        yield f"all {len(rows)} models as {dtype}, {total / 1e6:.1f} MB"
        yield ""
        speeds = [f"{v} {t}, MB/s" for v in ("pack", "unpack") for t in THREADS]
        body = [["contender", "size", *speeds, "mcodec smaller"]]
        for name in (one for one in rows[0]["contenders"] if not one.startswith("(")):
            own = [row["contenders"][name] for row in rows]
            line = [name, f"{sum(one['bytes'] for one in own) / total:.4f}"]
            for verb in ("pack", "unpack"):
                for threads in THREADS:
                    seconds = [one["seconds"][f"{verb} {threads}"] for one in own]
                    known = None not in seconds
                    line.append(f"{total / sum(seconds) / 1e6:.0f}" if known else "-")
            won = sum(
                row["contenders"][contenders.MCODEC]["bytes"] < row["contenders"][name]["bytes"]
                for row in rows
            )
            lossless = own[0]["lossless"] and name != contenders.MCODEC
            body.append([*line, f"{won} of {len(rows)}" if lossless else "-"])
        yield from corpus.table(body, markdown)
        yield ""


def settings(others: Sequence[contenders.Contender]) -> str:
    """Name versions and settings."""
    return "; ".join(
        f"{one.name}: {one.package} {compressors.version(one.package)}, {one.setting}"
        for one in others
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(corpus.MODELS))
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="default: all three")
    parser.add_argument("--quick", action="store_true", help="fewer models, runs and sizes")
    parser.add_argument("--markdown", action="store_true", help="tables for a page")
    parser.add_argument("--json", metavar="FILE", help="where to write all figures")
    parser.add_argument("--plot", metavar="FILE", help="where to draw them: .svg or .png")
    parser.add_argument("--most", type=float, default=growth.SIZES[-1], help="bytes, of growth")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - corpus.MODELS.keys())
    if unknown:
        parser.error(f"no model {unknown[0]!r}: choose from {', '.join(corpus.MODELS)}")
    names = options.names or (FEW if options.quick else list(corpus.MODELS))
    others = contenders.installed()
    print(*Machine.here().words(), corpus.command(), settings(others), "", sep="\n", flush=True)
    found = []
    dtypes = options.dtype or DTYPES
    for row in rows_of(names, dtypes, others, options.quick, corpus.memory()):
        found.append(row)
        if not options.markdown or row["model"] == SHOWN:
            print(*tables([row], options.markdown), sep="\n", flush=True)
    print(*summary(found, options.markdown), sep="\n", flush=True)
    most = min(int(options.most), growth.QUICK if options.quick else growth.SIZES[-1])
    series = growth.measure(most, options.quick, None, others)
    print(*growth.lines(series, options.markdown), sep="\n")
    figures = {"machine": Machine.here()._asdict(), "models": found, "growth": series}
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2))
    if options.plot:
        import peerplot

        peerplot.draw(json.loads(json.dumps(figures)), options.plot)


if __name__ == "__main__":
    main()
