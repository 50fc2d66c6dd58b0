"""Real models into every format that can hold them, and back: everything must return.

    python benchmarks/roundtrip.py [--json] [NAME ...]

Each file goes to each format, and back to its own, and what comes back is compared: safetensors and
ONNX byte for byte, HDF5 by groups, order, attributes with their types, dtypes, shapes and bits,
PyTorch by what torch.load gives. The same by way of one .mc file. The exit status is 1 if anything
differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import corpus

import mcodec
from mcodec.errors import UsageError
from mcodec.formats.registry import open_source

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.equal import check_same

HEADING: Final = (
    f"{'model':<14}{'own format':<13}{'MB':>8}  {'by':<20}{'size':>8}{'out':>8}{'back':>8}"
)
TARGETS: Final = ("safetensors", "h5", "npz", "pt")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Run something; return its seconds and its result."""
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def verdict(own: str, original: Path, restored: Path) -> str:
    """Say whether a file came back."""
    try:
        check_same(own, original, restored)
    except AssertionError as error:
        return f"DIFFERS {' '.join(str(error).split())[:60]}"
    return "equal" if mcodec.diff(original, restored).same else "DIFFERS for mcodec diff"


def by_conversion(name: str, own: str, source: Path, target: str, folder: Path) -> dict[str, Any]:
    """Convert a model to a format and back."""
    middle = folder / f"middle.{target}"
    restored = folder / "back" / source.name
    row: dict[str, Any] = {"model": name, "own": own, "by": f"convert {target}"}
    try:
        row["out_s"], report = timed(lambda: mcodec.convert(source, middle))
    except UsageError as error:
        return {**row, "verdict": f"cannot hold it: {error}"}
    row["bytes"] = report.bytes
    row["back_s"], _ = timed(lambda: mcodec.convert(middle, restored, to=own))
    return {**row, "verdict": verdict(own, source, restored)}


def by_pack(name: str, own: str, source: Path, folder: Path) -> list[dict[str, Any]]:
    """Pack a model; unpack it as its own format, and as every other and back from there."""
    packed = folder / "model.mc"
    seconds, _ = timed(lambda: mcodec.pack(source, packed))
    rows = []
    for target in ("", *TARGETS):
        restored = folder / "back" / source.name
        row: dict[str, Any] = {"model": name, "own": own, "by": f"mc {target}".rstrip()}
        row |= {"out_s": seconds, "bytes": packed.stat().st_size}
        middle = folder / f"unpacked.{target}" if target else restored
        work = partial(mcodec.unpack, packed, out=middle, to=target or own)
        try:
            row["back_s"], _ = timed(work)
        except UsageError as error:
            rows.append({**row, "verdict": f"cannot hold it: {error}"})
            continue
        if target:
            mcodec.convert(middle, restored, to=own)
        rows.append({**row, "verdict": verdict(own, source, restored)})
    return rows


def trips(name: str) -> list[dict[str, Any]]:
    """Send one model everywhere; nothing if it cannot be had."""
    source = corpus.fetch(name)
    if source is None:
        return []
    opened = open_source(source)
    own = opened.format
    opened.close()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "back").mkdir()
        rows = [by_conversion(name, own, source, target, folder) for target in TARGETS]
        rows += by_pack(name, own, source, folder)
    for row in rows:
        row["original"] = source.stat().st_size
    return rows


def line(row: dict[str, Any]) -> str:
    """Return a row of the table."""
    size = f"{row['bytes'] / row['original']:8.3f}" if "bytes" in row else " " * 8
    times = "".join(f"{row[key]:8.2f}" if key in row else " " * 8 for key in ("out_s", "back_s"))
    what = f"{row['model']:<14}{row['own']:<13}{row['original'] / 1e6:8.2f}  {row['by']:<20}"
    return f"{what}{size}{times}  {row['verdict']}"


def main() -> None:
    """Run all, or the named ones."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(corpus.MODELS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - corpus.MODELS.keys())
    if unknown:
        parser.error(f"no model {unknown[0]!r}: choose from {', '.join(corpus.MODELS)}")
    found = []
    if not options.json:
        print(f"{corpus.machine()}; MB of the file, size of what is made beside it, seconds")
        print(
            f"{'model':<14}{'own format':<13}{'MB':>8}  {'by':<20}{'size':>8}{'out':>8}{'back':>8}"
        )
    for name in options.names or corpus.MODELS:
        rows = trips(name)
        found += rows
        if not options.json:
            print(*map(line, rows), sep="\n" if rows else "", flush=True)
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "rows": found}, indent=2))
    sys.exit(any(row["verdict"].startswith("DIFFERS") for row in found))


if __name__ == "__main__":
    main()
