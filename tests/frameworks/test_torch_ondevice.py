"""Planes put together by PyTorch's operations give the bits of the kernels, or the same errors.

On the CPU always; on a GPU where there is one.
"""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.codec.exponents import RANGES, ZERO_SCOPE
from mcodec.codec.float import FloatCodec
from mcodec.codec.registry import from_config
from mcodec.errors import CodecConfigError, FormatError
from mcodec.types import FLOATS, Fill, RunSpec, numpy_dtype
from support import cases, strategies, torch_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SCOPES = ("tensor", "axis:0", "axis:-1", "block:8", "block:64")


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


def agree(blocks: Streams) -> None:
    wanted = kernels(blocks)
    for device in DEVICES:
        assert operations(blocks, device) == wanted


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


@st.composite
def runs(draw: st.DrawFn, dtype: str) -> RunSpec:
    members = draw(st.lists(strategies.shapes(least_dims=1), min_size=1, max_size=4))
    return RunSpec.of(dtype, members)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(("float", "bfp", "bfp", "step", "int8", "raw")))
    if kind == "float":
        keep = draw(st.none() | st.integers(1, 64))
        return {"id": "float"} | ({} if keep is None else {"keep": keep})
    if kind == "int8":
        return {"id": "int8", "scope": draw(st.sampled_from(SCOPES[:3]))}
    if kind == "raw":
        return {"id": "raw"}
    bits = draw(st.integers(1, 24))
    config: dict[str, Any] = {"id": "bfp", "bits": bits}
    if kind == "step":
        field = draw(st.sampled_from((1, 2, 60, 120, 127, 140, 240, 254)))
        pattern = np.uint32(field << 23 | draw(st.integers(0, (1 << 23) - 1)))
        config["step"] = float(pattern.view(np.float32))
    else:
        config["scope"] = draw(st.sampled_from(SCOPES))
    if bits < 24 and draw(st.booleans()):
        config["reconstruct"] = "mid"
    return config


@given(dtype=strategies.float_dtypes, config=configs(), data=st.data())
def test_any_streams(dtype: str, config: dict[str, Any], data: st.DataObject) -> None:
    codec = from_config(config)
    run = data.draw(runs(dtype))
    found = Source(data).blocks(codec, run)
    if found is not None:
        agree(found)


MODES = [
    (dtype, mode)
    for dtype in FLOATS
    for mode in range(16)
    if FloatCodec().block_streams(RunSpec.of(dtype, [(8,)]), 0, mode) is not None
]


@pytest.mark.parametrize(("dtype", "mode"), MODES)
def test_every_symbol(dtype: str, mode: int) -> None:
    run = RunSpec.of(dtype, [(256, 3)])
    specs = FloatCodec().block_streams(run, 0, mode)
    assert specs is not None
    rng = np.random.default_rng(mode)
    streams: list[Any] = [memoryview(rng.bytes(spec.length)) for spec in specs]
    if mode:
        streams[1] = memoryview(np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes())
    agree(Streams(FloatCodec(), run, None, [(mode, streams)]))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "codec", ["float", "bfp(bits=12)", "bfp(bits=9,scope=axis:-1)", "bfp(bits=4,step=0.5)", "int8"]
)
@pytest.mark.parametrize("size", [(1 << 18) + 5, 1 << 18])
def test_several_blocks(tmp_path: Path, dtype: str, codec: str, size: int) -> None:
    values = cases.weights(dtype, (size, 1) if "axis" not in codec else (size // 7, 7))
    check(tmp_path, {"w": values}, codec)


def check(tmp_path: Path, model: dict[str, Any], codec: str | None, on: str = "") -> int:
    """Pack, and compare `decode_into` with the arrays of the task."""
    from mcodec.torch.ondevice import decode_into

    path = tmp_path / "x.mc"
    mcodec.pack({"A": model}, path, codec=codec, jobs=1)
    with mcodec.open(path, jobs=1) as file:
        task = file.task()
        for device in DEVICES:
            made = {
                name: torch.empty(
                    task.spec(name).shape, dtype=getattr(torch, task.spec(name).dtype)
                )
                for name in task
            }
            sent = {name: tensor.to(device) for name, tensor in made.items()}
            decode_into(task, list(sent.items()))
            assert all(torch_models.same(tensor, task[name]) for name, tensor in sent.items())
    return len(model)


@pytest.mark.parametrize("dtype", [*cases.DTYPES[:20]])
def test_every_dtype(tmp_path: Path, dtype: str) -> None:
    shapes: Iterator[tuple[int, ...]] = iter([*cases.SHAPES, (20, 30), (150, 120)])
    model = {str(shape): cases.noise(dtype, shape, i) for i, shape in enumerate(shapes)}
    check(tmp_path, model, None)
    check(tmp_path, model, "raw")


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_exponent(tmp_path: Path, dtype: str) -> None:
    check(tmp_path, {"w": cases.exponents(dtype)}, "float")
    check(tmp_path, {"w": np.tile(cases.exponents(dtype), 40)}, None)


def test_tensors_of_any_memory_and_dtype(tmp_path: Path) -> None:
    from mcodec.torch.ondevice import decode_into

    path = tmp_path / "x.mc"
    mcodec.pack({"A": {"w": cases.weights("float32", (6, 5))}}, path, bits=9, jobs=1)
    with mcodec.open(path, jobs=1) as file:
        task = file.task()
        wanted = torch.from_numpy(task["w"])
        for device in DEVICES:
            for made in (
                torch.zeros(5, 6).t(),
                torch.zeros(6, 5, dtype=torch.bfloat16),
                torch.zeros(6, 5, dtype=torch.float64).requires_grad_(),
                torch.zeros(12, 10)[::2, ::2],
            ):
                there = made.to(device)
                decode_into(task, [("w", there)])
                assert torch.equal(there.detach().cpu(), wanted.to(made.dtype))


def test_what_needs_the_cpu(tmp_path: Path) -> None:
    # csr, masks, deltas, compact signs, derived views, float64 and bool come by another way.
    from mcodec.torch.ondevice import decode_into

    one, two = cases.network(1), cases.network(2)
    two["tall/kernel"] = (one["tall/kernel"] * np.float32(1.001)).astype(np.float32)
    two["body/kernel"] = np.where(two["body/kernel"] > 0.05, two["body/kernel"], np.float32(0))
    one["flag"] = two["flag"] = np.array([True, False])
    path = tmp_path / "x.mc"
    mcodec.pack({"A": one, "B": two}, path, optimize="file", jobs=1)
    with mcodec.open(path, jobs=1) as file:
        for planes, midpoint in ((None, None), (3, None), (5, True)):
            task = file.task("B", planes=planes, midpoint=midpoint)
            made = {
                n: torch.empty(task.spec(n).shape, dtype=getattr(torch, task.spec(n).dtype))
                for n in task
            }
            decode_into(task, list(made.items()))
            assert all(torch_models.same(tensor, task[name]) for name, tensor in made.items())


def test_damage_names_the_tensor(tmp_path: Path) -> None:
    from mcodec.torch.ondevice import decode_into

    path = tmp_path / "x.mc"
    mcodec.pack({"A": {"w": cases.weights("float32", (200, 200))}}, path, bits=9, jobs=1)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with mcodec.open(path) as file:
        task = file.task()
        with pytest.raises(FormatError, match="tensor 'w'") as caught:
            decode_into(task, [("w", torch.empty(200, 200))])
        assert caught.value.code == "chunk_checksum"


def test_a_shared_run_is_decoded_once(tmp_path: Path) -> None:
    from mcodec.torch import ondevice

    path = tmp_path / "x.mc"
    model = {f"w{n}": cases.weights("float32", (30, 10), n) for n in range(20)}
    mcodec.pack({"A": model}, path, codec="csr(values=float)", force=True, jobs=1)
    with mcodec.open(path, jobs=1) as file:
        task = file.task()
        read = ondevice._Read(task)
        counted: list[int] = []
        whole = read.block
        read.block = lambda run, block, out: (counted.append(block), whole(run, block, out))[1]  # type: ignore[method-assign,func-returns-value]
        made = {name: torch.empty(30, 10) for name in model}
        ondevice.decode_into(task, list(made.items())[::-1], read)
        assert len(counted) == 1
        assert all(torch_models.same(made[name], model[name]) for name in model)
