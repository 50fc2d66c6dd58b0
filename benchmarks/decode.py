"""How fast codecs decode, as shares of a copy of what they decode to, in one run.

    python benchmarks/decode.py [--json] [--seconds S]

One tensor of 4 million float32 in the order of blocks, one thread, from the streams as the file has
them: zstd frames are decoded, hashes are not taken. Decodes and copies of as many bytes alternate,
both block by block into an array that was touched before; medians. The goals are 0.5 for csr and
int8, and 0.12 for delta, whose streams are serial by nature.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

import corpus
import numpy as np

from mcodec.codec import coder, kernels
from mcodec.codec.plan import parse_codec
from mcodec.types import RunSpec, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mcodec.codec.base import Codec

SHAPE: Final = (16_384, 256)
SPARSE: Final = (0.5, 0.8, 0.9, 0.95, 0.99)


def cases(rng: np.random.Generator) -> list[tuple[str, str, NDArray[Any], NDArray[Any] | None]]:
    """Return name, codec, values and base of what is timed."""
    dense = (rng.normal(size=SHAPE) * 0.05).astype(np.float32)
    moved = (dense + dense.std() * 0.07 * rng.normal(size=SHAPE)).astype(np.float32)
    found: list[tuple[str, str, NDArray[Any], NDArray[Any] | None]] = [
        ("float", "float", dense, None),
        ("int8, a tensor", "int8", dense, None),
        ("int8, a channel, last axis", "int8(scope=axis:-1)", dense, None),
        ("int8, a channel, first axis", "int8(scope=axis:0)", dense, None),
    ]
    for share in SPARSE:
        pruned = np.where(np.abs(dense) < np.quantile(np.abs(dense), share), np.float32(0), dense)
        for values in ("float", "int8"):
            codec = f"csr(values={values})"
            found.append((f"csr of {values}, {share:.0%} zeros", codec, pruned, None))
    found.append(
        ("mask, 50% zeros", "mask", np.where(rng.random(SHAPE) < 0.5, dense, np.float32(0)), dense)
    )
    found.append(("delta", "delta", moved, dense))
    return found


def decoder(codec: Codec, values: NDArray[Any], base: NDArray[Any] | None) -> Callable[[], None]:
    """Encode a tensor, and return a function that decodes all its blocks."""
    run = RunSpec.of("float32", [values.shape])
    flat = values.reshape(-1)
    below = [] if base is None else [base.reshape(-1)]
    spans = [slice(*run.span(block)) for block in range(run.blocks)]
    survey = None
    if codec.surveys:
        bases = [[one[span] for span in spans] for one in below]
        survey = codec.survey(
            TensorSpec("w", "float32", values.shape), (flat[s] for s in spans), bases
        )
    head, coded_head = codec.encode_head(run, [survey])
    blocks = []
    for block, span in enumerate(spans):
        parts = [one[span] for one in below]
        mode, coded = codec.encode(run, block, flat[span], head, planes_only=False, bases=parts)
        blocks.append((mode, [own_memory(stream) for stream in coded], parts))
    out = np.ones(flat.size, np.float32)
    head = codec.decode_head(run, [coder.decode(stream) for stream in coded_head])

    def decode() -> None:
        for block, (mode, coded, parts) in enumerate(blocks):
            streams = [coder.decode(stream) for stream in coded]
            codec.decode(run, block, mode, streams, head, out[spans[block]], bases=parts)

    decode()
    assert not codec.exact("float32") or np.array_equal(out.view("u4"), flat.view("u4"))
    return decode


def own_memory(stream: Any) -> Any:
    """Return a coded stream with bytes of its own: encoders give views of their scratch."""
    return type(stream)(stream.coder, stream.fill, stream.raw, bytes(stream.data))


def copier(values: NDArray[Any]) -> Callable[[], None]:
    """Return a function that copies a tensor, block by block."""
    flat, block = values.reshape(-1).copy(), 1 << 18
    out = np.ones(flat.size, np.float32)

    def copy() -> None:
        for start in range(0, flat.size, block):
            np.copyto(out[start : start + block], flat[start : start + block])

    return copy


def paired(one: Callable[[], None], two: Callable[[], None], seconds: float) -> tuple[float, float]:
    """Return the medians of two functions that take turns for so many seconds."""
    times: Sequence[list[float]] = ([], [])
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for function, own in zip((one, two), times, strict=True):
            start = time.perf_counter()
            function()
            own.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    rows = []
    if not options.json:
        print(f"{corpus.machine()}, target {kernels.target()}; {corpus.command()}")
        print(f"{'codec':<30}{'GB/s':>8}{'copy':>8}{'share':>8}")
    for name, text, values, base in cases(np.random.default_rng(0)):
        decode = decoder(parse_codec(text), values, base)
        took, copied = paired(decode, copier(values), options.seconds)
        rows.append({"codec": name, "seconds": took, "copy": copied, "share": copied / took})
        if not options.json:
            speeds = (values.nbytes / took / 1e9, values.nbytes / copied / 1e9, copied / took)
            print(f"{name:<30}" + "".join(f"{speed:8.2f}" for speed in speeds), flush=True)
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
