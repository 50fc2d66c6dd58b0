"""PyTorch checkpoints: what torch wrote is read, and what is written torch loads as the same."""

from __future__ import annotations

import math
import struct
import sys
import zipfile
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mcodec.api.pack import pack
from mcodec.api.unpack import unpack
from mcodec.errors import FormatError, MissingDependencyError, UsageError
from mcodec.formats.registry import create_sink, open_source
from mcodec.formats.torch import facts_torch, inner_torch
from mcodec.types import ITEMSIZE, TensorSpec
from support.models import arrays, copy_model

torch = pytest.importorskip("torch")

if TYPE_CHECKING:
    from pathlib import Path

NAN = struct.unpack(">d", bytes.fromhex("7ff800000000abcd"))[0]


def raw(tensor: Any) -> bytes:
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    data: bytes = plain.reshape(-1).view(torch.uint8).numpy().tobytes()
    return data


def same(one: Any, two: Any) -> None:
    """Compare two trees in every type, flag and bit."""
    assert type(one) is type(two)
    if isinstance(one, torch.Tensor):
        assert (one.dtype, one.shape, one.layout) == (two.dtype, two.shape, two.layout)
        assert one.requires_grad == two.requires_grad
        if one.layout is torch.strided:
            assert raw(one) == raw(two)
        else:
            same(one.detach().to_dense(), two.detach().to_dense())
    elif isinstance(one, dict):
        assert [(type(k), k) for k in one] == [(type(k), k) for k in two]
        for key in one:
            same(one[key], two[key])
        if type(one) is not dict:
            same(vars(one), vars(two))
    elif isinstance(one, list | tuple):
        assert len(one) == len(two)
        for pair in zip(one, two, strict=True):
            same(*pair)
    elif isinstance(one, float | complex):
        bits = [struct.pack(">dd", x.real, x.imag) for x in (one, two)]
        assert bits[0] == bits[1]
    else:
        assert one == two


def copied(tmp_path: Path, value: Any, **options: Any) -> Any:
    """Send an object through a file, source and sink, and have torch load what comes of it."""
    torch.save(value, tmp_path / "a.pt", **options)
    copy_model(tmp_path / "a.pt", tmp_path / "b.pt", step=3)
    with zipfile.ZipFile(tmp_path / "b.pt") as archive:
        assert archive.testzip() is None
    return torch.load(tmp_path / "b.pt", weights_only=True)


def every_dtype() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    found = {}
    for name, size in ITEMSIZE.items():
        data = rng.integers(0, 2 if name == "bool" else 256, 6 * size, dtype=np.uint8)
        found[name] = torch.from_numpy(data).view(getattr(torch, name)).reshape(2, 3)
    return found


def test_every_dtype_bit_for_bit(tmp_path: Path) -> None:
    value = every_dtype()
    same(copied(tmp_path, value), value)
    found = arrays(tmp_path / "a.pt")
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: raw(tensor) for name, tensor in value.items()
    }


def test_every_kind_of_value(tmp_path: Path) -> None:
    state: Any = OrderedDict(w=torch.ones(2), b=torch.tensor(-0.0))
    state._metadata = OrderedDict([("", {"version": 1}), ("bn", {"version": 2})])
    value = {
        "state": state,
        3: [1, -(1 << 63), 1 << 63, -(1 << 2000), True, None, math.inf, -0.0, NAN, 0.1],
        None: ("", "ä\ud800", b"", b"\x00\xff"[1:], 1 - 2j, complex(NAN, -0.0)),
        (1, ("a", 2.5)): {"set": {1, "x"}, "size": torch.Size([2, 0])},
        True: [torch.float32, torch.uint16, torch.device("cpu"), torch.device("cuda", 1)],
        2.5: [torch.strided, torch.sparse_coo, Counter("aab"), [], (), {}, [[]]],
        "buffer": bytearray(b"\x01\x80"),
        "empty": torch.zeros(0, 3),
    }
    value[None] = tuple(v for v in value[None] if v != b"")  # weights_only does not take b""
    same(copied(tmp_path, value), value)
    first = (tmp_path / "b.pt").read_bytes()
    copy_model(tmp_path / "b.pt", tmp_path / "c.pt")
    assert (tmp_path / "c.pt").read_bytes() == first


def test_parameters_ties_and_views(tmp_path: Path) -> None:
    base = torch.arange(1000.0)
    weight = torch.nn.Parameter(torch.randn(3, 4))
    value = {
        "w": weight,
        "tied": weight,
        "frozen": torch.nn.Parameter(torch.ones(2), requires_grad=False),
        "gradient": torch.ones(2, requires_grad=True),
        "slice": base[5:8],
        "turned": base[:24].reshape(2, 3, 4).permute(2, 0, 1),
        "steps": base[::7][3:],
        "spread": torch.ones(1).expand(50),
        "scalar": base[3],
    }
    found = copied(tmp_path, value)
    same(found, value)
    assert found["w"].data_ptr() == found["tied"].data_ptr()
    assert (tmp_path / "b.pt").stat().st_size < 6000
    source = open_source(tmp_path / "a.pt")
    assert source.same_as == {1: 0}
    source.close()


def test_marks_of_conj_and_imag_are_resolved(tmp_path: Path) -> None:
    whole = torch.tensor([complex(1, NAN), complex(-0.0, 2), complex(3, -0.0)])
    value = {
        "conj": whole.conj(),
        "imag": whole.clone().conj().imag,
        "both": torch.view_as_complex(torch.randn(2, 3, 2)).mH,
        "half": whole.to(torch.complex128).conj(),
    }
    same(copied(tmp_path, value), {k: v.resolve_conj().resolve_neg() for k, v in value.items()})


@pytest.mark.filterwarnings("ignore")
def test_sparse_and_opaque_tensors(tmp_path: Path) -> None:
    dense = torch.tensor([[0.0, 1, 0, 0], [2, 0, 0, 3]])
    value = {
        "coo": dense.to_sparse(),
        "csr": dense.to_sparse_csr(),
        "csc": dense.to_sparse_csc(),
        "bsr": dense.to_sparse_bsr((1, 2)),
        "parameter": torch.nn.Parameter(dense.to_sparse()),
        "half": torch.zeros(2, dtype=torch.complex32),
    }
    found = copied(tmp_path, value)
    assert list(arrays(tmp_path / "a.pt"))[:2] == ["coo.indices", "coo.values"]
    assert found.pop("half").dtype is value.pop("half").dtype
    same(found, value)


def test_legacy_and_big_endian_files(tmp_path: Path) -> None:
    value = {"a": torch.randn(5), "b": [torch.arange(3), "x"], "c": torch.zeros(0)}
    same(copied(tmp_path, value, _use_new_zipfile_serialization=False), value)
    value.update(c=torch.tensor([1 + 2j]), d=torch.ones(2, dtype=torch.bfloat16))
    torch.save(value, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "big.pt", "w") as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            place = name.partition("/data/")[2]
            if place:
                width = {"0": 4, "1": 8, "2": 4, "3": 2}[place]
                data = np.frombuffer(data, f"V{width}").view(f"u{width}").byteswap().tobytes()
            new.writestr(name, b"big" if name.endswith("byteorder") else data)
    found = arrays(tmp_path / "big.pt")
    assert found["a"].tobytes() == raw(value["a"])
    assert found["c"].tobytes() == raw(value["c"])
    torch.save({"w": torch.ones(2, dtype=torch.uint16)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as old, zipfile.ZipFile(tmp_path / "c.pt", "w") as new:
        for name in old.namelist():
            new.writestr(name, b"big" if name.endswith("byteorder") else old.read(name))
    with pytest.raises(FormatError, match="big-endian"):
        open_source(tmp_path / "c.pt")


def test_names_of_nested_tensors_are_distinct(tmp_path: Path) -> None:
    one = torch.ones(1)
    value = {"a.b": one + 1, "a": {"b": one + 2, 0: one + 3, "0": one + 4}, "\ud800": one}
    torch.save(value, tmp_path / "a.pt")
    assert {k: v.item() for k, v in arrays(tmp_path / "a.pt").items()} == {
        "a.b": 2,
        "a.b#2": 3,
        "a.0": 4,
        "a.0#2": 5,
        "\\ud800": 1,
    }
    same(copied(tmp_path, value), value)


def test_a_key_takes_a_part(tmp_path: Path) -> None:
    model = {"w": torch.ones(2), "x.y": {"z": torch.zeros(1)}}
    torch.save({"model": {"v1.0": model}, "list": [model], "n": 5}, tmp_path / "a.pt")
    for key, names in {
        "model.v1.0": ["w", "x.y.z"],
        "model.v1.0.x.y": ["z"],
        "list.0.x.y.z": [""],
        "n": [],
    }.items():
        source = open_source(tmp_path / "a.pt", key)
        assert [spec.name for spec in source.tensors] == names
        assert source.notes
        source.close()
    with pytest.raises(UsageError, match=r"no 'v2' in .*'model'; it has 'v1.0'"):
        open_source(tmp_path / "a.pt", "model.v2")


def write(path: Path, values: dict[str, Any], dtypes: dict[str, str], skeleton: bytes) -> Any:
    specs = [TensorSpec(name, dtypes[name], v.shape) for name, v in values.items()]
    sink = create_sink(path, "torch", specs, skeleton, {"a": "b"})
    for index, value in enumerate(values.values()):
        sink.write(index, 0, memoryview(value.tobytes()))
    sink.close()
    return sink


def test_other_skeletons_and_dtypes_are_carried(tmp_path: Path) -> None:
    foreign = b'{"format":"other","version":1}'
    values = {"w": np.array([b"abc", b"def"], "V3"), "v": np.float32(NAN), "": np.zeros(0)}
    dtypes = {"w": "V3", "v": "float32", "": "float64"}
    sink = write(tmp_path / "a.pt", values, dtypes, foreign)
    assert len(sink.notes) == 1
    loaded = torch.load(tmp_path / "a.pt", weights_only=True)
    assert list(loaded) == ["w", "v", ""]
    assert loaded["w"].shape == (2, 3)
    copy_model(tmp_path / "a.pt", tmp_path / "b.pt", step=1)
    assert (tmp_path / "b.pt").read_bytes() == (tmp_path / "a.pt").read_bytes()
    source = open_source(tmp_path / "b.pt")
    assert {spec.name: spec.dtype for spec in source.tensors} == dtypes
    assert inner_torch(source.skeleton()) == foreign
    assert source.read(0, 1, 2).tobytes() == b"def"
    source.close()


def test_a_task_comes_back_and_goes_to_other_formats(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.randn(50, 20))
    value = {"model": OrderedDict(a=weight, b=weight), "step": 7, "args": {"lr": 0.1}}
    torch.save(value, tmp_path / "a.pt")
    pack(tmp_path / "a.pt", tmp_path / "a.mc")
    unpack(tmp_path / "a.mc", out=tmp_path / "b.pt")
    found = torch.load(tmp_path / "b.pt", weights_only=True)
    same(found, value)
    assert found["model"]["a"].data_ptr() == found["model"]["b"].data_ptr()
    for name in ("c.safetensors", "c.npz"):
        unpack(tmp_path / "a.mc", out=tmp_path / name)
        assert arrays(tmp_path / name)["model.b"].tobytes() == raw(weight)


def test_facts_are_what_is_no_tensor(tmp_path: Path) -> None:
    value = {"epoch": 3, "w": torch.ones(1), "args": ["x", math.nan, {}], "long": "y" * 999}
    torch.save(value, tmp_path / "a.pt")
    source = open_source(tmp_path / "a.pt")
    facts = facts_torch(source.skeleton())
    source.close()
    assert facts.pop("long").startswith("'yyyy")
    assert facts == {
        "epoch": "3",
        "args.0": "'x'",
        "args.1": "float nan",
        "args.2": "empty dict",
    }


def test_torch_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"w": torch.ones(1)}, tmp_path / "a.pt")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mcodec\[torch\]'"):
        open_source(tmp_path / "a.pt")
