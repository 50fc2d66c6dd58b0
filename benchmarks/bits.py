"""Bits a weight that matrices of real models take in `--bits`, all told.

    python benchmarks/bits.py [--json] [--bits 12,8,4]

Signs, exponents and everything else of the streams of the tensors that become block floating point,
for each weight of them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import TYPE_CHECKING, Any, Final

import corpus

import mcodec
from mcodec.api.listing import list_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

NAMES: Final = ("minilm", "efficientnet", "craft")


def bits_per_weight(model: Mapping[str, NDArray[Any]], bits: int) -> float:
    """Return the bits a weight of the tensors that are packed with so many bits."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/bits.mc"
        mcodec.pack({"A": model}, path, bits=bits)
        with mcodec.open(path) as file:
            rows = list_tensors(file.reader, file.entry("A"))
            fused = [row for row in rows if row.codec["id"] == "bfp"]
            return 8 * sum(row.stored_bytes for row in fused) / sum(row.spec.size for row in fused)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bits", default="12,8,4", help="numbers of bits, with commas between")
    options = parser.parse_args()
    asked = [int(text) for text in options.bits.split(",")]
    rows: list[dict[str, Any]] = []
    for name in NAMES:
        model = corpus.arrays(name)
        if model is not None:
            found = {bits: round(bits_per_weight(model, bits), 3) for bits in asked}
            rows.append({"model": corpus.MODELS[name].what, "bits_per_weight": found})
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "rows": rows}, indent=2))
        return
    print(f"{corpus.machine()}; {corpus.command()}; bits a weight of the matrices, signs included")
    for row in rows:
        cells = "".join(
            f"  --bits {bits}: {found:6.3f}" for bits, found in row["bits_per_weight"].items()
        )
        print(f"{row['model']:<40}{cells}")


if __name__ == "__main__":
    main()
