"""HDF5 read lazily: dtypes, order, layouts, any range of elements, from any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t
from hypothesis import given
from hypothesis import strategies as st

from mcodec.formats.hdf5_children import natural_key
from mcodec.formats.hdf5_slabs import boxes
from mcodec.formats.registry import open_source
from support.models import arrays
from support.strategies import shapes

if TYPE_CHECKING:
    from pathlib import Path

ARRAYS: dict[str, Any] = {
    **{
        f"{order}{kind}": np.array([0, 1, 2, 100], order + kind)
        for order in "<>"
        for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
    },
    "bool": np.array([True, False, True]),
    "opaque": np.frombuffer(b"abcdef", "V3"),
    "scalar": np.float32(-0.0),
    "empty": np.zeros((0, 3), "f4"),
    "nan": np.array([0x7FA00001, 0xFFC00000, 0x80000000], "<u4").view("<f4"),
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (2, 3, 4)},
    "one chunk": {"chunks": (5, 6, 7)},
    "growing": {"chunks": (4, 4, 4), "maxshape": (None, None, 9)},
    "gzip": {"chunks": (2, 3, 4), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"chunks": (2, 5, 4), "compression": "lzf", "shuffle": True},
    "lzf and sum": {"chunks": (2, 5, 4), "compression": "lzf", "fletcher32": True},
    "scale-offset": {"chunks": (2, 3, 4), "scaleoffset": 0},
    "scale-offset and gzip": {"chunks": (2, 3, 4), "scaleoffset": 0, "compression": "gzip"},
}
CUBE = np.arange(210, dtype="<i4").reshape(5, 6, 7) * 7919 % 1009


def test_dtypes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, array in ARRAYS.items():
            file[f"a/{name}"] = array
    found = arrays(tmp_path / "x.h5")
    for name, array in ARRAYS.items():
        little = np.asarray(array).astype(np.asarray(array).dtype.newbyteorder("<"))
        ours = found[f"a/{name}"]
        assert ours.dtype == little.dtype
        assert ours.shape == little.shape
        assert ours.tobytes() == little.tobytes(), name


def test_what_is_no_tensor(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["text"] = "abc"
        file["null"] = h5py.Empty("f4")
        file["record"] = np.zeros(2, [("x", "i4"), ("y", "f8")])
        file["w"] = [1.0]
    assert list(arrays(tmp_path / "x.h5")) == ["w"]


@pytest.mark.parametrize(
    ("marker", "size", "dtype"),
    [
        ("bfloat16", 2, "bfloat16"),
        ("float8_e5m2", 1, "float8_e5m2"),
        ("bfloat16", 4, "V4"),
        ("float32", 4, "V4"),
        ("complex", 2, "V2"),
    ],
)
def test_opaque_dtypes_that_an_attribute_names(
    tmp_path: Path, marker: str, size: int, dtype: str
) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["w"] = np.frombuffer(b"abcdefgh", f"V{size}")
        file["w"].attrs["dtype"] = marker
    source = open_source(tmp_path / "x.h5")
    assert source.tensors[0].dtype == dtype
    assert source.read(0, 0, 8 // size).tobytes() == b"abcdefgh"
    source.close()


def test_odd_layouts_of_numbers_are_bytes(tmp_path: Path) -> None:
    """12-bit integers and wide floats come out as they lie, in their own byte order."""
    odd = h5t.STD_I16BE.copy()
    odd.set_precision(12)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, tid in (("odd", odd), ("wide", h5t.IEEE_F128BE)):
            dsid = h5d.create(file.id, name.encode(), tid, h5s.create_simple((2,)))
            raw = np.arange(2 * tid.get_size(), dtype="u1").view(f"V{tid.get_size()}")
            dsid.write(h5s.ALL, h5s.ALL, raw, tid)
    found = arrays(tmp_path / "x.h5")
    assert found["odd"].dtype == "V2"
    assert found["odd"].tobytes() == bytes(range(4))
    assert found["wide"].tobytes() == bytes(range(32))


@pytest.mark.parametrize("user_block", [0, 1024])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path: Path, layout: str, user_block: int) -> None:
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=user_block) as file:
        file.create_dataset("w", data=CUBE, **LAYOUTS[layout])
    source = open_source(tmp_path / "x.h5")
    flat = CUBE.reshape(-1)
    for start, stop in ((0, 210), (0, 0), (3, 4), (41, 44), (5, 140), (42, 84), (209, 210)):
        assert np.array_equal(source.read(0, start, stop), flat[start:stop]), (start, stop)
    source.close()


def test_compact_and_never_written(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_layout(h5d.COMPACT)
        dsid = h5d.create(file.id, b"compact", h5t.IEEE_F32BE, h5s.create_simple((3,)), plist)
        dsid.write(h5s.ALL, h5s.ALL, np.array([1, 2, 3], "<f4"))
        file.create_dataset("never", (4, 4), "<i2", fillvalue=7)
        chunked = file.create_dataset("some", (5, 5), ">i2", chunks=(2, 2), fillvalue=9)
        chunked[2:4, 2:4] = 1
    found = arrays(tmp_path / "x.h5")
    assert found["compact"].tolist() == [1, 2, 3]
    assert found["never"].tolist() == [[7] * 4] * 4
    with h5py.File(tmp_path / "x.h5") as file:
        assert np.array_equal(found["some"], file["some"][()])


def test_chunks_of_one_element_are_not_walked_in_vain(tmp_path: Path) -> None:
    """A hundred million chunks that are not stored cost nothing."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("w", (100_000_000,), "i1", chunks=(1,), fillvalue=3)[5] = 4
    source = open_source(tmp_path / "x.h5")
    assert source.read(0, 0, 100_000_000).sum(dtype=np.int64) == 300_000_001
    source.close()


@given(shape=shapes(most=200, least_dims=1), data=st.data())
def test_boxes_are_the_range(shape: tuple[int, ...], data: st.DataObject) -> None:
    size = int(np.prod(shape))
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    numbers = np.arange(size).reshape(shape)
    found: list[int] = []
    cut = list(boxes(shape, start, stop))
    for first, extent in cut:
        where = tuple(slice(a, a + n) for a, n in zip(first, extent, strict=True))
        found += numbers[where].reshape(-1).tolist()
    assert found == list(range(start, stop))
    assert len(cut) < 2 * len(shape)


@pytest.mark.parametrize("layout", ["contiguous", "gzip", "scale-offset"])
def test_threads(tmp_path: Path, layout: str) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for index in range(6):
            file.create_dataset(f"w{index}", data=CUBE + index, **LAYOUTS[layout])
    source = open_source(tmp_path / "x.h5")
    jobs = [(i, a, a + 30) for a in range(0, 180, 10) for i in range(6)] * 3

    def check(job: tuple[int, int, int]) -> bool:
        index, start, stop = job
        expected = CUBE.reshape(-1)[start:stop] + index
        return np.array_equal(source.read(*job), expected)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, jobs))
    source.close()
    source.close()


def names(path: Path) -> list[str]:
    source = open_source(path)
    found = [spec.name for spec in source.tensors]
    source.close()
    return found


def test_order_of_a_legacy_model(tmp_path: Path) -> None:
    """Layers and weights as their attributes list them, the optimizer's after them, then others."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["zz"] = [0.0]
        for layer, weights in (("b", ["b/k:0", "b/a:0"]), ("a/c", ["x/w", "missing", "/zz"])):
            group = file.create_group(f"model_weights/{layer}")
            group.attrs["weight_names"] = weights
            for weight in weights:
                if weight.isascii() and weight not in ("missing", "/zz"):
                    group[weight] = [1.0]
        file["model_weights"].attrs["layer_names"] = np.array([b"b", b"none", b"a/c", b"b"])
        file["model_weights/extra"] = [2.0]
        for name in ("m10", "m2", "it"):
            file[f"optimizer_weights/{name}"] = [3.0]
        file["optimizer_weights"].attrs["weight_names"] = ["it", "m10"]
    assert names(tmp_path / "x.h5") == [
        "model_weights/b/b/k:0",
        "model_weights/b/b/a:0",
        "model_weights/a/c/x/w",
        "model_weights/extra",
        "optimizer_weights/it",
        "optimizer_weights/m10",
        "optimizer_weights/m2",
        "zz",
    ]


def test_order_of_weights_at_the_root_in_split_lists(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for index in range(12):
            group = file.create_group(f"l{index}")
            group.attrs["weight_names"] = [f"l{index}/w"]
            group[f"l{index}/w"] = [1.0]
        layers = [f"l{index}" for index in reversed(range(12))]
        file.attrs["layer_names0"] = layers[:5]
        file.attrs["layer_names1"] = np.array(layers[5:10], "S9")
        file.attrs["layer_names3"] = ["l1"]  # after a gap: not read
    layers = [*layers[:10], "l0", "l1"]
    assert names(tmp_path / "x.h5") == [f"{layer}/{layer}/w" for layer in layers]


@pytest.mark.parametrize("value", [1.5, [1, 2], b"\xff\xfe", h5py.Empty("S3"), [[b"a"], [b"b"]]])
def test_lists_that_lie_are_text(tmp_path: Path, value: object) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["model_weights/a/w"] = [1.0]
        file["model_weights"].attrs["layer_names"] = value
        file["model_weights/a"].attrs["weight_names"] = value
    assert names(tmp_path / "x.h5") == ["model_weights/a/w"]


def test_order_of_other_trees_counts_numbers(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name in ("dense_10/vars/0", "dense/vars/10", "dense/vars/2", "dense_2/vars/0"):
            file[f"layers/{name}"] = [1.0]
        tracked = file.create_group("tracked", track_order=True)
        for name in ("z", "b", "y"):
            tracked[name] = [1.0]
    assert names(tmp_path / "x.h5") == [
        "layers/dense/vars/2",
        "layers/dense/vars/10",
        "layers/dense_2/vars/0",
        "layers/dense_10/vars/0",
        "tracked/z",
        "tracked/b",
        "tracked/y",
    ]


@given(names=st.lists(st.text(st.sampled_from("a_019"), max_size=6), unique=True))
def test_natural_keys_tell_all_names_apart(names: list[str]) -> None:
    assert len({natural_key(name) for name in names}) == len(names)
    sorted(names, key=natural_key)
    assert natural_key("d_" + "9" * 5000) > natural_key("d_" + "8" * 5000)
