"""The library and the reference decoder make the same of any file, sound or not.

Valid vectors are changed by chance, with every hash made right again; then both readers decode
them to the same bits, or refuse them with the same reason code.
"""

from __future__ import annotations

import copy
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, note
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

import mcodec
from mcodec.errors import FormatError
from mcodec.types import dtype_name, numpy_dtype
from support.forge import Forged
from support.junk import mutate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "spec" / "vectors"
MANIFEST: dict[str, Any] = json.loads((VECTORS / "manifest.json").read_text("utf-8"))
BUDGET = 1 << 22
SMALL = [
    path
    for path, entry in MANIFEST.items()
    if path.startswith("valid/")
    and "partial" not in entry
    and 64 < (VECTORS / path).stat().st_size < 4200
    and (VECTORS / path).read_bytes()[24:32] == (64).to_bytes(8, "little")
    and not {"blocks", "budget"} & set(Path(path).stem.split("-"))
]
# Found when chunks are read, in the reader's own order of runs.
READING = {"chunk_checksum", "chunk_corrupt", "stream_invalid", "digest_mismatch"}
READING |= {"padding_nonzero"}
Outcome = dict[str, Any] | str


def load() -> Any:
    sys.path.insert(0, str(ROOT / "spec"))
    try:
        return importlib.import_module("reference_decoder")
    finally:
        sys.path.remove(str(ROOT / "spec"))


decoder = load()


def by_reference(data: bytes, partial: bool = False, **ask: Any) -> Outcome:
    try:
        found: dict[str, Any] = decoder.decode(data, partial, budget=BUDGET, **ask)
    except decoder.Refused as refusal:
        return str(refusal.code)
    return found


def by_library(path: Path, data: bytes, partial: bool = False, **ask: Any) -> Outcome:
    path.write_bytes(data)
    options: dict[str, Any] = {"planes": ask.get("planes"), "midpoint": ask.get("mid")}
    options = {key: value for key, value in options.items() if value is not None}
    try:
        with mcodec.open(path, partial=partial, max_decoded=BUDGET, jobs=1) as file:
            found = {
                name: {
                    tensor: (dtype_name(array.dtype), array.shape, array.tobytes())
                    for tensor, array in file.task(name, **options).items()
                }
                for name in file.tasks
            }
        if not partial:
            mcodec.verify(path, deep=True, max_decoded=BUDGET, jobs=1)
    except FormatError as error:
        return error.code
    return found


def agree(path: Path, data: bytes, **ask: Any) -> None:
    one, two = by_reference(data, **ask), by_library(path, data, **ask)
    if isinstance(one, str) and isinstance(two, str):
        note(f"reference: {one}, library: {two}")
        assert one == two or {one, two} <= READING
    else:
        assert one == two


def forged(path: str) -> Forged:
    return Forged.of((VECTORS / path).read_bytes())


def block_of(file: Forged, index: int) -> list[int]:
    """Rows of the block, or the head, that a row belongs to."""
    first = max(i for i in range(index + 1) if file.rows[i]["first"] == 0)
    behind = range(first + 1, len(file.rows))
    return list(
        range(first, next((i for i in behind if file.rows[i]["first"] == 0), len(file.rows)))
    )


def resize(file: Forged, index: int, length: int) -> None:
    """Let a row have more or less of the bytes of its place."""
    row = file.rows[index]
    row["stored"], row["raw"] = (length, length) if row["coder"] == 1 else (length, row["raw"])
    row["hash"] = xxh3_64_intdigest(file.chunk(index))


def change_row(file: Forged, data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(file.rows))
    field = data.draw(st.sampled_from(["raw", "coder", "fill", "first", "streams", "mode"]))
    near = data.draw(
        st.sampled_from((0, 1, 2, 16, row[field] + 1, max(row[field] - 1, 0), 2 * row[field]))
    )
    row[field] = near % 2 ** (32 if field == "raw" else 8)


def change_mode(file: Forged, data: st.DataObject) -> None:
    mode = data.draw(st.integers(0, 255) | st.sampled_from((1, 2, 16, 17, 32)))
    for index in block_of(file, data.draw(st.integers(0, len(file.rows) - 1))):
        file.rows[index]["mode"] = mode


def change_chunk(file: Forged, data: st.DataObject) -> None:
    stored = [index for index, row in enumerate(file.rows) if row["stored"]]
    if stored:
        index = data.draw(st.sampled_from(stored))
        place, value = data.draw(st.integers(0, 2**12)), data.draw(st.integers(1, 255))
        file.damage(index, place, value)


def change_length(file: Forged, data: st.DataObject) -> None:
    stored = [index for index, row in enumerate(file.rows) if row["stored"]]
    if stored:
        index = data.draw(st.sampled_from(stored))
        length = file.rows[index]["stored"] + data.draw(st.sampled_from((-2, -1, 1, 2)))
        resize(file, index, max(length, 0))


def change_manifest(file: Forged, data: st.DataObject) -> None:
    more: list[Any] = [{"id": "csr"}, {"id": "int8"}, {"id": "delta"}, {"id": "mask"}]
    more += [{"id": "float"}, {"id": "mask", "owner": 2}, "axis:0", "axis:1", "compact", "uint8"]
    more += ["float32", [0, 0], [[[0, 0]]]]
    parts = [file.manifest.get(key) for key in ("codecs", "runs")]
    more += copy.deepcopy([item for part in parts if isinstance(part, list) for item in part])
    mutate(file.manifest, data, more)


CHANGES = [change_row, change_mode, change_chunk, change_length, change_manifest]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@given(st.sampled_from(SMALL), st.integers(1, 2), st.data())
def test_any_change(
    tmp_path: Path,
    change: Callable[[Forged, st.DataObject], None],
    path: str,
    times: int,
    data: st.DataObject,
) -> None:
    file = forged(path)
    for _ in range(times if file.rows else 0):
        change(file, data)
    agree(tmp_path / "x.mc", file.build())


@given(
    st.sampled_from([p for p in MANIFEST if p.startswith("valid/") and p in SMALL]),
    st.integers(0, 26),
    st.sampled_from([None, False, True]),
)
def test_any_planes(tmp_path: Path, path: str, planes: int, mid: bool | None) -> None:
    agree(tmp_path / "x.mc", (VECTORS / path).read_bytes(), planes=planes, mid=mid)


@given(
    st.sampled_from([p for p in SMALL if (VECTORS / p).read_bytes()[11] == 2]),
    st.floats(0, 1),
    st.sampled_from([None, 1, 3]),
)
def test_any_cut(tmp_path: Path, path: str, share: float, planes: int | None) -> None:
    whole = (VECTORS / path).read_bytes()
    agree(tmp_path / "x.mc", whole[: int(share * len(whole))], partial=True, planes=planes)


OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"optimize": "file"},
    {"codec": "csr(values=bfp(bits=5,scope=axis:0,signs=compact))", "force": True},
    {"codec": "csr(values=int8(scope=axis:-1))", "force": True},
    {"codec": "csr", "force": True, "layout": "progressive"},
    {"codec": "int8(scope=axis:0)"},
    {"codec": "int8", "layout": "progressive"},
    {"codec": "delta"},
    {"codec": "delta(values=bfp(bits=6,scope=axis:-1))"},
    {"codec": "mask"},
    {"bits": 7},
)


def relatives(rng: np.random.Generator, dtype: Any) -> dict[str, dict[str, NDArray[Any]]]:
    """Make tasks that have weights of one another, steps between them, and masks in one another."""
    shapes = [tuple(rng.integers(1, 9, rng.integers(0, 4))) for _ in range(6)] + [(0, 3), (40, 9)]
    shapes += [(130, 127)] if rng.random() < 0.1 else []
    base = [np.asarray(rng.normal(size=shape) * 0.05).astype(dtype) for shape in shapes]
    near = [np.asarray(b + b * (rng.random(b.shape) - 0.5) * 0.01).astype(dtype) for b in base]
    order = [rng.random(b.shape) for b in base]
    nothing = np.zeros((), dtype)
    few, many = (
        [np.where(o < share, b, nothing) for o, b in zip(order, base, strict=True)]
        for share in (0.3, 0.7)
    )
    return {
        task: {f"{i}/kernel": array for i, array in enumerate(arrays)}
        for task, arrays in (("A", base), ("B", near), ("C", few), ("D", many))
    }


@given(
    st.sampled_from(OPTIONS),
    st.sampled_from(["float16", "bfloat16", "float32", "float64"]),
    st.integers(0, 2**32),
)
def test_what_the_library_writes(
    tmp_path: Path, options: dict[str, Any], dtype: str, seed: int
) -> None:
    assume(dtype != "float64" or not options.get("codec", "").startswith("delta(values"))
    path = tmp_path / "w.mc"
    models = relatives(np.random.default_rng(seed), numpy_dtype(dtype))
    mcodec.pack(models, path, jobs=1, **options)
    found = by_reference(path.read_bytes())
    assert not isinstance(found, str), found
    assert found == by_library(path, path.read_bytes())
    if not options.get("codec") and "bits" not in options:
        for task, tensors in models.items():
            for name, array in tensors.items():
                assert found[task][name] == (dtype, array.shape, array.tobytes())
