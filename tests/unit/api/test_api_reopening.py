"""Models that are opened when they are read: how many at once, and what is closed."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from mcodec.api import reopening
from mcodec.api.reopening import OpenModels, PathSource
from mcodec.errors import FormatError, InputOutputError

if TYPE_CHECKING:
    from pathlib import Path


class Model:
    """Counts itself while it is open."""

    open = 0

    def __init__(self) -> None:
        Model.open += 1

    def close(self) -> None:
        Model.open -= 1


def test_those_not_used_for_longest_are_closed() -> None:
    models: Any = OpenModels(6)
    for number in range(10):
        with models.lend(number, Model, 2):
            assert Model.open <= 3
    with models.lend(9, lambda: pytest.fail("it is open"), 2), models.lend(1, Model, 2):
        assert Model.open == 3
    with models.lend(20, Model, 6):  # all others have to go
        assert Model.open == 1
    with models.lend(1, Model, 4), models.lend(2, Model, 4), models.lend(3, Model, 4):
        assert Model.open == 3  # all of them are in use
    models.close()
    assert Model.open == 0


def test_a_model_that_cannot_be_opened_takes_nothing() -> None:
    models: Any = OpenModels(2)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), models.lend(1, lambda: 1 // 0, 2):
            pass
    with models.lend(2, Model, 2):
        assert Model.open == 1
    models.close()


def test_threads_may_read_more_than_may_be_open(tmp_path: Path) -> None:
    models = OpenModels(4)
    sources = []
    for number in range(20):
        path = tmp_path / f"{number}.safetensors"
        save_file({"w": np.full(1000, number)}, path)
        sources.append(PathSource(str(path), "", False, models))

    def check(at: int) -> bool:
        number = at % len(sources)
        return bool((sources[number].read(0, 5, 900) == number).all())

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(check, range(400)))
    models.close()


def test_a_source_is_the_same_in_a_pickle_and_says_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"w": np.arange(10)}, path)
    models = OpenModels(2)
    monkeypatch.chdir(tmp_path)
    source = PathSource("m.safetensors", "", False, models)
    assert [tensor.name for tensor in source.tensors] == ["w"]
    data = pickle.dumps(source)
    assert len(data) < 500
    monkeypatch.chdir("/")
    again = pickle.loads(data)
    assert again.format == "safetensors"
    assert again.read(0, 3, 5).tolist() == [3, 4]
    assert again.identity() == PathSource(str(path), "", False, models).identity()
    models.close()
    monkeypatch.chdir(tmp_path)
    save_file({"v": np.arange(10)}, path)
    with pytest.raises(FormatError, match="the file has changed"):
        source.read(0, 0, 1)
    path.unlink()
    with pytest.raises(InputOutputError, match="no such file"):
        source.read(0, 0, 1)
    with pytest.raises(AttributeError):
        _ = source.nothing
    reopening._open_here().close()


def test_sets_take_more_than_files(tmp_path: Path) -> None:
    assert reopening.descriptors({"a": np.zeros(3)}) == 0
    assert reopening.descriptors(tmp_path / "m.h5") < reopening.descriptors(tmp_path)
    assert reopening.descriptors("m.safetensors.index.json") == reopening.descriptors(str(tmp_path))
