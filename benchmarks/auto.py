"""How long `pack --codec auto` takes beside `--codec float`, in turn, and what it saves.

    python benchmarks/auto.py [--json] [--runs 7]

MiniLM, EfficientNet-Lite0, and DenseNet121 with 90 % of its weights pruned (`shapes.py`), each from
a safetensors file, with one thread; medians of alternating runs. The goal is 1.5 times.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import corpus
import shapes
from safetensors.numpy import save_file

import mcodec
from mcodec.api.timing import alternate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

CODECS: Final = ("float", "auto")


def models(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write the models as safetensors files."""
    for name in ("minilm", "efficientnet"):
        arrays = corpus.arrays(name)
        if arrays is not None:
            yield name, written(arrays, folder / f"{name}.safetensors")
    path = folder / "pruned.safetensors"
    mcodec.prune(shapes.weights(shapes.densenet("DenseNet121")), path, 0.9)
    yield "DenseNet121, 90 % zeros", path


def written(arrays: Mapping[str, NDArray[Any]], path: Path) -> Path:
    """Write arrays."""
    save_file(dict(arrays), path)
    return path


def measure(source: Path, folder: Path, runs: int) -> dict[str, dict[str, float]]:
    """Return the median seconds and the bytes of each codec."""
    out = {codec: folder / f"{codec}.mc" for codec in CODECS}
    seconds = alternate(
        {codec: partial(mcodec.pack, source, out[codec], codec=codec, jobs=1) for codec in CODECS},
        runs,
    )
    return {
        codec: {"seconds": seconds[codec], "bytes": out[codec].stat().st_size} for codec in CODECS
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    rows = []
    if not options.json:
        print(f"{corpus.machine()}; {corpus.command()}; one thread, medians of {options.runs}")
        heads = ("float s", "auto s", "time", "float MB", "auto MB", "size")
        print(f"{'model':<26}" + "".join(f"{head:>10}" for head in heads))
    with tempfile.TemporaryDirectory() as place:
        for name, source in models(Path(place)):
            found = measure(source, Path(place), options.runs)
            rows.append({"model": name, **found})
            one, two = (found[codec] for codec in CODECS)
            if not options.json:
                times = (one["seconds"], two["seconds"], two["seconds"] / one["seconds"])
                sizes = (one["bytes"] / 1e6, two["bytes"] / 1e6, two["bytes"] / one["bytes"])
                cells = "".join(f"{figure:10.3f}" for figure in (*times, *sizes))
                print(f"{name:<26}{cells}", flush=True)
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
