"""Where chunks wait until the front is known."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

import mcodec
from mcodec.container import writer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("layout", ["task", "interleaved", "progressive"])
def test_a_model_larger_than_the_spool(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    arrays = {f"w{i}": random.normal(size=(40, 500)).astype(np.float32) for i in range(3)}
    sources = {"A": arrays, "B": arrays}
    mcodec.pack(sources, tmp_path / "memory.mc", layout=layout)
    monkeypatch.setattr(writer, "SPOOL", 5000)
    mcodec.pack(sources, tmp_path / "disk.mc", layout=layout)
    with mcodec.open(tmp_path / "disk.mc") as file:
        assert (file.reader.header.front_offset == 64) == (layout == "progressive")
        for name, array in arrays.items():
            assert file.task("B")[name].tobytes() == array.tobytes()
    assert not mcodec.verify(tmp_path / "disk.mc", deep=True, against=sources).differences
    if layout == "progressive":
        assert (tmp_path / "disk.mc").read_bytes() == (tmp_path / "memory.mc").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["disk.mc", "memory.mc"]
