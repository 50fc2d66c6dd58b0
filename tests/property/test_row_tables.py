"""Rows that are accepted at a glance are those that the rules accept, one by one."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec import stored
from mcodec.errors import FormatError
from support import cases
from support.forge import Forged

if TYPE_CHECKING:
    from pathlib import Path

PACKS: dict[str, dict[str, Any]] = {
    "float": {"codec": "float"},
    "fused": {"bits": 12},
    "progressive": {"bits": 5, "layout": "progressive"},
    "compact": {"codec": "bfp(bits=6,signs=compact)"},
    "csr": {"codec": "csr", "force": True},
    "delta": {"optimize": "file"},
}
FIELDS = ("offset", "stored", "raw", "coder", "fill", "first", "streams", "mode")


@pytest.fixture(scope="module", params=PACKS)
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path: Path = tmp_path_factory.mktemp("rows") / "good.mc"
    model = cases.network() | {"large": cases.weights("float32", (600, 700))}
    noise = {name: array + array.dtype.type(0) for name, array in model.items()}
    noise["large"] = model["large"] * 1.001
    mcodec.pack({"A": model, "B": noise}, path, **PACKS[request.param])
    return path.read_bytes()


def opened(path: Path) -> str:
    """Return the reason why a file is refused; nothing where it opens."""
    try:
        mcodec.open(path).close()
    except FormatError as error:
        return error.code
    return ""


@given(data=st.data())
def test_a_glance_and_the_rules_agree(
    sound: bytes, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    forged = Forged.of(sound)
    for _ in range(data.draw(st.integers(0, 2))):
        row = data.draw(st.sampled_from(forged.rows))
        field = data.draw(st.sampled_from(FIELDS))
        changes = (0, 1, row[field] + 1, row[field] - 1, row[field] ^ 64, row[field] * 2)
        wide = {"offset": 64, "stored": 32, "raw": 32}.get(field, 8)
        row[field] = data.draw(st.sampled_from(changes)) % (1 << wide)
    path = tmp_path_factory.mktemp("changed") / "changed.mc"
    path.write_bytes(forged.build())
    at_a_glance = opened(path)
    with mock.patch.object(stored, "plain_rows", return_value=0):
        assert opened(path) == at_a_glance


def test_the_glance_is_what_sees_most(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "good.mc"
    path.write_bytes(sound)
    assert struct.unpack_from("<I", sound, 40)[0] > 10
    glance = stored.plain_rows
    seen: list[int] = []

    def watched(*arguments: Any) -> int:
        seen.append(glance(*arguments))
        return seen[-1]

    with mock.patch.object(stored, "plain_rows", side_effect=watched):
        assert not opened(path)
    assert sum(map(bool, seen)) >= len(seen) // 3
