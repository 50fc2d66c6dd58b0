"""Hard links: one dataset under several names, read as tensors that are the same as the first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError, McodecError
from mcodec.formats.registry import create_sink, open_source
from mcodec.types import TensorSpec
from support.models import arrays, copy_model, dump

if TYPE_CHECKING:
    from mcodec.formats.base import TensorSource

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures"


def ties(source: TensorSource) -> dict[str, str]:
    """Return names that are another one's, by name."""
    names = [spec.name for spec in source.tensors]
    assert all(first < second for second, first in source.same_as.items())
    return {names[second]: names[first] for second, first in source.same_as.items()}


def make(path: Path) -> None:
    """Write a file with links to datasets, to groups, and to groups with links in them."""
    with h5py.File(path, "w") as file:
        file["a/w"] = np.arange(6, dtype=">f4")
        file["a/text"] = "no tensor"
        file["a/x/v"] = np.arange(3, dtype="<i2")
        file["a/x/w"] = file["a/w"]
        file["b"] = file["a"]
        file["c/again"] = file["a/w"]
        file["c/x"] = file["a/x"]
        file["d"] = file["c"]


def test_every_path_is_a_tensor(tmp_path: Path) -> None:
    make(tmp_path / "x.h5")
    source = open_source(tmp_path / "x.h5")
    first = {"w": "a/w", "v": "a/x/v", "again": "a/w"}
    expected = [
        *("a/w", "a/x/v", "a/x/w", "b/w", "b/x/v", "b/x/w"),
        *("c/again", "c/x/v", "c/x/w", "d/again", "d/x/v", "d/x/w"),
    ]
    assert [spec.name for spec in source.tensors] == expected
    assert ties(source) == {
        name: first[name.rpartition("/")[2]] for name in expected if name not in first.values()
    }
    for index, spec in enumerate(source.tensors):
        kind = np.float32 if spec.dtype == "float32" else np.int16
        assert np.array_equal(source.read(index, 0, spec.size), np.arange(spec.size, dtype=kind))
    source.close()


def test_links_come_back(tmp_path: Path) -> None:
    make(tmp_path / "x.h5")
    copy_model(tmp_path / "x.h5", tmp_path / "out.h5")
    assert dump(tmp_path / "out.h5") == dump(tmp_path / "x.h5")


def test_what_is_written_to_a_second_name_is_not_kept(tmp_path: Path) -> None:
    make(tmp_path / "x.h5")
    source = open_source(tmp_path / "x.h5")
    order = list(reversed(source.tensors))  # the first one of a task may be any of them
    sink = create_sink(tmp_path / "out.h5", "hdf5", order, source.skeleton())
    source.close()
    for index, spec in enumerate(order):
        byte = bytes([index + 1])
        sink.write(index, 0, memoryview(byte * spec.nbytes))
        with pytest.raises(McodecError, match="past the end"):
            sink.write(index, 1, memoryview(byte * spec.nbytes))
    sink.close()
    firsts = {sink.same_as.get(index, index) for index in range(len(order))}
    assert len(firsts) == 2
    found = arrays(tmp_path / "out.h5")
    for index, spec in enumerate(order):
        first = sink.same_as.get(index, index)
        assert set(found[spec.name].tobytes()) == {first + 1}


def test_without_a_skeleton_each_is_a_dataset(tmp_path: Path) -> None:
    make(tmp_path / "x.h5")
    source = open_source(tmp_path / "x.h5")
    sink = create_sink(tmp_path / "out.h5", "hdf5", source.tensors)
    assert not sink.same_as
    for index, spec in enumerate(source.tensors):
        sink.write(index, 0, source.read(index, 0, spec.size).view("u1").data)
    sink.close()
    ours = arrays(tmp_path / "out.h5")
    assert {n: a.tobytes() for n, a in ours.items()} == {
        n: a.tobytes() for n, a in arrays(tmp_path / "x.h5").items()
    }
    again = open_source(tmp_path / "out.h5")
    assert not again.same_as
    again.close()
    source.close()


def test_names_of_keras_through_links(tmp_path: Path) -> None:
    """A second name that the model's lists have stands where they have it, before the first."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["all/k"] = [1.0]
        file["layer"] = file["all"]
        file["all"].attrs["weight_names"] = ["k"]
        file["other/k"] = file["all/k"]
        file["zz"] = [2.0]
        file["zz"].attrs["a"] = 1
        file.attrs["layer_names"] = ["zz", "layer/../all", "layer"]
    source = open_source(tmp_path / "x.h5")
    assert [spec.name for spec in source.tensors] == ["layer/k", "all/k", "other/k", "zz"]
    assert ties(source) == {"all/k": "layer/k", "other/k": "layer/k"}
    source.close()
    copy_model(tmp_path / "x.h5", tmp_path / "out.h5")
    assert dump(tmp_path / "out.h5") == dump(tmp_path / "x.h5")


def test_each_name_counts_for_the_budget(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("g/w", (1 << 20,), "u1")
        for index in range(1100):
            file[f"g{index}"] = file["g"]
    with pytest.raises(FormatError) as caught:
        open_source(tmp_path / "x.h5")
    assert caught.value.code == "decoded_too_large"


@pytest.mark.parametrize("limit", ["MAX_SOURCE_OBJECTS", "MAX_TENSORS"])
def test_paths_by_links_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    make(tmp_path / "x.h5")
    monkeypatch.setattr(f"mcodec.formats.hdf5_walk.{limit}", 11)
    with pytest.raises(FormatError) as caught:
        open_source(tmp_path / "x.h5")
    assert caught.value.code == "limit_exceeded"


def test_paths_by_links_are_bounded_in_length(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/" + "x" * 3000] = [1.0]
        file["b" * 3000] = file["a"]
    with pytest.raises(FormatError) as caught:
        open_source(tmp_path / "x.h5")
    assert caught.value.code == "limit_exceeded"


def skeleton(*objects: dict[str, Any]) -> bytes:
    kind = {"class": "integer", "size": 1, "order": "little", "signed": False}
    root = {"kind": "group", "path": ""}
    whole = {"format": "hdf5", "version": 1, "types": [kind], "objects": [root, *objects]}
    return json.dumps(whole).encode()


def link(path: str, target: str) -> dict[str, Any]:
    return {"kind": "link", "path": path, "target": target}


def group(path: str) -> dict[str, Any]:
    return {"kind": "group", "path": path}


@pytest.mark.parametrize(
    "objects",
    [
        [group("a"), link("a/b", "a")],
        [link("a", "")],
        [group("a"), group("b"), link("a/x", "b"), link("b/y", "a")],
    ],
)
def test_links_that_lead_round(tmp_path: Path, objects: list[dict[str, Any]]) -> None:
    with pytest.raises(FormatError) as caught:
        create_sink(tmp_path / "x.h5", "hdf5", [], skeleton(*objects))
    assert caught.value.code in ("limit_exceeded", "source_invalid")
    assert not (tmp_path / "x.h5").exists()


def test_a_skeleton_of_many_paths(tmp_path: Path) -> None:
    objects = [group("g0")]
    for level in range(1, 40):
        below, path = f"g{level - 1}", f"g{level}"
        objects += [group(path), link(f"{path}/a", below), link(f"{path}/b", below)]
    with pytest.raises(FormatError) as caught:
        create_sink(tmp_path / "x.h5", "hdf5", [], skeleton(*objects))
    assert caught.value.code == "limit_exceeded"


def test_links_to_links_and_to_groups_that_are_filled_later(tmp_path: Path) -> None:
    tensor = {"kind": "tensor", "path": "g/w", "type": 0}
    data = skeleton(group("g"), link("l", "g"), link("m", "l"), tensor, link("n", "m"))
    names = ["g/w", "l/w", "m/w", "n/w"]
    sink = create_sink(
        tmp_path / "x.h5", "hdf5", [TensorSpec(n, "uint8", (3,)) for n in names], data
    )
    assert sink.same_as == {1: 0, 2: 0, 3: 0}
    sink.write(0, 0, memoryview(b"abc"))
    sink.close()
    assert {n: a.tobytes() for n, a in arrays(tmp_path / "x.h5").items()} == dict.fromkeys(
        names, b"abc"
    )


@given(data=st.data())
def test_any_tree_of_links(tmp_path: Path, data: st.DataObject) -> None:
    """The tensors of a source are those of its skeleton, whatever is linked to what."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        groups, things = [""], [""]
        for index in range(data.draw(st.integers(1, 10))):
            name = f"{data.draw(st.sampled_from(groups))}/{index}"
            match data.draw(st.sampled_from(["group", "tensor", "link"])):
                case "group":
                    file.create_group(name)
                    groups.append(name)
                case "tensor":
                    file[name] = np.arange(index)
                case _:
                    target = data.draw(st.sampled_from(things))
                    if name.startswith(f"{target}/"):
                        continue
                    file[name] = file[target]
            things.append(name)
    try:
        source = open_source(path)
    except FormatError as error:
        assert "lies in" in str(error)  # noqa: PT017 - links that lead round are refused
        return
    sink = create_sink(tmp_path / "out.h5", "hdf5", source.tensors, source.skeleton())
    assert sink.same_as == source.same_as
    sink.close()
    source.close()


def test_the_oracle_of_links() -> None:
    """The fixture also has soft links, which are refused; hard ones are as its oracle says."""
    path = FIXTURES / "good" / "h5" / "links.h5"
    if not path.exists():
        pytest.skip("the shared fixtures are not beside the project")
    with pytest.raises(FormatError, match="soft link"):
        open_source(path)
