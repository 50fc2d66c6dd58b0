"""safetensors: what a file carries for others - skeletons, dtypes it lacks, values below a byte."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError, UsageError
from mcodec.formats import safetensors_layout
from mcodec.formats.registry import create_sink, open_source
from mcodec.formats.safetensors import (
    facts_safetensors,
    folder_safetensors,
    inner_safetensors,
)
from mcodec.formats.safetensors_dtypes import SUB_BYTE
from mcodec.formats.safetensors_header import parse_header
from mcodec.types import TensorSpec, dtype_name
from support.cases import DTYPES, SHAPES, noise
from support.models import arrays, copy_model
from support.strategies import models, names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures"
deserialize: Any = safetensors.deserialize  # it has no types
FOREIGN = '{"format":"hdf5","version":1,"text":"\\u00e9 \\"ß\\u0000"}'.encode()


def write(path: Path, model: Mapping[str, NDArray[Any]], **options: Any) -> list[str]:
    """Write a model through the sink; return its notes."""
    specs = [TensorSpec(k, dtype_name(v.dtype) or "", v.shape) for k, v in model.items()]
    sink = create_sink(path, "safetensors", specs, **options)
    for index, value in enumerate(model.values()):
        sink.write(index, 0, memoryview(value.tobytes()))
    sink.close()
    return list(sink.notes)


def skeleton_of(path: Path) -> bytes:
    source = open_source(path)
    source.close()
    return source.skeleton()


def metadata_of(path: Path) -> dict[str, str]:
    source = open_source(path)
    source.close()
    return dict(source.metadata)


def raw(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("metadata", [{}, {"format": "tf", "a": "b"}, {"a": "ü"}])
def test_a_foreign_skeleton_is_carried(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = tmp_path / "a.safetensors"
    value = noise("float32", (3, 4))
    assert write(path, {"w": value}, skeleton=FOREIGN, metadata=metadata) == []
    skeleton = skeleton_of(path)
    assert inner_safetensors(skeleton) == FOREIGN
    assert not folder_safetensors(skeleton)
    assert metadata_of(path) == metadata
    assert facts_safetensors(skeleton) == {f"metadata {k}": v for k, v in metadata.items()}
    copy_model(path, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == path.read_bytes()


def test_other_readers_take_a_file_that_carries(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    value = np.arange(6, dtype=np.float32)
    write(path, {"w": value, "z": noise("complex128", (2,))}, skeleton=FOREIGN)
    with safetensors.safe_open(path, "numpy") as file:
        words = file.metadata()
        assert words["mcodec.skeleton"] == FOREIGN.decode()
        assert words["format"] == "pt"  # transformers refuses metadata without it
        assert file.get_tensor("w").tobytes() == value.tobytes()
        assert file.get_slice("z").get_shape() == [2, 16]
    write(path, {"w": value})
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata() is None  # as the library does it


def test_torch_takes_a_file_that_carries(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from safetensors.torch import load_file

    path = tmp_path / "a.safetensors"
    value = np.arange(6, dtype=np.float32)
    write(path, {"w": value}, skeleton=FOREIGN)
    assert load_file(path)["w"].tolist() == value.tolist()


def test_other_metadata_leaves_the_rest_as_it_stood(tmp_path: Path) -> None:
    path, out = tmp_path / "a.safetensors", tmp_path / "out"
    model = {"w": noise("complex128", (2,)), "v": noise("int8", (3,))}
    write(path, model, skeleton=FOREIGN, metadata={"a": "b"})
    notes = write(out, model, skeleton=skeleton_of(path), metadata={"c": "d", "mcodec.x": "y"})
    assert len(notes) == 1
    assert metadata_of(out) == {"c": "d"}
    assert inner_safetensors(skeleton_of(out)) == FOREIGN
    assert {k: v.tobytes() for k, v in arrays(out).items()} == {
        k: v.tobytes() for k, v in model.items()
    }
    notes = write(out, {"v": model["v"]}, skeleton=skeleton_of(path))
    assert "laid out anew" in notes[0]
    assert metadata_of(out) == {"a": "b"}
    assert inner_safetensors(skeleton_of(out)) == b""


def test_a_skeleton_that_is_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safetensors_layout, "MAX_SOURCE_HEADER", 300)
    for length in (200, 280, 400):
        skeleton = b'{"format":"hdf5","x":"' + b'"'.rjust(length, b"x") + b"}"
        with pytest.raises(UsageError, match="header may hold 300 bytes"):
            write(tmp_path / "a", {"wide": noise("int8", (3,))}, skeleton=skeleton)
    assert not (tmp_path / "a").exists()
    with pytest.raises(FormatError, match="not UTF-8"):
        write(tmp_path / "a", {}, skeleton=b'{"format":"hdf5","x":"\xff"}')


@pytest.mark.parametrize("shape", SHAPES[:-1], ids=str)
def test_dtypes_that_safetensors_lacks_come_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "a.safetensors"
    model = {dtype: noise(dtype, shape) for dtype in DTYPES}
    write(path, model)
    source = open_source(path)
    for index, spec in enumerate(source.tensors):
        assert (spec.dtype, spec.shape) == (spec.name, shape)
        assert source.read(index, 0, spec.size).tobytes() == model[spec.name].tobytes()
    assert source.metadata == {}
    source.close()
    library = dict(deserialize(path.read_bytes()))
    assert library["V3"]["shape"] == [*shape, 3]
    assert bytes(library["complex128"]["data"]) == model["complex128"].tobytes()


@given(model=models(), metadata=st.dictionaries(names, names, max_size=2))
def test_any_model_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    model: dict[str, NDArray[Any]],
    metadata: dict[str, str],
) -> None:
    model.pop("__metadata__", None)
    folder = tmp_path_factory.mktemp("a")
    write(folder / "a.safetensors", model, skeleton=FOREIGN, metadata=metadata)
    found = arrays(folder / "a.safetensors")
    assert found.keys() == model.keys()
    for name, value in model.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert found[name].tobytes() == value.tobytes()
    assert metadata_of(folder / "a.safetensors") == metadata
    copy_model(folder / "a.safetensors", folder / "b", step=7)
    assert (folder / "a.safetensors").read_bytes() == (folder / "b").read_bytes()


@pytest.mark.parametrize(
    "words",
    [
        {"mcodec.dtypes": "no JSON"},
        {"mcodec.dtypes": '{"w":1}'},
        {"mcodec.dtypes": '{"other":"V2"}'},
        {"mcodec.dtypes": '{"w":"V3"}'},
        {"mcodec.dtypes": '{"w":"V0"}'},
        {"mcodec.dtypes": '{"w":"\\u0000"}'},
        {"mcodec.dtypes": '{"f":"\\u0000"}'},
        {"mcodec.dtypes": '{"f":"float32"}'},
        {"mcodec.dtypes": '{"w":"\\ud800"}'},
        {"mcodec.added": "w"},
    ],
)
def test_bad_words_of_our_own(words: dict[str, str]) -> None:
    header = {
        "__metadata__": words,
        "w": {"dtype": "U8", "shape": [3, 2], "data_offsets": [0, 6]},
        "f": {"dtype": "F32", "shape": [], "data_offsets": [6, 10]},
    }
    with pytest.raises(FormatError) as caught:
        parse_header(json.dumps(header).encode())
    assert str(caught.value).isprintable()


SMALL = [
    ("F4", [16], TensorSpec("w", "V1", (8,))),
    ("F4", [3, 4], TensorSpec("w", "V1", (3, 2))),
    ("F4", [2, 3], TensorSpec("w", "V1", (3,))),
    ("F4", [0, 3], TensorSpec("w", "V1", (0,))),
    ("F4", [3, 0], TensorSpec("w", "V1", (3, 0))),
    ("F6_E2M3", [8], TensorSpec("w", "V3", (2,))),
    ("F6_E3M2", [2, 4], TensorSpec("w", "V3", (2, 1))),
    ("F6_E3M2", [2, 2], TensorSpec("w", "V1", (3,))),
]


@pytest.mark.parametrize(("tag", "shape", "spec"), SMALL)
def test_values_below_a_byte(tmp_path: Path, tag: str, shape: list[int], spec: TensorSpec) -> None:
    data = np.random.default_rng(1).bytes(spec.nbytes)
    path = tmp_path / "a.safetensors"
    path.write_bytes(
        raw({"w": {"dtype": tag, "shape": shape, "data_offsets": [0, spec.nbytes]}}, data)
    )
    deserialize(path.read_bytes())  # the library takes it too
    source = open_source(path)
    assert list(source.tensors) == [spec]
    assert source.read(0, 0, spec.size).tobytes() == data
    source.close()
    assert facts_safetensors(source.skeleton()) == {"dtype of w": tag}
    copy_model(path, tmp_path / "b", step=1)
    assert (tmp_path / "b").read_bytes() == path.read_bytes()


def test_the_fixture_of_values_below_a_byte() -> None:
    path = FIXTURES / "good" / "safetensors" / "f4_subbyte.safetensors"
    if not path.exists():
        pytest.skip("the shared fixtures are not beside the project")
    rows = json.loads(
        (FIXTURES / "oracle" / "good__safetensors__f4_subbyte.safetensors.json").read_text()
    )
    found = arrays(path)
    for row in rows:
        assert hashlib.sha256(found[row["name"]].tobytes()).hexdigest() == row["sha256"]


@given(tag=st.sampled_from(sorted(SUB_BYTE)), shape=st.lists(st.integers(0, 9), max_size=3))
def test_shapes_below_a_byte_are_taken_as_the_library_does(tag: str, shape: list[int]) -> None:
    bits = int(np.prod(shape, dtype=int)) * SUB_BYTE[tag]
    header = {"w": {"dtype": tag, "shape": shape, "data_offsets": [0, bits // 8]}}
    try:
        deserialize(raw(header, b"x" * (bits // 8)))
    except safetensors.SafetensorError:
        with pytest.raises(FormatError):
            parse_header(json.dumps(header).encode())
        return
    assert parse_header(json.dumps(header).encode()).tensors[0].nbytes == bits // 8


def test_long_facts_are_shortened() -> None:
    header = json.dumps({"__metadata__": {"long": "x" * 1000, "mcodec.skeleton": "{}"}})
    skeleton = msgspec.json.encode({"format": "safetensors", "version": 1, "header": header})
    facts = facts_safetensors(skeleton)
    assert facts.keys() == {"metadata long"}
    assert facts["metadata long"].startswith("1000 bytes, blake3:")
    assert facts_safetensors(b"") == {}
    assert inner_safetensors(b"") == b""
    assert not folder_safetensors(b"")
