"""Planes put together by PyTorch's operations give the bits of the kernels, or the same errors.

On the CPU always; on a GPU where there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.codec.float import FloatCodec
from mcodec.codec.registry import from_config
from mcodec.errors import FormatError
from mcodec.types import FLOATS, RunSpec
from support import cases, strategies, torch_models
from support.torch_streams import Source, Streams, kernels, operations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SCOPES = ("tensor", "axis:0", "axis:-1", "block:8", "block:64")


def agree(blocks: Streams) -> None:
    wanted = kernels(blocks)
    for device in DEVICES:
        assert operations(blocks, device) == wanted


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
