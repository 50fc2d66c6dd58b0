"""Streams of any bits for a codec's blocks, decoded by the kernels and by PyTorch."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from mcodec.codec.exponents import RANGES, ZERO_SCOPE
from mcodec.errors import CodecConfigError, FormatError
from mcodec.types import Fill, RunSpec, numpy_dtype
from support import torch_models

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Streams:
    """Blocks of one run out of memory; counts those that were decoded on the CPU."""

    def __init__(self, codec: Any, run: RunSpec, head: Any, blocks: list[tuple[int, Any]]) -> None:
        self.codec, self.run, self.head, self.blocks = codec, run, head, blocks
        self.beside = 0

    def decoder(self, run: int) -> Any:
        return SimpleNamespace(
            canonical=True,
            codec=self.codec,
            spec=self.run,
            head=self.head,
            place=lambda _: nullcontext(),
        )

    def streams(self, run: int, block: int) -> tuple[int, Any]:
        return self.blocks[block]

    def block(self, run: int, block: int, out: NDArray[Any]) -> None:
        self.beside += 1
        mode, streams = self.blocks[block]
        self.codec.decode(self.run, block, mode, streams, self.head, out)


def kernels(blocks: Streams) -> list[Any]:
    """Return what the kernels make of each block: its bytes, or the words of an error."""
    found: list[Any] = []
    for block, (mode, streams) in enumerate(blocks.blocks):
        start, stop = blocks.run.span(block)
        out = np.empty(stop - start, numpy_dtype(blocks.run.dtype))
        try:
            blocks.codec.decode(blocks.run, block, mode, streams, blocks.head, out)
            found.append(out.tobytes())
        except FormatError as error:
            found.append(error.code)
    return found


def operations(blocks: Streams, device: str) -> list[Any]:
    """Return what PyTorch makes of each block."""
    import torch

    from mcodec.torch import ondevice

    found: list[Any] = []
    dtype = getattr(torch, blocks.run.dtype)
    for block in range(len(blocks.blocks)):
        try:
            made = ondevice.decode_block(blocks, 0, block, dtype, torch.device(device))
            assert made.device.type == device
            assert made.dtype == dtype
            found.append(torch_models.raw(made))
        except FormatError as error:
            found.append(error.code)
    return found


class Source:
    """Draws streams: any bytes, right in length; now and then wrong in what they say."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
        self.spoilt = data.draw(st.sampled_from((0.0, 0.0, 0.3)))
        self.shared = False  # whether exponents are those of scopes

    def head(self, codec: Any, run: RunSpec) -> Any:
        self.shared = codec.codec_id == "bfp"
        return codec.decode_head(run, [self.stream(spec, run) for spec in codec.head_streams(run)])

    def stream(self, spec: Any, run: RunSpec, n: int = 0) -> memoryview | Fill:
        if self.shared and spec.name == "exponent":
            return memoryview(self.exponents(run.dtype, spec.length // 2))
        if spec.name == "scale":
            low, high = self.data.draw(st.sampled_from(((1, 254), (1, 3), (250, 254), (110, 130))))
            fields = self.rng.integers(low, high, spec.length // 4, np.uint32, endpoint=True)
            mantissas = self.rng.integers(0, 1 << 23, spec.length // 4, np.uint32)
            return memoryview((fields << np.uint32(23) | mantissas).tobytes())
        kind = self.data.draw(st.sampled_from(("any", "any", "few", "zero", "ones")))
        if kind in ("zero", "ones") and self.data.draw(st.booleans()):
            return Fill(255 if kind == "ones" and n % 8 == 0 else 0, spec.length)
        high = {"any": 256, "few": 4, "zero": 1, "ones": 256}[kind]
        values = self.rng.integers(0, high, spec.length, np.uint8)
        if kind == "ones":
            values[:] = 255
        plane = spec.length == -(-n // 8)
        if plane and n % 8 and self.rng.random() >= self.spoilt:
            values[-1] &= (1 << n % 8) - 1
        return memoryview(values.tobytes())

    def exponents(self, dtype: str, count: int) -> bytes:
        low, high = RANGES[dtype]
        kind = self.data.draw(st.sampled_from(("any", "small", "large", "plain")))
        low, high = {
            "any": (low, high),
            "small": (low, low + 30),
            "large": (high - 3, high),
            "plain": (-8, 3),
        }[kind]
        found = self.rng.integers(low, high, count, np.int16, endpoint=True)
        found[self.rng.random(count) < 0.2] = ZERO_SCOPE
        return bytes(found.astype("<i2").tobytes())

    def blocks(self, codec: Any, run: RunSpec) -> Streams | None:
        """Draw a run's head and blocks, each of any mode that the codec has."""
        try:
            codec.check(run)
        except CodecConfigError:
            return None
        head, blocks = self.head(codec, run), []
        for block in range(run.blocks):
            modes = [m for m in range(16) if codec.block_streams(run, block, m) is not None]
            mode = self.data.draw(st.sampled_from(modes))
            start, stop = run.span(block)
            specs = codec.block_streams(run, block, mode)
            blocks.append((mode, [self.stream(spec, run, stop - start) for spec in specs]))
        return Streams(codec, run, head, blocks)
