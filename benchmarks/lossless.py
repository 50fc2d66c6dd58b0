"""Lossless sizes of real models beside ZipNN, z4ai, Blosc2, OpenZL and zstd, in one run.

    python benchmarks/lossless.py [--json] [--quick] [NAME ...]

Every model as float32, and cast to float16 and bfloat16 (one that is float16 by nature as these
two). Peers keep no names and no shapes, so what stands beside theirs is the stored bytes of the
streams, and the whole file next to it. Everything is read back and compared. `--quick` leaves out
the strongest settings of the peers, of which some take seconds for each megabyte (an hour in all).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import TYPE_CHECKING, Any, Final

import corpus
from compressors import WIDTHS, Peer, installed, version

import mcodec
from mcodec.api.tasklist import list_tasks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

LARGE: Final = 4_000_000  # bytes, from which on mcodec is to be the smallest


def pack(model: Mapping[str, NDArray[Any]]) -> tuple[int, int]:
    """Pack, compare every bit, and return the bytes of the streams and of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.mc"
        mcodec.pack({"A": model}, path)
        with mcodec.open(path) as file:
            task = file.task("A")
            for name, array in model.items():
                if task[name].tobytes() != array.tobytes():
                    raise SystemExit(f"{name} did not come back")
            return list_tasks(file.reader)[0].stored_bytes, file.reader.size


def measure(
    name: str, dtype: str, model: Mapping[str, NDArray[Any]], others: Sequence[Peer]
) -> dict[str, Any]:
    """Return the sizes of one model as one dtype."""
    data = b"".join(array.tobytes() for array in model.values())
    streams, file = pack(model)
    sizes = {peer.name: peer.size(data, dtype) for peer in others}
    return {
        "model": name,
        "dtype": dtype,
        "bytes": len(data),
        "mcodec_streams": streams,
        "mcodec_file": file,
        "peers": sizes,
    }


def rows(names: Sequence[str], others: Sequence[Peer]) -> Iterator[dict[str, Any]]:
    """Measure models, each as its dtypes."""
    for name in names:
        model = corpus.arrays(name)
        if model is None:
            continue
        half = {array.dtype.name for array in model.values()} == {"float16"}
        for dtype in ("float16", "bfloat16") if half else WIDTHS:
            yield measure(name, dtype, corpus.cast(model, dtype), others)


def smallest(row: Mapping[str, Any]) -> str:
    """Say who is smallest, and by how much, or that mcodec is."""
    name = min(row["peers"], key=row["peers"].__getitem__)
    gap = row["peers"][name] / row["mcodec_streams"] - 1
    return f"{name} {gap:+.2%}" if gap <= 0 else f"mcodec ({name} {gap:+.2%})"


def line(row: Mapping[str, Any]) -> str:
    """Return a row of the table: parts of the bytes."""
    sizes = [row["mcodec_streams"], row["mcodec_file"], *row["peers"].values()]
    parts = "".join(f"{size / row['bytes']:11.4f}" for size in sizes)
    return f"{row['model']:<15} {row['dtype']:<9}{row['bytes'] / 1e6:7.2f}{parts}  {smallest(row)}"


def summary(found: Sequence[Mapping[str, Any]], others: Sequence[Peer]) -> Iterator[str]:
    """Count, for each peer, the models over 4 MB of which mcodec's streams are smaller."""
    large = [row for row in found if row["bytes"] > LARGE]
    for peer in others:
        gaps = [row["peers"][peer.name] / row["mcodec_streams"] - 1 for row in large]
        if gaps:
            won = sum(gap > 0 for gap in gaps)
            yield (
                f"  {peer.name:<11} {won:>2} of {len(gaps)}, {min(gaps):+.2%} to {max(gaps):+.2%}"
                f"  ({peer.packages[0]} {version(peer.packages[0])}: {peer.setting})"
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(corpus.MODELS))
    parser.add_argument("--quick", action="store_true", help="peers at their defaults only")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - corpus.MODELS.keys())
    if unknown:
        parser.error(f"no model {unknown[0]!r}: choose from {', '.join(corpus.MODELS)}")
    others = [peer for peer in installed() if not (options.quick and peer.strongest)]
    if not options.json:
        print(f"{corpus.machine()}; {corpus.command()}; sizes as parts of the bytes")
        heads = ("streams", "file", *(peer.name for peer in others))
        print(f"{'model':<15} {'dtype':<9}{'MB':>7}" + "".join(f"{head:>11}" for head in heads))
    found = []
    for row in rows(options.names or list(corpus.MODELS), others):
        found.append(row)
        if not options.json:
            print(line(row), flush=True)
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "rows": found}, indent=2))
    else:
        print("over 4 MB, mcodec's streams are smaller than")
        print(*summary(found, others), sep="\n")


if __name__ == "__main__":
    main()
