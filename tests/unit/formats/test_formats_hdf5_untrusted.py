"""Skeletons of HDF5 files come from anywhere: all is checked before a file is written."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError
from mcodec.formats.hdf5 import facts_hdf5, inner_hdf5
from mcodec.formats.hdf5_skeleton import decode
from mcodec.formats.registry import create_sink, open_source
from mcodec.types import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def small(tmp_path: Path) -> tuple[list[TensorSpec], dict[str, Any]]:
    """Return the tensors and the skeleton of a small file."""
    with h5py.File(tmp_path / "small.h5", "w") as file:
        file["g/w"] = np.arange(3, dtype="<f4")
        file["g/w"].attrs["n"] = ["a", "b"]
        file["g"].attrs["r"] = np.array((1, 2.0), [("x", "<i4"), ("y", "<f8")])
        file["g/s"] = np.array([b"ab"], "S2")
        file["h"] = file["g/w"]
    source = open_source(tmp_path / "small.h5")
    skeleton = json.loads(source.skeleton())
    source.close()
    return list(source.tensors), skeleton


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    specs, skeleton = small(tmp_path)
    data = json.dumps(skeleton).encode()
    out = tmp_path / "out.h5"
    by_name = {spec.name: spec for spec in specs}
    for name, spec in (
        ("g/w", None),
        ("h", None),
        ("v", TensorSpec("v", "int8", ())),
        ("g/w", TensorSpec("g/w", "int32", (3,))),
        ("h", TensorSpec("h", "float32", (1, 3))),
    ):
        wrong = [one for one in ({**by_name, name: spec}).values() if one is not None]
        with pytest.raises(FormatError, match=f"'{name}'") as caught:
            create_sink(out, "hdf5", wrong, data)
        assert caught.value.code == "source_invalid"


def changes(skeleton: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield skeletons with one thing wrong."""
    link = next(i for i, o in enumerate(skeleton["objects"]) if o["kind"] == "link")
    for what, path, value in (
        ("version", ["version"], 2),
        ("root", ["objects", 0, "path"], "x"),
        ("kind", ["objects", 1, "kind"], "module"),
        ("unknown key", ["objects", 1, "more"], 1),
        ("twice", ["objects", 2, "path"], "g/w"),
        ("no group", ["objects", 2, "path"], "h/w"),
        ("dots", ["objects", link, "path"], "."),
        ("slash", ["objects", link, "path"], "/x"),
        ("zero", ["objects", link, "path"], "a\0b"),
        ("long", ["objects", link, "path"], "x" * 5000),
        ("target", ["objects", link, "target"], "nowhere"),
        ("order", ["objects", 0, "link_order"], 2),
        ("types", ["types"], []),
        ("first type", ["types", 0], {"class": "opaque", "size": 2**31, "label": ""}),
        (
            "nested type",
            ["types", 0],
            {"class": "array", "base": skeleton["types"][0], "shape": [0]},
        ),
        ("unknown type", ["types", 0], {"class": "predefined", "name": "__init__"}),
        ("objects", ["objects"], []),
    ):
        changed = json.loads(json.dumps(skeleton))
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        yield what, changed


def test_wrong_skeletons(tmp_path: Path) -> None:
    specs, skeleton = small(tmp_path)
    create_sink(tmp_path / "x.h5", "hdf5", specs, json.dumps(skeleton).encode()).close()
    for what, changed in changes(skeleton):
        try:
            create_sink(tmp_path / "x.h5", "hdf5", specs, json.dumps(changed).encode())
        except FormatError:
            continue
        pytest.fail(what)


INTEGER = {"class": "integer", "size": 4, "order": "little", "signed": True}
OPAQUE = {"class": "opaque", "size": 2, "label": "x"}
REFERENCE = {"class": "predefined", "name": "STD_REF_OBJ"}
STRING = {"class": "string", "size": None, "charset": 1, "padding": 0}
POINTER = {"class": "compound", "size": 16, "members": [{"name": "p", "offset": 0, "type": STRING}]}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (POINTER, {"data": "A" * 20 + "AA=="}),
        ({"class": "array", "base": STRING, "shape": [1]}, {"data": "A" * 20 + "AA=="}),
        ({"class": "sequence", "base": STRING}, {"items": [""]}),
        ({"class": "sequence", "base": INTEGER}, {"items": ["AA=="]}),
        (STRING, {"texts": ["a", "b"]}),
        (STRING, {"texts": ["a\0b"]}),
        (STRING, {"shape": None, "texts": ["a"]}),
        (STRING, {"shape": [2**62, 2**62], "texts": []}),
        (STRING, {"shape": [0] * 33}),
        (REFERENCE, {"data": "AAAAAAAAAAA="}),
        (REFERENCE, {"texts": ["/nowhere"]}),
        (OPAQUE, {"data": "AAAA"}),
        (OPAQUE, {"data": "AAA=", "texts": ["x"]}),
        (OPAQUE, {"shape": [0], "data": "AAA="}),
        ({**OPAQUE, "label": "x" * 300}, {"data": "AAA="}),
        ({**INTEGER, "offset": 99}, {"data": "AAAAAA=="}),
        ({**INTEGER, "size": 0}, {"data": ""}),
    ],
)
def test_wrong_values(tmp_path: Path, kind: object, value: dict[str, Any]) -> None:
    """Above all nothing that HDF5 would take for a pointer."""
    attribute = {"name": "a", "type": 0, **value}
    skeleton = {
        "format": "hdf5",
        "version": 1,
        "types": [kind],
        "objects": [{"kind": "group", "path": "", "attributes": [attribute]}],
    }
    with pytest.raises(FormatError):
        create_sink(tmp_path / "x.h5", "hdf5", [], json.dumps(skeleton).encode())


@pytest.mark.parametrize("depth", [9, 50, 400, 100_000])
def test_datatypes_that_are_nested_too_deep(tmp_path: Path, depth: int) -> None:
    member = '{"class":"compound","size":1,"members":[{"name":"x","offset":0,"type":'
    kind = member * depth + json.dumps(INTEGER) + "}]}" * depth
    tensor = '{"kind":"tensor","path":"w","type":0}'
    data = (
        f'{{"format":"hdf5","version":1,"types":[{kind}],'
        f'"objects":[{{"kind":"group","path":""}},{tensor}]}}'
    ).encode()
    with pytest.raises(FormatError) as caught:
        create_sink(tmp_path / "x.h5", "hdf5", [TensorSpec("w", "V1", ())], data)
    assert caught.value.code == "source_invalid"
    for function in (facts_hdf5, inner_hdf5):
        with pytest.raises(FormatError):
            function(data)


@given(data=st.data())
def test_damaged_skeletons(tmp_path: Path, data: st.DataObject) -> None:
    """Any change of the text is written as something, or refused; nothing crashes."""
    specs, skeleton = small(tmp_path)
    text = bytearray(json.dumps(skeleton).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place] = data.draw(st.sampled_from(list(b'019-"{}[],:abefz \x80')))
    with contextlib.suppress(FormatError):
        create_sink(tmp_path / "x.h5", "hdf5", specs, bytes(text)).close()
    with contextlib.suppress(FormatError):
        assert all(isinstance(fact, str) for fact in facts_hdf5(bytes(text)).values())


@given(st.binary(max_size=200))
def test_noise_is_no_skeleton(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode(data)
