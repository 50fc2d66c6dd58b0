"""`mcodec.torch.load_file`: every dtype and bit, ties, names, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import FormatError, InputOutputError, McodecError, UnknownTaskError, UsageError
from mcodec.types import ITEMSIZE
from support import cases, torch_models

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

Arrays = dict[str, "NDArray[Any]"]


def pack(path: Path, *models: Arrays, **options: Any) -> Path:
    """Pack models as tasks A, B, …"""
    mcodec.pack(dict(zip("ABC", models, strict=False)), path, jobs=1, **options)
    return path


def every_dtype() -> Arrays:
    return {name: cases.noise(name, (5, 7), seed) for seed, name in enumerate(ITEMSIZE)}


def test_it_is_an_attribute_of_the_package() -> None:
    assert mcodec.torch.load_file is not None


def test_without_pytorch() -> None:
    code = """
import sys
sys.modules["torch"] = None
import mcodec
try:
    mcodec.torch
except mcodec.errors.MissingDependencyError as error:
    assert isinstance(error, ImportError)
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "mcodec.torch needs PyTorch: pip install mcodec[torch]\n"


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_dtype_and_every_bit(tmp_path: Path, jobs: int) -> None:
    model = every_dtype() | {f"large {name}": cases.noise(name, (131, 127)) for name in ITEMSIZE}
    path = pack(tmp_path / "x.mc", model)
    found = mcodec.torch.load_file(path, jobs=jobs)
    assert list(found) == list(model)
    for name, array in model.items():
        assert torch_models.same(found[name], array), name


@pytest.mark.parametrize(
    "shape", [*cases.SHAPES, (1 << 18,), ((1 << 18) + 3,), (600, 900)], ids=str
)
def test_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    model = {"w": cases.noise("float32", shape), "b": cases.noise("bfloat16", shape, 2)}
    found = mcodec.torch.load_file(pack(tmp_path / "x.mc", model))
    assert all(torch_models.same(found[name], array) for name, array in model.items())


@pytest.mark.parametrize("codec", ["bfp(bits=9)", "bfp(bits=6,signs=compact)", "int8", "raw"])
def test_it_is_what_the_task_gives(tmp_path: Path, codec: str) -> None:
    path = pack(tmp_path / "x.mc", cases.network(1), cases.network(2), codec=codec)
    with mcodec.open(path) as file:
        for name in file.tasks:
            task = file.task(name)
            found = mcodec.torch.load_file(path, name)
            assert all(torch_models.same(found[key], task[key]) for key in task)


def test_tensors_own_their_memory(tmp_path: Path) -> None:
    same = cases.weights("float32", (150, 120))
    found = mcodec.torch.load_file(pack(tmp_path / "x.mc", {"a": same, "b": same.copy()}))
    assert found["a"].data_ptr() != found["b"].data_ptr()
    found["a"].zero_()
    assert torch_models.same(found["b"], same)
    assert found["b"].is_contiguous()
    assert found["b"].untyped_storage().nbytes() == same.nbytes


def test_what_was_tied_is_one_tensor(tmp_path: Path) -> None:
    tied, other = torch.randn(40, 30), torch.randn(40, 30)
    state = {"emb": tied, "lin": other, "head": tied, "again": tied}
    torch.save(state, tmp_path / "m.pt")
    mcodec.pack(tmp_path / "m.pt", tmp_path / "x.mc", jobs=1)
    found = mcodec.torch.load_file(tmp_path / "x.mc")
    assert found["emb"] is found["head"] is found["again"]
    assert found["emb"] is not found["lin"]
    assert torch.equal(found["emb"], tied)
    # Those of the tied tensors that are left are still one.
    found = mcodec.torch.load_file(tmp_path / "x.mc", rename={"emb": "x"}, prefix="")
    assert found["x"] is found["head"]
    wanted = mcodec.torch.load_file(tmp_path / "x.mc", rename=lambda n: None if n == "emb" else n)
    assert wanted["head"] is wanted["again"]
    assert torch.equal(wanted["head"], tied)


def test_prefix_and_rename(tmp_path: Path) -> None:
    model = {
        f"{part}.{name}": np.full(3, n, np.float32)
        for n, (part, name) in enumerate([("enc", "w"), ("enc", "b"), ("dec", "w")])
    }
    path = pack(tmp_path / "x.mc", model)
    load = mcodec.torch.load_file
    assert list(load(path, prefix="enc.")) == ["w", "b"]
    assert list(load(path, prefix="nothing")) == []
    assert list(load(path, prefix="enc.", rename={"w": "weight"})) == ["weight", "b"]
    assert list(load(path, rename=str.upper)) == ["ENC.W", "ENC.B", "DEC.W"]
    assert list(load(path, rename=lambda name: name if "w" in name else None)) == ["enc.w", "dec.w"]
    with pytest.raises(UsageError, match=r"'enc.w' and 'dec.w' would both become 'w'"):
        load(path, rename=lambda name: name[-1] if name.endswith("w") else name)


def test_opaque_elements_are_refused_by_name(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.mc", {"fine": np.ones(3), "odd one": cases.noise("V3", (4,))})
    with pytest.raises(UsageError, match=r"'odd one'.*V3"):
        mcodec.torch.load_file(path)
    assert list(mcodec.torch.load_file(path, rename={"fine": "f"}, prefix="fin")) == ["e"]


def test_an_open_task(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.mc", cases.network(1), bits=12)
    with mcodec.open(path) as file:
        task = file.task("A", planes=5)
        found = mcodec.torch.load_file(task)
        assert all(torch_models.same(found[name], task[name]) for name in task)
        assert not torch.equal(found["body/kernel"], mcodec.torch.load_file(path)["body/kernel"])
        for wrong in ({"task": "A"}, {"jobs": 1}):
            with pytest.raises(UsageError, match="an open task"):
                mcodec.torch.load_file(task, **wrong)
        assert task["head/bias"].shape == (10,)  # it is left open
    with mcodec.open(path, "A") as task:
        assert list(mcodec.torch.load_file(task)) == list(task)


def test_a_url(tmp_path: Path) -> None:
    import fsspec

    data = pack(tmp_path / "x.mc", cases.network(1), cases.network(2)).read_bytes()
    files = fsspec.filesystem("memory")
    files.pipe("/torch_load.mc", data)
    try:
        found = mcodec.torch.load_file("memory://torch_load.mc", "B")
        cases.assert_same_model({k: v.numpy() for k, v in found.items()}, cases.network(2))
    finally:
        files.rm("/torch_load.mc")


def test_a_device_without_memory(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.mc", every_dtype())
    for name, tensor in mcodec.torch.load_file(path, device="meta").items():
        assert tensor.is_meta
        assert str(tensor.dtype) == f"torch.{name}"


def test_errors(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.mc", cases.network(1), cases.network(2))
    with pytest.raises(UnknownTaskError):
        mcodec.torch.load_file(path, "C")
    with pytest.raises(UsageError, match="several tasks"):
        mcodec.torch.load_file(path)
    with pytest.raises(InputOutputError):
        mcodec.torch.load_file(tmp_path / "nothing.mc")
    with pytest.raises(UsageError, match="verify"):
        mcodec.torch.load_file(path, "A", verify="no")
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    errors = []
    for name in "AB":
        try:
            mcodec.torch.load_file(path, name)
        except McodecError as error:
            errors.append(error)
    assert len(errors) == 1
    assert isinstance(errors[0], FormatError)
    assert "tensor '" in str(errors[0])
