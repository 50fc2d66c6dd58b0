"""Values of any length are those that h5py reads, wherever HDF5 keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from h5py import h5a, h5d, h5s
from hypothesis import given, settings
from hypothesis import strategies as st

from mcodec.formats.hdf5_skeleton import Dataset, Link, decode
from mcodec.formats.registry import open_source
from support.hdf5_damage import FILES, STRING, add_strings
from support.models import arrays

if TYPE_CHECKING:
    from pathlib import Path


def found(path: Path) -> dict[str, list[bytes]]:
    """Return all values of any length that a source gives, by path, or path and name."""
    source = open_source(path)
    try:
        skeleton = decode(source.skeleton())
    finally:
        source.close()
    values: dict[str, Any] = {}
    for item in skeleton.objects:
        if isinstance(item, Dataset):
            values[item.path] = item.value
        if not isinstance(item, Link):
            values |= {f"{item.path}@{one.name}": one for one in item.attributes}
    return {
        name: value.items or [text.encode() for text in value.texts]
        for name, value in values.items()
    }


def expected(path: Path) -> dict[str, list[bytes]]:
    """Return what h5py reads of the same."""
    values: dict[str, list[bytes]] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype == object:
            values[name] = plain(item[()])
        values.update({f"{name}@{key}": plain(value) for key, value in item.attrs.items()})

    with h5py.File(path, "r+") as file:  # HDF5 cannot give fill values of a file it may not write
        add("", file)
        file.visititems(add)
    return values


def plain(value: Any) -> list[bytes]:
    items = np.asarray(value, object).reshape(-1) if not is_sequence(value) else [value]
    return [as_bytes(item) for item in items]


def is_sequence(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype != object


def as_bytes(item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode("utf-8", "surrogateescape")
    return item if isinstance(item, bytes) else item.tobytes()


TEXTS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).map(str.encode),
        st.binary(max_size=40).map(lambda b: b.replace(b"\0", b"")),
        st.integers(0, 9000).map(lambda n: b"x" * n),
    ),
    max_size=12,
)
SEQUENCES = st.lists(
    st.tuples(
        st.sampled_from(["<i4", ">i8", "<f2", ">f8", "u1"]),
        st.lists(st.lists(st.integers(0, 255), max_size=20), min_size=1, max_size=4),
    ),
    max_size=3,
)


@settings(max_examples=25)
@given(
    how=st.sampled_from(sorted(FILES)),
    texts=TEXTS,
    sequences=SEQUENCES,
    times=st.sampled_from([1, 3, 60]),
)
def test_values_are_those_of_h5py(
    tmp_path: Path, how: str, texts: list[bytes], sequences: Any, times: int
) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", **FILES[how]) as file:
        file["t"] = np.dtype("i4")
        file["w"] = np.zeros(3)
        for item in (file, file.create_group("g"), file["t"], file["w"]):
            for index, text in enumerate(texts * times):
                item.attrs.create(f"a{index}", text, dtype=STRING)
            item.attrs.create("all", texts * times, dtype=STRING)
        for index, (dtype, rows) in enumerate(sequences):
            kind = h5py.vlen_dtype(np.dtype(dtype))
            data = np.empty(len(rows), kind)
            data[:] = [np.array(row, dtype) for row in rows]
            file.create_dataset(f"s{index}", data=data, dtype=kind)
            file.attrs.create(f"s{index}", data, dtype=kind)
    assert found(path) == expected(path)


def layouts(file: h5py.File) -> None:
    """Fill a file with strings in every place where a dataset can have them."""
    add_strings(file, "contiguous", h5d.CONTIGUOUS)
    add_strings(file, "compact", h5d.COMPACT)
    add_strings(file, "chunked", h5d.CHUNKED, chunk=(2, 2))
    add_strings(file, "nothing", h5d.CONTIGUOUS, data=False)
    add_strings(file, "no chunk", h5d.CHUNKED, chunk=(2, 2), data=False)
    file.create_dataset("scalar", data="x")
    file.create_dataset("filled", (4,), STRING, fillvalue="fill")
    partly = file.create_dataset("partly", (7,), STRING, fillvalue="fill", chunks=(2,))
    partly[3] = "y"
    lists = file.create_dataset("lists", (3,), h5py.vlen_dtype("<i4"), chunks=(2,))
    lists[1] = [1, 2, 3]


@pytest.mark.parametrize("how", FILES)
def test_layouts(tmp_path: Path, how: str) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", **FILES[how]) as file:
        layouts(file)
    values = found(path)
    assert values == expected(path)
    assert values["partly"] == [b"fill"] * 2 + [b"fill", b"y"] + [b"fill"] * 3
    assert values["nothing"] == [b""] * 15


def test_many_attributes_in_a_heap(tmp_path: Path) -> None:
    """So many that the tree and the heap have blocks of blocks; some are removed again."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for index in range(6000):
            file.attrs[f"attribute number {index}" + "x" * (index % 50)] = f"text {index}"
        for index in range(0, 6000, 7):
            del file.attrs[f"attribute number {index}" + "x" * (index % 50)]
        for index in range(5):
            file.attrs.create(f"large {index}", [f"{index} {i}" for i in range(5000)], dtype=STRING)
    assert found(path) == expected(path)


def test_committed_types_and_zero_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    for how in FILES.values():
        with h5py.File(path, "w", **how) as file:
            file["t"] = STRING
            space = h5s.create_simple((2,))
            attribute = h5a.create(file.id, b"a", file["t"].id, space)
            attribute.write(np.array(["abXcd", "Xabcd"], STRING))
            h5d.create(file.id, b"d", file["t"].id, space)
            file["d"][:] = ["abXcd", "ab"]
        path.write_bytes(path.read_bytes().replace(b"abXcd", b"ab\0cd").replace(b"Xab", b"\0ab"))
        assert found(path) == expected(path) == {"@a": [b"ab", b""], "d": [b"ab", b"ab"]}


def test_data_that_was_never_written_behind_a_user_block(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", userblock_size=1024) as file:
        file.create_dataset("w", (3,), "<i4", fillvalue=7)
    assert arrays(path)["w"].tolist() == [7, 7, 7]
