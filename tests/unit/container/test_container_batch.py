"""Several blocks read at once are what they are one by one, from every kind of source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pytest

import mcodec
from mcodec.stored import Scratch
from mcodec.types import BLOCK, RAW
from support import cases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mcodec.api.handle import File

PACKS: dict[str, dict[str, Any]] = {
    "auto": {},
    "float": {"codec": "float"},
    "fused": {"bits": 12},
    "fused, layout task": {"bits": {"A": 12, "B": 7}, "layout": "task"},
    "progressive": {"bits": 5, "layout": "progressive"},
    "compact": {"codec": "bfp(bits=6,signs=compact)"},
    "block scopes": {"codec": "bfp(bits=6,scope=block:32)"},
    "int8": {"codec": "int8(scope=axis:0)"},
    "csr": {"codec": "csr", "force": True},
    "delta": {"optimize": "file"},
}


@pytest.fixture(params=["pread", "mmap", "memory"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param
    fsspec.filesystem("memory").store.clear()


def opened(path: Path, backend: str) -> File:
    if backend != "memory":
        return mcodec.open(path, backend=backend)
    with fsspec.open("memory://batch.mc", "wb") as file:
        file.write(path.read_bytes())
    return mcodec.open("memory://batch.mc")


def tasks() -> dict[str, dict[str, Any]]:
    large = cases.weights("float32", (3, BLOCK // 2 + 5), seed=1)
    large[:, ::3] = 0
    one = {**cases.network(), "large": large}
    noise = np.random.default_rng(2).normal(size=large.shape).astype(np.float32)
    return {"A": one, "B": {**one, "large": large * (1 + 0.01 * noise)}}


@pytest.mark.parametrize("options", PACKS.values(), ids=PACKS)
def test_blocks_at_once_are_blocks_one_by_one(
    options: dict[str, Any], backend: str, tmp_path: Path
) -> None:
    path = tmp_path / "all.mc"
    mcodec.pack(tasks(), path, **options)
    with opened(path, backend) as file:
        reader = file.reader
        places = [
            (run, block) for run, spec in enumerate(reader.runs) for block in range(-1, spec.blocks)
        ]
        scratch = Scratch()
        for chosen in (places, places[::-1], places[::2], []):
            found = reader.read_blocks(chosen, scratch)
            for place, (mode, streams) in zip(chosen, found, strict=True):
                alone = reader.read_streams(*place)
                assert (mode, [bytes(s or b"") for s in streams]) == (
                    alone[0],
                    [bytes(s or b"") for s in alone[1]],
                )


def test_damage_is_named_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "all.mc"
    mcodec.pack({"A": {"large": cases.noise("uint8", (2 * BLOCK,))}}, path, codec="raw")
    with mcodec.open(path) as file:
        rows = file.reader.rows(
            *next((r, 0) for r, s in enumerate(file.reader.runs) if s.blocks > 1)
        )
    data = bytearray(path.read_bytes())
    data[next(row for row in rows if row.coder == RAW).offset + 3] ^= 1
    path.write_bytes(data)
    for options in ({}, {"backend": "mmap"}, {"jobs": 1}):
        with (
            mcodec.open(path, "A", **options) as task,
            pytest.raises(mcodec.errors.FormatError, match="'large'") as error,
        ):
            task.load()
        assert error.value.code == "chunk_checksum"
    with mcodec.open(path, "A", verify="none") as task:
        task.load()
