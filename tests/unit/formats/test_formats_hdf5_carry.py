"""What HDF5 files carry for other formats, and what two files are compared by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5s, h5t
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError, UsageError
from mcodec.formats import hdf5_plain
from mcodec.formats.hdf5 import facts_hdf5, inner_hdf5
from mcodec.formats.registry import create_sink, hook, open_source
from mcodec.types import TensorSpec
from support.models import copy_model, dump

if TYPE_CHECKING:
    from collections.abc import Callable

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures"
SPECS = [TensorSpec("a/w", "float32", (2,)), TensorSpec("b", "bfloat16", ())]
FOREIGN = '{"format":"safetensors","version":1,"header":"{\\"é\\":\\u0000}"}'.encode()


def skeleton_of(path: Path) -> bytes:
    source = open_source(path)
    try:
        return source.skeleton()
    finally:
        source.close()


def facts(path: Path) -> dict[str, str]:
    return facts_hdf5(skeleton_of(path))


def test_another_formats_skeleton_is_carried(tmp_path: Path) -> None:
    sink = create_sink(tmp_path / "x.h5", "hdf5", SPECS, FOREIGN, {"format": "pt", "é": "\0"})
    sink.close()
    assert not sink.notes
    with h5py.File(tmp_path / "x.h5") as file:
        attribute = file.attrs.get_id("mcodec.skeleton")
        kind = attribute.get_type()
        assert kind.is_variable_str()
        assert kind.get_cset() == h5t.CSET_UTF8
        assert attribute.shape == ()
        assert file.attrs["mcodec.skeleton"].encode() == FOREIGN
        assert json.loads(file.attrs["mcodec.metadata"]) == {"format": "pt", "é": "\0"}
    source = open_source(tmp_path / "x.h5")
    assert list(source.tensors) == SPECS
    assert source.metadata == {"format": "pt", "é": "\0"}
    assert inner_hdf5(source.skeleton()) == FOREIGN
    assert not any(key.startswith("@") for key in facts_hdf5(source.skeleton()))
    source.close()
    # With its own skeleton the file comes back as it is.
    copy_model(tmp_path / "x.h5", tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "x.h5").read_bytes()


def test_nothing_is_carried(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/w"] = np.zeros(2, "<f4")
    source = open_source(tmp_path / "x.h5")
    assert source.metadata == {}
    own = source.skeleton()
    source.close()
    assert inner_hdf5(own) == b""
    assert inner_hdf5(b"") == b""
    assert facts_hdf5(b"") == {}
    assert facts_hdf5(own) == {}
    create_sink(tmp_path / "out.h5", "hdf5", SPECS[:1], own, {"format": "pt"}).close()
    with h5py.File(tmp_path / "out.h5") as file:
        assert not file.attrs


def test_the_hooks_are_there() -> None:
    assert hook("hdf5", "inner") is inner_hdf5
    assert hook("hdf5", "facts") is facts_hdf5
    assert hook("hdf5", "folder") is None


def archive(weights: object) -> bytes:
    """Return the skeleton of an archive that has an HDF5 file in it."""
    return json.dumps({"format": "keras", "version": 1, "weights": weights}).encode()


def test_the_structure_inside_an_archives_skeleton_is_used(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["a/w"] = np.zeros(2, "<f4")
        file["a"].attrs["name"] = np.bytes_(b"layer")
        file.attrs["mcodec.skeleton"] = 5
        file["b"] = np.frombuffer(b"ab", "V2")[0]
        file["b"].attrs["dtype"] = "bfloat16"
        file.create_group("empty")
        file["again"] = file["a"]
    inner = json.loads(skeleton_of(tmp_path / "in.h5"))
    specs = [*SPECS, TensorSpec("again/w", "float32", (2,))]
    data = archive(inner)
    sink = create_sink(tmp_path / "out.h5", "hdf5", specs, data)
    assert sink.same_as == {2: 0}
    sink.write(1, 0, memoryview(b"ab"))
    sink.close()
    expected, found = dump(tmp_path / "in.h5"), dump(tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file.attrs["mcodec.skeleton"].encode() == data
    del expected[" attributes"][b"mcodec.skeleton"], found[" attributes"][b"mcodec.skeleton"]
    assert found == expected
    # Where it is not of these tensors, or something else, the file is plain.
    others: list[object] = [inner, 5, None, [], {}, {"format": "npz"}]
    for weights in others:
        create_sink(tmp_path / "plain.h5", "hdf5", SPECS, archive(weights)).close()
        with h5py.File(tmp_path / "plain.h5") as file:
            assert list(file) == ["a", "b"]
            assert not file["a"].attrs
    with pytest.raises(FormatError):
        create_sink(tmp_path / "x.h5", "hdf5", SPECS, archive({"format": "hdf5", "version": 1}))


def test_what_is_too_long_or_no_text_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5_plain, "MAX_CARRIED", 20)
    sink = create_sink(tmp_path / "x.h5", "hdf5", SPECS, FOREIGN, {"a": "\ud800"})
    sink.close()
    assert len(sink.notes) == 2
    assert all(note.isprintable() for note in sink.notes)
    source = open_source(tmp_path / "x.h5")
    assert inner_hdf5(source.skeleton()) == b""
    assert source.metadata == {}
    source.close()


@pytest.mark.parametrize("data", [b'{"format":"npz","x":"\xff"}', b"[]", b"{", b'{"format":1}'])
def test_carried_skeletons_that_are_none(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        create_sink(tmp_path / "x.h5", "hdf5", SPECS, data)
    assert caught.value.code == "source_invalid"
    with pytest.raises(UsageError):
        create_sink(tmp_path / "x.h5", "hdf5", [TensorSpec("", "int8", ())], FOREIGN)
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize("value", ["", "[1]", '{"a":1}', "{", ["{}"], 5, b"{}"])
def test_metadata_that_is_none(tmp_path: Path, value: object) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["mcodec.metadata"] = np.bytes_(value) if isinstance(value, bytes) else value
    with pytest.raises(FormatError, match="metadata") as caught:
        open_source(tmp_path / "x.h5")
    assert caught.value.code == "source_invalid"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", [5, "", ["a"], np.bytes_(b"a"), np.bytes_(b""), b"\xff"])
def test_skeletons_in_an_attribute_of_another_kind(tmp_path: Path, value: object) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["mcodec.skeleton"] = value
    assert inner_hdf5(skeleton_of(tmp_path / "x.h5")) == b""


@given(st.binary(max_size=100))
def test_hooks_of_noise(data: bytes) -> None:
    for function in (inner_hdf5, facts_hdf5):
        if data:
            with pytest.raises(FormatError):
                function(data)


def put(path: Path, value: object, dtype: Any = None) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("g").attrs.create("n", value, dtype=dtype)


def test_every_kind_of_text_is_told_apart(tmp_path: Path) -> None:
    values: list[tuple[object, Any]] = [
        ("a", None),
        ("a", h5py.string_dtype("ascii")),
        (np.bytes_(b"a"), None),
        (np.bytes_(b"a"), h5py.string_dtype("utf-8", 1)),
        (np.bytes_(b"a"), "S2"),
        (["a"], None),
        ([["a"]], None),
        (1, "<i4"),
        (1, ">i4"),
        (256, "<i4"),
        (1, "<i8"),
        (1.0, "<f4"),
        (np.frombuffer(b"\x01\x00\xa0\x7f", "<f4")[0], None),
        (np.frombuffer(b"\x02\x00\xa0\x7f", "<f4")[0], None),
        (True, None),
        (h5py.Empty("<i4"), None),
        (np.void(b"a"), None),
        (np.zeros((), [("x", "<i4")]), None),
        (np.zeros((), [("y", "<i4")]), None),
        ("x" * 5000, None),
        ("x" * 5001, None),
        (np.zeros(3000), None),
        (np.zeros(3001), None),
        ([], "<f8"),
    ]
    seen = []
    for value, dtype in values:
        put(tmp_path / "x.h5", value, dtype)
        found = facts(tmp_path / "x.h5")
        assert found.keys() == {"g", "g@n"}
        assert found["g"] == "an empty group"
        assert found["g@n"].isprintable()
        assert len(found["g@n"]) < 300
        seen.append(found["g@n"])
    assert len(set(seen)) == len(values)
    assert seen[0] == "'a' (text of any length, UTF-8, ended by zero)"
    assert seen[7] == "1 (int32)"


def other_things(file: h5py.File) -> None:
    file["named"] = np.dtype("<i4")
    file["text"] = ["a", "b"]
    file["w"] = np.zeros(2, "<f4")
    file["again"] = file["w"]
    file["point"] = file["w"].ref
    tid = h5t.IEEE_F32LE.copy()
    tid.set_size(4)
    tid.set_fields(31, 24, 7, 0, 24)
    tid.set_ebias(63)
    h5d.create(file.id, b"odd", tid, h5s.create_simple((2,)))


def test_other_things_are_facts(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        other_things(file)
    found = facts(tmp_path / "x.h5")
    # By name: "again" comes first, so that the other name is the link.
    assert found.keys() == {"named", "text", "w", "point", "odd"}
    assert found["named"] == "a datatype: int32"
    assert found["w"] == "a hard link to 'again'"
    assert found["text"].startswith("a dataset: ['a', 'b'] (text")
    assert found["point"].startswith("a dataset: '/again' (")
    assert found["odd"].startswith('a tensor of {"class":"float"')
    assert all(text.isprintable() for text in found.values())


def changed(name: str, change: Callable[[h5py.File], None], tmp_path: Path) -> set[str]:
    """Return the facts that a change of a fixture changes."""
    source = FIXTURES / name
    if not source.exists():
        pytest.skip("the shared fixtures are not beside the project")
    copy = tmp_path / "x.h5"
    copy.write_bytes(source.read_bytes())
    with h5py.File(copy, "a") as file:
        change(file)
    before, after = facts(source), facts(copy)
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def test_a_changed_kind_is_seen(tmp_path: Path) -> None:
    def fix(file: h5py.File) -> None:
        file.attrs["backend"] = np.bytes_(file.attrs["backend"].encode())

    assert changed("good/keras2/cnn_adam.h5", fix, tmp_path) == {"@backend"}


def test_own_attributes_are_no_difference(tmp_path: Path) -> None:
    def add(file: h5py.File) -> None:
        file.attrs["mcodec.skeleton"] = FOREIGN.decode()

    assert changed("good/keras3/cnn_adam.h5", add, tmp_path) == set()
