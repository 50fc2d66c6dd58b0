"""HDF5's filters undone: equal to what HDF5 itself makes of its chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError
from mcodec.formats.hdf5_filters import pipeline, undo
from mcodec.formats.registry import open_source

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS: list[dict[str, Any]] = [
    {"compression": "gzip"},
    {"compression": "lzf"},
    {"fletcher32": True},
    {"shuffle": True, "compression": "gzip", "fletcher32": True},
    {"shuffle": True, "compression": "lzf", "fletcher32": True},
]
# Noise, runs, and repeats of some length: what LZF's copies and literals are made of.
data = st.lists(
    st.builds(lambda part, count: part * count, st.binary(max_size=40), st.integers(1, 60)),
    max_size=8,
).map(lambda parts: b"".join(parts)[:3000] + b"\xff")


@given(raw=data, width=st.sampled_from([1, 2, 4, 3]), options=st.sampled_from(OPTIONS))
def test_as_the_library(tmp_path: Path, raw: bytes, width: int, options: dict[str, Any]) -> None:
    raw += bytes(-len(raw) % width)
    values = np.frombuffer(raw, f"V{width}")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("w", data=values, chunks=values.shape, **options)
        mask, stored = dataset.id.read_direct_chunk((0,))
        filters = pipeline(dataset.id.get_create_plist())
    assert undo(stored, filters, mask, len(raw)) == raw


@given(stored=st.binary(max_size=80), size=st.integers(1, 200))
@pytest.mark.parametrize("options", [*OPTIONS, {"scaleoffset": 0}])
def test_noise_is_refused_or_has_its_size(
    tmp_path_factory: pytest.TempPathFactory, options: dict[str, Any], stored: bytes, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "filters.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("w", (size,), "u1", chunks=(size,), **options)
        filters = pipeline(dataset.id.get_create_plist())
    try:
        out = undo(stored, filters, 0, size)
    except FormatError:
        return
    assert out is None or len(out) == size


@pytest.mark.parametrize("values", [np.zeros(5000, "u2"), np.full(5001, 255, "u1")])
def test_checksums_of_sums_that_fold(tmp_path: Path, values: Any) -> None:
    """0 and 65,535 are the same number to Fletcher's sums, but not the same checksum."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("w", data=values, chunks=values.shape, fletcher32=True)
    source = open_source(tmp_path / "x.h5")
    assert np.array_equal(source.read(0, 0, values.size), values)
    source.close()
