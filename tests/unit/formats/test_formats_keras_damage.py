"""Damaged Keras archives: read, or refused with one line; nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mcodec.errors import FormatError, McodecError
from mcodec.formats.hdf5_guards import border
from mcodec.formats.keras_archive import WEIGHTS
from mcodec.formats.registry import open_source
from support.keras_files import archive, weights
from support.models import copy_model

if TYPE_CHECKING:
    from pathlib import Path


def consume(path: Path) -> bool:
    try:
        copy_model(path, path.with_name("out.keras"), step=10**6)
    except McodecError as error:
        assert str(error).isprintable()  # noqa: PT017 - most damage is noticed, not all
        return False
    return True


@pytest.mark.parametrize("deflated", [(), (WEIGHTS,)])
def test_damage(tmp_path: Path, deflated: tuple[str, ...]) -> None:
    path = archive(tmp_path / "a.keras", deflated)
    whole = path.read_bytes()
    random = np.random.default_rng(5)
    for place in {*random.integers(0, len(whole), 40).tolist(), len(whole) - 1, 1, 0}:
        path.write_bytes(whole[:place])
        assert not consume(path), place
    results = []
    head = [place for place, byte in enumerate(whole) if byte]
    for place in random.choice(head, 150).tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        results.append(consume(path))
    assert not all(results)


def test_damaged_weights_whose_checksum_is_right(tmp_path: Path) -> None:
    """The checksum says nothing of who wrote them: HDF5 reads them through the window."""
    whole = weights()
    random = np.random.default_rng(6)
    full = [place for place, byte in enumerate(whole) if byte]
    results = []
    for place in random.choice(full, 150).tolist():
        bad = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        results.append(consume(archive(tmp_path / "a.keras", more={WEIGHTS: bad})))
    for cut in random.integers(0, len(whole), 30).tolist():
        assert not consume(archive(tmp_path / "a.keras", more={WEIGHTS: whole[:cut]}))
    assert any(results)
    assert not all(results)


def test_a_file_that_shrinks_while_it_is_open(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.keras")
    source = open_source(path)
    os.truncate(path, 400)
    with pytest.raises(FormatError), border("x"):
        source.skeleton()
    with pytest.raises(FormatError, match="ends early"):
        source.read(0, 0, source.tensors[0].size)
    source.close()
