"""A network told from another one, beside XOR with zstd by plane and z4ai, in one run.

    python benchmarks/deltas.py [--json] [--digits FILE]

Lossless: pairs of networks where B was made from A, and pairs that were trained apart, as float32
and cast to bfloat16, on the tensors that both have. All sizes are those of B's streams. XOR is
taken over the joined arrays, its bytes or its bits put into planes, each plane coded by zstd at the
best of levels 1, 3 and 9 or left raw; the smaller of the two counts.

Lossy: the weights of B in bfp with 8 bits a channel alone, and as residuals (`delta(values=bfp)`)
of no larger a squared error, against A as it came and against A in bfp of 8 bits a channel itself.

`--digits` is the fine-tune of EfficientNet-Lite0 on digits, a safetensors file; without it those
rows are left out, with a line.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import compressors
import corpus
import numpy as np
import zstandard

import mcodec
from mcodec.api.listing import list_tensors
from mcodec.api.sources import open_source
from mcodec.api.tasklist import list_tasks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Model = Mapping[str, NDArray[Any]]

DIGITS: Final = "effnet_lite0_digits.safetensors"
BESIDE: Final = Path(__file__).resolve().parents[2] / "shared" / "corpus" / DIGITS
PAIRS: Final = (
    ("chgnet", "chgnet_r2scan", "transferred"),
    ("efficientnet", "digits", "fine-tuned"),
    ("proteinmpnn", "proteinmpnn_010", "trained apart"),
    ("spliceai1", "spliceai2", "trained apart"),
)
# The networks inside of checkpoints; the rest of these is the optimizer's.
KEYS: Final = {
    "chgnet": "model.state_dict",
    "chgnet_r2scan": "model.state_dict",
    "proteinmpnn": "model_state_dict",
    "proteinmpnn_010": "model_state_dict",
}
CHANNELS: Final = "bfp(bits=8,scope=axis:0,signs=compact)"  # PyTorch has the outputs first


def load(name: str, digits: Path) -> Model | None:
    """Return a model's floating-point tensors."""
    path = digits if name == "digits" else corpus.fetch(name)
    if path is None:
        return None
    if not path.exists():
        print(f"{name}: skipped, there is no {path.name} (see --digits)", file=sys.stderr)
        return None
    source = open_source(path, key=KEYS.get(name, ""))
    try:
        return {
            tensor.name: source.read(index, 0, tensor.size).reshape(tensor.shape)
            for index, tensor in enumerate(source.tensors)
            if tensor.dtype == "float32"
        }
    finally:
        source.close()


def common(a: Model, b: Model) -> tuple[Model, Model]:
    """Return what both have, by name and shape; by place, where the names are others."""
    names = [name for name in b if name in a and a[name].shape == b[name].shape]
    if names:
        return {name: a[name] for name in names}, {name: b[name] for name in names}
    pairs = [
        (name, one, two)
        for (name, one), two in zip(a.items(), b.values(), strict=True)
        if one.shape == two.shape
    ]
    return {name: one for name, one, _ in pairs}, {name: two for name, _, two in pairs}


def stored(a: Model, b: Model, **options: Any) -> int:
    """Pack both, compare every bit of B, and return the bytes of B's streams."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/pair.mc"
        mcodec.pack({"A": a, "B": b}, path, **options)
        with mcodec.open(path) as file:
            task = file.task("B")
            for name, array in b.items():
                if task[name].tobytes() != array.tobytes():
                    raise SystemExit(f"{name} did not come back")
            return list_tasks(file.reader)[1].stored_bytes


def xor(a: bytes, b: bytes, width: int) -> int:
    """Return the bytes of XOR in byte planes or bit planes, whichever takes fewer."""
    found = np.frombuffer(a, np.uint8) ^ np.frombuffer(b, np.uint8)
    in_bytes = found.reshape(-1, width)
    by_byte = [np.ascontiguousarray(in_bytes[:, i]) for i in range(width)]
    by_bit = [
        np.packbits(plane >> bit & 1, bitorder="little") for plane in by_byte for bit in range(8)
    ]
    return min(sum(map(zstd, planes)) for planes in (by_byte, by_bit))


def zstd(plane: NDArray[np.uint8]) -> int:
    """Return the bytes of a plane, at the best of three levels, or raw."""
    data = plane.tobytes()
    frames = (zstandard.ZstdCompressor(level=level).compress(data) for level in (1, 3, 9))
    return min(len(data), *map(len, frames))


def lossless(names: tuple[str, str, str], a: Model, b: Model, dtype: str) -> dict[str, Any]:
    """Measure a pair as one dtype."""
    z4ai = importlib.import_module("z4ai")
    a, b = corpus.cast(a, dtype), corpus.cast(b, dtype)
    one, two = (b"".join(array.tobytes() for array in model.values()) for model in (a, b))
    kind = {"float32": "fp32", "bfloat16": "bf16"}[dtype]
    packed = z4ai.compress_delta(two, one, dtype=kind)
    if bytes(z4ai.decompress_delta(packed, one)) != two:
        raise SystemExit("z4ai did not give its input back")
    return {
        "pair": f"{names[0]}, {names[1]}",
        "kind": names[2],
        "dtype": dtype,
        "bytes": len(two),
        "alone": stored({}, b),
        "xor": xor(one, two, compressors.WIDTHS[dtype]),
        "z4ai": len(packed),
        "mcodec": stored(a, b, optimize="file"),
    }


def weights_of(model: Model) -> list[str]:
    """Return the names of the arrays that bfp is for."""
    return [name for name, array in model.items() if array.ndim >= 2]


def lossy(a: Model, b: Model, rules: Mapping[str, str]) -> tuple[int, float]:
    """Pack by codec strings for ``task:name``; return bytes and squared error of B's weights."""
    with tempfile.TemporaryDirectory() as folder:
        path, plan = f"{folder}/pair.mc", Path(folder) / "plan.toml"
        lines = (
            f"[[tensor]]\nmatch = '{key}'\ncodec = '{codec}'\n" for key, codec in rules.items()
        )
        plan.write_text("".join(lines))
        mcodec.pack({"A": a, "B": b} if a else {"B": b}, path, plan=plan)
        with mcodec.open(path) as file:
            entry, task = file.entry("B"), file.task("B")
            rows = {row.spec.name: row for row in list_tensors(file.reader, entry)}
            names = weights_of(b)
            error = sum(float(np.sum((task[n].astype(float) - b[n]) ** 2)) for n in names)
            return sum(rows[name].stored_bytes for name in names), error


def residual_rules(a: Model, b: Model, noise: float) -> dict[str, str]:
    """Return a delta for each weight of B, all of one step, that makes no more squared error."""
    names = weights_of(b)
    step = math.sqrt(12 * noise / sum(b[name].size for name in names))
    step = float(np.float32(step * 0.995))  # a step's error is s^2 / 12 only about
    rules = {}
    for name in names:
        largest = float(np.abs(b[name].astype(float) - a[name]).max())
        bits = min(24, max(1, math.ceil(math.log2(largest / step + 1.5)))) if largest else 1
        rules[f"B:{name}"] = f"delta(values=bfp(bits={bits},step={step!r},signs=compact))"
    return rules


def decoded(model: Model, codec: str) -> Model:
    """Return what a model's weights decode to under a codec."""
    with tempfile.TemporaryDirectory() as folder:
        mcodec.pack({"A": model}, f"{folder}/a.mc", codec=codec)
        with mcodec.open(f"{folder}/a.mc") as file:
            return dict(file.task("A"))


def lossy_rows(a: Model, b: Model) -> Iterator[dict[str, Any]]:
    """Measure the fine-tune alone and as a residual of A as it came, and of A as it is stored."""
    names = weights_of(b)
    alone, noise = lossy({}, b, {f"B:{name}": CHANNELS for name in names})
    weights = sum(b[name].size for name in names)
    for kept, codec in (("as it came", "float"), (CHANNELS, CHANNELS)):
        base = decoded(a, codec)
        rules = {f"A:{name}": codec for name in names} | residual_rules(base, b, noise)
        size, error = lossy(a, b, rules)
        yield {
            "base": kept,
            "alone_bits": 8 * alone / weights,
            "delta_bits": 8 * size / weights,
            "ratio": size / alone,
            "error_ratio": math.sqrt(error / noise),
        }


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--digits", type=Path, default=BESIDE)
    options = parser.parse_args()
    rows, fine = [], []
    if not options.json:
        print(f"{corpus.machine()}; {corpus.command()}; B's streams as parts of its bytes")
        heads = ("alone", "XOR", "z4ai", "mcodec", "to XOR", "to z4ai", "to alone")
        print(f"{'pair':<28} {'':<14} {'dtype':<9}" + "".join(f"{head:>9}" for head in heads))
    for names in PAIRS:
        models = [load(name, options.digits) for name in names[:2]]
        if models[0] is None or models[1] is None:
            continue
        a, b = common(models[0], models[1])
        for dtype in ("float32", "bfloat16"):
            row = lossless(names, a, b, dtype)
            rows.append(row)
            if not options.json:
                sizes = [row[key] / row["bytes"] for key in ("alone", "xor", "z4ai", "mcodec")]
                sizes += [row["mcodec"] / row[key] for key in ("xor", "z4ai", "alone")]
                cells = "".join(f"{size:9.3f}" for size in sizes)
                print(f"{row['pair']:<28} {row['kind']:<14} {dtype:<9}{cells}", flush=True)
        if "digits" in names:
            fine = list(lossy_rows(a, b))
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "lossless": rows, "lossy": fine}, indent=2))
        return
    print("the digits fine-tune, bits a weight with signs; RMS error to that of bfp 8 a channel")
    for row in fine:
        print(
            f"  base {row['base']}: alone {row['alone_bits']:.2f}, residual "
            f"{row['delta_bits']:.2f}: ratio {row['ratio']:.3f}, error {row['error_ratio']:.3f}"
        )


if __name__ == "__main__":
    main()
