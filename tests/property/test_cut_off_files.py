"""A progressive file that ends early opens at its last whole level, or says that it is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import FormatError
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mcodec.container.rows import Row


def model(seed: int) -> dict[str, NDArray[Any]]:
    """Return a small model with NaN in a lossless part."""
    arrays = {
        "kernel": cases.weights("float32", (140, 130), seed),
        "small": cases.weights("float32", (5, 7), seed + 1),
        "half": cases.weights("float16", (9, 9), seed + 2),
        "bias": cases.weights("float32", (130,), seed + 3),
        "steps": np.arange(4),
        "nothing": np.zeros((0, 2), np.float32),
    }
    arrays["bias"][:2] = np.nan, -np.inf
    return arrays


@pytest.fixture(params=[{"bits": [12, 5]}, {}], ids=["fused", "lossless"])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "whole.mc"
    models = {"A": model(1), "B": model(9)}
    mcodec.pack(models, path, layout="progressive", jobs=1, **request.param)
    return path


def levels(path: Path) -> list[tuple[int, Row]]:
    """Return every stored chunk with its level, in the order of the file."""
    found = []
    with mcodec.open(path) as file:
        reader = file.reader
        for run, spec in enumerate(reader.runs):
            for block in range(-1, spec.blocks):
                for row in reader.rows(run, block):
                    if row.stored:
                        level = reader.specs(run, block, row.mode)[row.first].level
                        found.append((level, row))
    return sorted(found, key=lambda item: item[1].offset)


def test_every_chunk_boundary(whole: Path, tmp_path: Path) -> None:
    data, chunks = whole.read_bytes(), levels(whole)
    order = [level for level, _ in chunks]
    assert order == sorted(order)
    last = max(order)
    ends = {0, 63, 64, 65, *(row.offset for _, row in chunks)}
    ends |= {row.offset + row.stored + near for _, row in chunks for near in (-1, 0, 1)}
    cut = tmp_path / "cut.mc"
    expected = {}
    with mcodec.open(whole, jobs=1) as file:
        for planes in range(last + 1):
            tasks = [file.task(name, planes=planes) for name in file.tasks]
            expected[planes] = [{name: task[name] for name in task} for task in tasks]
    opened = set()
    for size in sorted(end for end in ends if end < len(data)):
        cut.write_bytes(data[:size])
        missing = [level for level, row in chunks if row.offset + row.stored > size]
        if not missing:
            continue
        with pytest.raises(FormatError) as caught:
            mcodec.open(cut)
        assert caught.value.code == ("not_mcodec" if size < 8 else "file_truncated")
        if missing[0] == 0:
            with pytest.raises(FormatError) as caught:
                mcodec.open(cut, partial=True)
            assert caught.value.code == ("not_mcodec" if size < 8 else "file_truncated")
            continue
        with mcodec.open(cut, partial=True, jobs=1) as file:
            assert file.reader.levels == missing[0] - 1
            if size % 3 == 0 or missing[0] not in opened:
                for name, model in zip(file.tasks, expected[missing[0] - 1], strict=True):
                    compare(file.task(name), model)
        opened.add(missing[0])
    assert opened == set(range(1, last + 1))


def compare(task: Any, expected: dict[str, NDArray[Any]]) -> None:
    """Compare decodes; a cut-off file cannot tell a NaN whose planes are missing from infinity."""
    for name, array in expected.items():
        found = task[name]
        if array.dtype.kind == "f":
            lost = np.isnan(array) & np.isinf(found)
            assert name == "bias" or not lost.any()
            found[lost] = array[lost]
        assert cases.same_bits(found, array), name


def test_a_whole_file_opens_whole(whole: Path) -> None:
    with mcodec.open(whole, partial=True) as file:
        assert file.reader.levels is None


def test_only_progressive_files_open_in_part(tmp_path: Path) -> None:
    path = tmp_path / "task.mc"
    mcodec.pack({"A": model(1)}, path, bits=8, jobs=1)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError) as caught:
        mcodec.open(path, partial=True)
    assert caught.value.code == "file_truncated"


def test_fewer_planes_than_there_are(whole: Path, tmp_path: Path) -> None:
    # What is cut off is a limit, not a wish: fewer planes than are there can be asked for.
    data, chunks = whole.read_bytes(), levels(whole)
    end = next(row.offset for level, row in chunks if level == 4)
    (tmp_path / "cut.mc").write_bytes(data[:end])
    with mcodec.open(tmp_path / "cut.mc", partial=True) as cut, mcodec.open(whole) as file:
        for planes, given in ((1, 1), (2, 2), (3, 3), (9, 3)):
            ours = cut.task("A", planes=planes)["kernel"]
            assert cases.same_bits(ours, file.task("A", planes=given)["kernel"])
