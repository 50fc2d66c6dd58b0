"""Bits a weight at the error of other quantisers: GGUF's blocks, and int8 per channel.

    python benchmarks/distortion.py [--json] [MODEL …]

Each peer quantises the matrices of a model (floating tensors of two or more dimensions); its error
is measured, and `mcodec.plan(min_sqnr=…)` and `pack` then make a file of the same matrices that is
no worse. Bits a weight are of the streams of the matrices; the bits of the whole file stand beside.
Blocks run over the last axis in GGUF; where that is no multiple of a block, as in convolutions, a
tensor is taken as flat here, and its last block is filled up with zeros.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from typing import TYPE_CHECKING, Any, Final

import corpus
import numpy as np
import zstandard

import mcodec
from mcodec.api.tasklist import list_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Quantiser = Callable[[NDArray[np.float32]], tuple[NDArray[np.float64], float]]

NAMES: Final = ("minilm", "efficientnet")
GOALS: Final = {"Q8_0": 0.92, "Q6_K": 0.94, "Q5_0": 0.88, "Q4_0": 0.85, "int8": 0.90}
SUPER: Final = 256  # weights of a super-block of Q6_K, in 16 blocks of 16


def simple(name: str) -> Quantiser:
    """Return one of GGUF's plain types: blocks of 32 under a float16 scale."""
    from gguf import GGMLQuantizationType, quants

    kind = GGMLQuantizationType[name]

    def quantise(tensor: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
        blocks = padded(tensor, 32)
        packed = quants.quantize(blocks, kind)
        values = quants.dequantize(packed, kind).reshape(-1)[: tensor.size]
        return values.astype(np.float64).reshape(tensor.shape), 8.0 * packed.nbytes

    return quantise


def padded(tensor: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    """Return a tensor's values in rows of a block."""
    flat = tensor.reshape(-1)
    return np.pad(flat, (0, -flat.size % block)).reshape(-1, block)


def q6_k(tensor: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Quantise to 6 bits under 8-bit scales under a float16 scale, as GGUF's own coder does.

    The package has the decoder only. A block's scale is the best, by squares weighted with the
    weights' squares, of those that put its largest weight at -32 ± 0.9.
    """
    blocks = padded(tensor, SUPER).astype(np.float64).reshape(-1, 16)
    scales = best_scales(blocks).reshape(-1, 16)
    largest = np.take_along_axis(scales, np.abs(scales).argmax(1)[:, None], 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(largest != 0, -128 / largest, 0)
        unit = np.where(largest != 0, 1 / inverse, 0).astype(np.float16).astype(np.float64)
        steps = (unit * np.minimum(127, np.rint(inverse * scales))).reshape(-1, 1)
        codes = np.where(steps != 0, np.clip(np.rint(blocks / steps), -32, 31), 0)
    values = (steps * codes).reshape(-1)
    bits = values.size / SUPER * 8 * 210  # 128 + 64 bytes of codes, 16 of scales, 2 of the unit
    return values[: tensor.size].reshape(tensor.shape), bits


def best_scales(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a scale for each row of 16 weights."""
    weight = blocks * blocks
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(1)[:, None], 1)
    present = np.abs(largest) > 1e-15
    scale = np.zeros(len(blocks))
    best = np.full(len(blocks), -1.0)
    for shift in [0.0, *(0.1 * i for i in range(-9, 10) if i)]:
        with np.errstate(divide="ignore", invalid="ignore"):
            codes = np.where(
                present, np.clip(np.rint(-(32 + shift) / largest * blocks), -32, 31), 0
            )
            cross, square = (weight * blocks * codes).sum(1), (weight * codes * codes).sum(1)
            fit = np.where(square > 0, cross / square, 0)
        better = fit * cross > best
        scale, best = np.where(better, fit, scale), np.where(better, fit * cross, best)
    return scale


def int8(tensor: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Quantise to bytes under a float32 scale a channel of the first axis."""
    codes, scales = int8_codes(tensor)
    values = (codes * scales).reshape(tensor.shape)
    return values, 8.0 * codes.size + 32.0 * len(scales)


def int8_zstd(tensor: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Quantise so, and compress each tensor's bytes with zstd at its default level."""
    codes, scales = int8_codes(tensor)
    stored = zstandard.compress(codes.astype(np.int8).tobytes(), 3)
    return (codes * scales).reshape(tensor.shape), 8.0 * len(stored) + 32.0 * len(scales)


def int8_codes(tensor: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = tensor.reshape(len(tensor), -1).astype(np.float64)
    scales = np.abs(rows).max(1, keepdims=True) / 127
    scales = np.where(scales < np.finfo(np.float32).tiny, 1, scales).astype(np.float32)
    wide = scales.astype(np.float64)
    return np.clip(np.rint(rows / wide), -127, 127), wide


def peers() -> dict[str, Quantiser]:
    """Return the quantisers that can be had here."""
    found: dict[str, Quantiser] = {}
    try:
        found |= {name: simple(name) for name in ("Q8_0", "Q5_0", "Q4_0")}
    except ImportError:
        print("gguf is not installed: its plain types are left out")
    return found | {"Q6_K": q6_k, "int8": int8, "int8, zstd": int8_zstd}


def ours(model: Mapping[str, NDArray[Any]], decibels: float) -> tuple[float, float, float]:
    """Return our decibels, and the bits of the streams and of the file, at that error at least."""
    with tempfile.TemporaryDirectory() as folder:
        plan = mcodec.plan({"A": model}, f"{folder}/plan.toml", min_sqnr=decibels)
        report = mcodec.pack({"A": model}, f"{folder}/x.mc", plan=f"{folder}/plan.toml")
        with mcodec.open(report.path) as file:
            stored = list_tasks(file.reader)[0].stored_bytes
    return plan.head.task[0].sqnr_db or math.inf, 8.0 * stored, 8.0 * report.file_bytes


def measure(name: str, model: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """Return a row for each peer."""
    weights = sum(array.size for array in model.values())
    power = sum(float((array.astype(np.float64) ** 2).sum()) for array in model.values())
    rows = []
    for peer, quantise in peers().items():
        noise = bits = 0.0
        for array in model.values():
            values, taken = quantise(array)
            noise += float(((values - array) ** 2).sum())
            bits += taken
        decibels = 10 * math.log10(power / noise)
        reached, streams, file = ours(model, decibels)
        rows.append(
            {
                "model": corpus.MODELS[name].what,
                "peer": peer,
                "peer_db": round(decibels, 3),
                "peer_bits": round(bits / weights, 3),
                "db": round(reached, 3),
                "bits": round(streams / weights, 3),
                "file_bits": round(file / weights, 3),
                "ratio": round(streams / bits, 3),
                "goal": GOALS.get(peer),
            }
        )
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("models", nargs="*", default=NAMES, metavar="MODEL")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.models:
        arrays = corpus.arrays(name)
        if arrays is not None:
            matrices = {
                key: np.ascontiguousarray(array, np.float32)
                for key, array in arrays.items()
                if array.ndim > 1 and array.dtype.kind == "f"
            }
            rows += measure(name, matrices)
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "rows": rows}, indent=2))
        return
    print(f"{corpus.machine()}; {corpus.command()}; bits a weight of the matrices")
    print(
        f"{'model':<36}{'peer':<12}{'dB':>7}{'bits':>8}{'our dB':>9}{'bits':>8}{'file':>8}", end=""
    )
    print(f"{'ratio':>8}{'goal':>7}")
    for row in rows:
        goal = "-" if row["goal"] is None else f"{row['goal']:.2f}"
        print(
            f"{row['model']:<36}{row['peer']:<12}{row['peer_db']:>7.2f}{row['peer_bits']:>8.3f}"
            f"{row['db']:>9.2f}{row['bits']:>8.3f}{row['file_bits']:>8.3f}{row['ratio']:>8.3f}{goal:>7}"
        )


if __name__ == "__main__":
    main()
