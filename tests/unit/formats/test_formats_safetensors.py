"""safetensors: the library reads what is written, its own files come back byte for byte."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError, McodecError, UsageError
from mcodec.formats.registry import create_sink, open_source
from mcodec.formats.safetensors_dtypes import DTYPES, SUB_BYTE
from mcodec.formats.safetensors_header import parse_header
from mcodec.formats.safetensors_layout import build_header
from mcodec.limits import MAX_SOURCE_HEADER
from mcodec.types import TensorSpec
from support.cases import noise
from support.models import arrays, copy_model
from support.strategies import names as any_names
from support.strategies import shapes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

PLAIN = ("bool", "int8", "uint8", "int16", "uint16", "float16", "float32", "float64", "int64")
names = any_names.filter("__metadata__".__ne__)


def models(dtypes: tuple[str, ...]) -> st.SearchStrategy[dict[str, NDArray[Any]]]:
    """Draw models of a few small tensors."""
    tensors = st.builds(noise, st.sampled_from(dtypes), shapes(most=60))
    return st.dictionaries(names, tensors, max_size=6)


def specs_of(model: Mapping[str, NDArray[Any]]) -> list[TensorSpec]:
    return [TensorSpec(name, a.dtype.name, a.shape) for name, a in model.items()]


def write(path: Path, model: Mapping[str, NDArray[Any]], **options: Any) -> None:
    """Write a model through the sink."""
    sink = create_sink(path, "safetensors", specs_of(model), **options)
    for index, array in enumerate(model.values()):
        sink.write(index, 0, memoryview(array.tobytes()))
    sink.close()


def deserialize(data: bytes) -> dict[str, Any]:
    """Let the library read a file: names to dtype, shape and data."""
    read: Any = safetensors.deserialize  # it has no types
    return dict(read(data))


def raw(header: object, data: bytes = b"") -> bytes:
    """Make the bytes of a file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@given(model=models(PLAIN))
def test_layout_is_the_librarys(model: dict[str, NDArray[Any]]) -> None:
    theirs = safetensors.numpy.save(model)
    ours = build_header(specs_of(model), {})
    assert theirs[8 : 8 + len(ours)] == ours
    assert int.from_bytes(theirs[:8], "little") == len(ours)


@given(model=models(tuple(DTYPES.values())), metadata=st.dictionaries(names, names, max_size=3))
def test_library_reads_what_is_written(
    tmp_path: Path, model: dict[str, NDArray[Any]], metadata: dict[str, str]
) -> None:
    path = tmp_path / "model.safetensors"
    write(path, model, metadata=metadata)
    read = deserialize(path.read_bytes())
    assert read.keys() == model.keys()
    for name, array in model.items():
        assert DTYPES[read[name]["dtype"]] == array.dtype.name
        assert tuple(read[name]["shape"]) == array.shape
        assert bytes(read[name]["data"]) == array.tobytes()
    source = open_source(path)
    assert source.metadata == metadata
    source.close()
    assert {name: a.tobytes() for name, a in arrays(path).items()} == {
        name: a.tobytes() for name, a in model.items()
    }


@given(model=models(PLAIN), pad=st.integers(0, 9))
def test_bytes_come_back(tmp_path: Path, model: dict[str, NDArray[Any]], pad: int) -> None:
    """Also from a file whose header is in no canonical order, and padded oddly."""
    library = safetensors.numpy.save(model, {"format": "pt"})
    length = int.from_bytes(library[:8], "little")
    entries = json.loads(library[8 : 8 + length])
    header = json.dumps(dict(reversed(entries.items())), indent=1).encode() + b" " * pad
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw(header, library[8 + length :]))
    copy_model(path, tmp_path / "out", step=7)
    assert (tmp_path / "out").read_bytes() == path.read_bytes()


def test_order_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    header = {
        "late": {"dtype": "U8", "shape": [1], "data_offsets": [2, 3]},
        "empty": {"dtype": "U8", "shape": [0], "data_offsets": [2, 2]},
        "early": {"dtype": "I16", "shape": [1], "data_offsets": [0, 2]},
    }
    path.write_bytes(raw(header, b"abc"))
    source = open_source(path)
    assert [spec.name for spec in source.tensors] == ["early", "empty", "late"]
    assert source.read(2, 0, 1).tobytes() == b"c"
    source.close()


def test_changed_tensors_get_a_layout_of_their_own(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(safetensors.numpy.save({"w": np.zeros(3, "f4")}, {"format": "pt"}))
    source = open_source(old)
    write(new, {"v": np.ones(2, "f8")}, skeleton=source.skeleton())
    source.close()
    assert new.read_bytes() == safetensors.numpy.save({"v": np.ones(2, "f8")}, {"format": "pt"})
    write(new, {"w": np.zeros(3, "f4")}, skeleton=source.skeleton(), metadata={"a": "b"})
    assert new.read_bytes() == safetensors.numpy.save({"w": np.zeros(3, "f4")}, {"a": "b"})


def test_every_dtype_of_the_library_is_known() -> None:
    with pytest.raises(safetensors.SafetensorError, match="unknown variant") as caught:
        deserialize(raw({"w": {"dtype": "none", "shape": [], "data_offsets": [0, 1]}}))
    tags = re.findall("`([A-Z][A-Z0-9_]+)`", str(caught.value))
    assert {*DTYPES, *SUB_BYTE} == set(tags)
    assert [tag for tag in tags if tag in DTYPES][:3] == ["BOOL", "U8", "I8"]


@pytest.mark.parametrize(
    "spec",
    [
        TensorSpec("__metadata__", "int8", ()),
        TensorSpec("n" * 5000, "int8", ()),
        TensorSpec("\ud800", "int8", ()),
        TensorSpec("w", "int8", (1,) * 65),
        TensorSpec("w", "complex128", (1,) * 64),
    ],
)
def test_names_and_shapes_that_safetensors_lacks(tmp_path: Path, spec: TensorSpec) -> None:
    with pytest.raises(UsageError):
        create_sink(tmp_path / "x", "safetensors", [spec])
    with pytest.raises(UsageError):
        create_sink(tmp_path / "x", "safetensors", [], metadata={"a": "\ud800"})
    twice = [TensorSpec("w", "int8", ()), TensorSpec("w", "int8", ())]
    with pytest.raises(UsageError, match="name"):
        create_sink(tmp_path / "x", "safetensors", twice)
    assert not (tmp_path / "x").exists()


BAD = {
    "tag": {"dtype": "F31", "shape": [4], "data_offsets": [0, 4]},
    "list": [1],
    "shape": {"dtype": "U8", "shape": 4, "data_offsets": [0, 4]},
    "true": {"dtype": "U8", "shape": [True], "data_offsets": [0, 1]},
    "float": {"dtype": "U8", "shape": [4.0], "data_offsets": [0, 4]},
    "minus zero": {"dtype": "U8", "shape": [4], "data_offsets": [-0.0, 4]},
    "size": {"dtype": "U16", "shape": [4], "data_offsets": [0, 4]},
    "gap": {"dtype": "U8", "shape": [3], "data_offsets": [1, 4]},
    "huge": {"dtype": "U8", "shape": [2**40, 2**40], "data_offsets": [0, 4]},
    "axes": {"dtype": "U8", "shape": [1] * 65, "data_offsets": [0, 1]},
    "extra": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4], "x": 1},
    "number": {"dtype": 3, "shape": [4], "data_offsets": [0, 4]},
    "half a byte": {"dtype": "F4", "shape": [3], "data_offsets": [0, 1]},
    "three quarters": {"dtype": "F6_E2M3", "shape": [5], "data_offsets": [0, 3]},
    "one value": {"dtype": "F4", "shape": [], "data_offsets": [0, 0]},
    "four": {"dtype": "F4", "shape": [8], "data_offsets": [0, 8]},
}


@pytest.mark.parametrize("entry", BAD.values(), ids=BAD)
def test_bad_entries(entry: object) -> None:
    with pytest.raises(FormatError):
        parse_header(json.dumps({"w": entry}).encode())


@pytest.mark.parametrize(
    "header",
    [
        b' {"a":1}',
        b"[]",
        b'{"__metadata__":{"a":1}}',
        b'{"__metadata__":null}',
        b'{"a":-0}',
        b'{"a":NaN}',
        b'{"a":1e5}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 100_000,
        b'{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
        b'{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
        b'{"\xff":1}',
        b'{"' + b"n" * 5000 + b'":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
        b"{}x",
    ],
)
def test_bad_headers(header: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        parse_header(header)
    assert str(caught.value).isprintable()


@given(text=st.text(st.sampled_from('{}[]":,0123456789-.eE \n"dtypeshaU8_'), max_size=60))
def test_any_header_is_read_or_refused(text: str) -> None:
    try:
        parse_header(text.encode())
    except FormatError:
        return
    deserialize(raw(text.encode()))  # what is taken, the library takes too


def test_declared_length_is_checked_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes((MAX_SOURCE_HEADER + 1).to_bytes(8, "little") + b"{}")
    with pytest.raises(FormatError) as caught:
        open_source(path)
    assert caught.value.code == "limit_exceeded"


@pytest.mark.parametrize(
    "skeleton",
    [
        b'{"format":"safetensors"}',
        b'{"format":"safetensors","version":2,"header":"{}"}',
        b'{"format":"safetensors","version":1,"header":"[]"}',
        b'{"format":"safetensors","version":1,"header":"{}","more":1}',
        b'{"format":"safetensors","version":1,"header":"\\ud800"}',
        b'{"format":"safetensors","version":1}',
        b'{"format":"safetensors","version":1,"header":"{}","shards":[{"name":"a.safetensors",'
        b'"header":"{}"}]}',
        b'{"format":"safetensors","version":1,"header":"{}","index":{"name":"a","text":""}}',
    ],
)
def test_bad_skeletons(tmp_path: Path, skeleton: bytes) -> None:
    with pytest.raises(McodecError):
        create_sink(tmp_path / "x", "safetensors", [], skeleton)
    assert not (tmp_path / "x").exists()
