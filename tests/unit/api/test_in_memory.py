"""Files in memory: the bytes of a file on disk, and read where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import FormatError, InputOutputError, UsageError
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"bits": 12},
    {"bits": 9, "layout": "progressive"},
    {"optimize": "file"},
)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_bytes_are_those_of_a_file(tmp_path: Path, options: dict[str, Any]) -> None:
    models = {"A": cases.network(1), "B": cases.network(2)}
    mcodec.pack(models, tmp_path / "a.mc", **options)
    data = mcodec.dumps(models, **options)
    assert data == (tmp_path / "a.mc").read_bytes()


@pytest.mark.parametrize("layout", ["task", "progressive"])
def test_a_payload_over_the_spool(tmp_path: Path, layout: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 70 << 20, np.uint8)
    mcodec.pack({"A": {"w": noise}}, tmp_path / "a.mc", layout=layout)
    data = mcodec.dumps({"A": {"w": noise}}, layout=layout)
    assert data == (tmp_path / "a.mc").read_bytes()
    with mcodec.loads(data) as file:
        assert np.array_equal(file.task("A")["w"], noise)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_what_was_dumped_is_loaded(kind: Any) -> None:
    model = cases.network(3)
    with mcodec.loads(kind(mcodec.dumps({"A": model})), jobs=2) as file:
        task = file.task("A")
        loaded = task.load()
        for name, array in model.items():
            assert loaded[name].tobytes() == array.tobytes()
            assert task[name].tobytes() == array.tobytes()
    with pytest.raises(InputOutputError):
        task.get_tensor(max(model, key=lambda name: model[name].size))  # small ones are kept


def test_damage_is_refused() -> None:
    data = bytearray(mcodec.dumps({"A": cases.network(3)}))
    with pytest.raises(FormatError, match="memory"):
        mcodec.loads(data[:100])
    data[-1] ^= 1
    with mcodec.loads(data) as file, pytest.raises(FormatError):
        file.task("A").load()


def test_parts_need_a_folder() -> None:
    with pytest.raises(UsageError, match="parts"):
        mcodec.dumps({"A": cases.network(3)}, engine="processes", jobs=2)
