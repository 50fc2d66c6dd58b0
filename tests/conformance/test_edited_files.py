"""The reference decoder takes every file whose tasks were changed, and decodes it to the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_reference_decoder import decoder

import mcodec
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def assert_both_read(path: Path) -> None:
    """Check that both readers see the same tasks, tensors and bits."""
    found: dict[str, dict[str, Any]] = decoder.decode(path.read_bytes())
    with mcodec.open(path, jobs=1) as file:
        assert list(found) == list(file.tasks)
        for name, tensors in found.items():
            task = file.task(name)
            assert list(tensors) == list(task)
            for key, (_, shape, data) in tensors.items():
                assert (tuple(shape), data) == (task[key].shape, task[key].tobytes())


OPTIONS: tuple[dict[str, Any], ...] = ({}, {"bits": 6}, {"optimize": "file"})
# Nothing stands on anything in a progressive file.
CASES = [
    pytest.param(layout, options, id=f"{layout} {options}")
    for layout in ("task", "interleaved", "progressive")
    for options in (OPTIONS[:2] if layout == "progressive" else OPTIONS)
]


@pytest.mark.parametrize(("layout", "options"), CASES)
def test_changed_files(tmp_path: Path, layout: str, options: dict[str, Any]) -> None:
    path = tmp_path / "x.mc"
    base: dict[str, NDArray[Any]] = {
        "w": cases.weights("float32", (130, 128), 1),
        "v": cases.weights("float32", (20, 9), 2),
        "n": np.arange(300),
    }
    tuned = base | {"w": base["w"] * np.float32(1.001)}
    masked = base | {"w": np.where(base["w"] > 0, base["w"], np.float32(0))}
    other = cases.network(5)
    mcodec.pack({"base": base, "other": other}, path, layout=layout, jobs=1, **options)
    mcodec.add(path, "tuned", tuned, jobs=1, **options)
    mcodec.add(path, "masked", masked, jobs=1, **options)
    assert_both_read(path)
    mcodec.rm(path, "base")
    assert_both_read(path)
    mcodec.replace(path, "other", tuned | {"more": other["head/kernel"]}, jobs=1, **options)
    assert_both_read(path)
    mcodec.rename(path, {"other": "tuned", "tuned": "other"})
    assert_both_read(path)
    mcodec.add(path, "base", base, jobs=1, **options)
    assert_both_read(path)
