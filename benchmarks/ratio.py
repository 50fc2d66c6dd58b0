"""Sizes against peers on real weights, in one run.

    python benchmarks/ratio.py [--json]

Peers keep no names and no shapes, so the figure beside theirs is the stored bytes of the streams;
the whole file stands next to it. Every coder gets the same float32 bytes. Lossless results are read
back and compared.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import TYPE_CHECKING, Any

import corpus
import numpy as np
import zstandard

import mcodec
from mcodec.api.listing import list_tasks, list_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def arrays_of(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the float32 tensors of a safetensors or torch file."""
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        found: Mapping[str, Any] = load_file(path)
    else:
        import torch

        loaded = torch.load(path, weights_only=True, map_location="cpu")
        found = {name: tensor.numpy() for name, tensor in loaded.items()}
    return {name: array for name, array in found.items() if array.dtype == np.float32}


def zipnn_bytes(data: bytes) -> int | None:
    """Return the bytes that ZipNN makes of float32 data, or None without it."""
    try:
        import zipnn
    except ImportError:
        return None
    coder = zipnn.ZipNN(input_format="byte", bytearray_dtype="float32")
    packed = coder.compress(bytearray(data))
    if bytes(coder.decompress(packed)) != data:
        raise SystemExit("ZipNN did not give its input back")
    return len(packed)


def lossless(arrays: dict[str, np.ndarray[Any, Any]], folder: str) -> tuple[int, int]:
    """Pack, compare every bit, and return (bytes of the streams, bytes of the file)."""
    path = f"{folder}/lossless.mc"
    mcodec.pack({"A": arrays}, path)
    with mcodec.open(path) as file:
        task = file.task("A")
        for name, array in arrays.items():
            if task[name].tobytes() != array.tobytes():
                raise SystemExit(f"{name} did not come back")
        return list_tasks(file.reader)[0].stored_bytes, file.reader.size


def bits_per_weight(arrays: dict[str, np.ndarray[Any, Any]], bits: int, folder: str) -> float:
    """Return the bits a weight, signs included, of the matrices packed with so many bits."""
    path = f"{folder}/bits.mc"
    mcodec.pack({"A": arrays}, path, bits=bits)
    with mcodec.open(path) as file:
        rows = list_tensors(file.reader, file.entry("A"))
        fused = [row for row in rows if row.codec["id"] == "bfp"]
        return 8 * sum(row.stored_bytes for row in fused) / sum(row.spec.size for row in fused)


def measure(name: str) -> dict[str, Any] | None:
    """Return the figures of one model."""
    path = corpus.fetch(name)
    if path is None:
        return None
    arrays = arrays_of(path)
    data = b"".join(array.tobytes() for array in arrays.values())
    with tempfile.TemporaryDirectory() as folder:
        streams, whole = lossless(arrays, folder)
        return {
            "model": corpus.MODELS[name].what,
            "float32_bytes": len(data),
            "mcodec_streams": streams,
            "mcodec_file": whole,
            "zipnn": zipnn_bytes(data),
            "zstd_3": len(zstandard.compress(data, 3)),
            "bits_12_per_weight": round(bits_per_weight(arrays, 12, folder), 3),
            "bits_4_per_weight": round(bits_per_weight(arrays, 4, folder), 3),
        }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = [row for name in ("minilm", "efficientnet") if (row := measure(name))]
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "models": found}, indent=2))
        return
    for row in found:
        total = row["float32_bytes"]
        print(f"{row['model']}: {total:,} bytes of float32")
        for key in ("mcodec_streams", "mcodec_file", "zipnn", "zstd_3"):
            value = (
                "not installed" if row[key] is None else f"{row[key]:>12,}  {row[key] / total:.4f}"
            )
            print(f"  {key:<16} {value}")
        print(f"  matrices at --bits 12: {row['bits_12_per_weight']} bits a weight, sign included")
        print(f"  matrices at --bits 4:  {row['bits_4_per_weight']} bits a weight, sign included")


if __name__ == "__main__":
    main()
