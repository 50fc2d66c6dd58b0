"""Opening from afar takes at most two requests, whatever the file; and checks as from here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.container import header as headers
from mcodec.errors import FormatError
from mcodec.limits import MIB
from mcodec.storage import open_bytes
from support.forge import Forged
from support.rangeserver import RangeServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("aiohttp")
fsspec = pytest.importorskip("fsspec")

Arrays = dict[str, Any]
RNG = np.random.default_rng(1)


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer() as one:
        yield one


def floats(count: int) -> Any:
    return RNG.standard_normal(count, dtype=np.float32)


SMALL: Arrays = {"w": floats(100), "b": floats(3)}
MEDIUM: Arrays = {
    f"layer.{index}": floats(30_000) for index in range(4)
}  # over 64 KiB, front first
MANY: Arrays = {f"layer.{index}.{index * 7919:x}": floats(2) for index in range(20_000)}
LARGE: Arrays = {"w": np.tile(floats(1 << 20), 19)}  # over 64 MiB: front last
KINDS: dict[str, tuple[Arrays, dict[str, Any]]] = {
    "small": (SMALL, {}),
    "medium": (MEDIUM, {}),
    "long front": (MANY, {"codec": "raw"}),
    "long front, progressive": (MANY, {"bits": 8, "layout": "progressive"}),
    "front last": (LARGE, {"codec": "raw"}),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("files")
    found = {}
    for kind, (arrays, options) in KINDS.items():
        mcodec.pack({"A": arrays}, folder / "x.mc", **options)
        found[kind] = (folder / "x.mc").read_bytes()
    return found


def front_of(data: bytes) -> tuple[int, int]:
    header = headers.parse(data[:64])
    return header.front_offset, header.front_offset + header.front_length


def test_the_kinds_are_what_they_are_called(files: dict[str, bytes]) -> None:
    assert len(files["small"]) < 64 * 1024 < len(files["medium"])
    assert front_of(files["medium"])[1] < 64 * 1024
    for kind in ("long front", "long front, progressive"):
        assert front_of(files[kind])[1] > 64 * 1024
        assert front_of(files[kind])[1] < len(files[kind])
    assert front_of(files["front last"])[1] == len(files["front last"]) > 64 * MIB


@pytest.mark.parametrize("fault", ["", "unknown"])  # a server that does not say the size, too
@pytest.mark.parametrize("kind", KINDS)
def test_http_takes_two_requests(
    files: dict[str, bytes], server: RangeServer, kind: str, fault: str
) -> None:
    url = server.put("/x.mc", files[kind])
    server.always = fault
    with mcodec.open(url) as file:
        assert len(server.seen) <= 2
        assert server.sent <= 64 * 1024 + np.subtract(*front_of(files[kind])[::-1]) + 2
        name, array = next(iter(KINDS[kind][0].items()))
        found = file.task().get_tensor(name)
        assert found.shape == array.shape
        if "bits" not in KINDS[kind][1]:
            assert found.tobytes() == array.tobytes()
    assert all(one.method == "GET" for one in server.seen)


@pytest.mark.parametrize("kind", KINDS)
def test_any_other_file_system(files: dict[str, bytes], kind: str, tmp_path: Path) -> None:
    data = files[kind]
    memory = fsspec.filesystem("memory")
    memory.pipe("/mcodec/x.mc", data)
    try:
        with mcodec.open("memory://mcodec/x.mc") as file:
            for name, array in list(KINDS[kind][0].items())[:3]:
                assert file.task().get_tensor(name).shape == array.shape
        check_damaged("memory://mcodec/x.mc", data, lambda one: memory.pipe("/mcodec/x.mc", one))
    finally:
        memory.rm("/mcodec", recursive=True)
    path = tmp_path / "x.mc"
    path.write_bytes(data)
    with mcodec.open(path.as_uri()) as file:
        assert file.tasks == ("A",)


@pytest.mark.parametrize("kind", ["small", "medium", "front last"])
def test_http_lengths_that_are_wrong(
    files: dict[str, bytes], server: RangeServer, kind: str
) -> None:
    url = server.url + "/x.mc"
    for fault in ("", "unknown"):
        server.always = fault
        check_damaged(url, files[kind], lambda data: server.put("/x.mc", data))


def check_damaged(url: str, data: bytes, put: Any) -> None:
    """Check that files of other lengths are refused as they are from here."""
    stop = front_of(data)[1]
    lengths = {0, 7, 63, 65, len(data) // 2, stop - 1, len(data) - 1}
    for length in sorted(lengths - {len(data)}):
        put(data[:length])
        expected = "not_mcodec" if length < 8 else "file_truncated"
        assert code(url) == expected, length
    for more in (b"\0", bytes(100_000)):
        put(data + more)
        assert code(url) == "trailing_data", len(more)


def code(url: str) -> str:
    """Open and read a file that is not as long as it says; when it shows, depends on the front."""
    with pytest.raises(FormatError) as caught, mcodec.open(url) as file:
        file.task().get_tensor(next(iter(file.task())))
    assert "\n" not in str(caught.value)
    return caught.value.code


def test_numbers_of_a_hostile_header(files: dict[str, bytes], server: RangeServer) -> None:
    """The codes are those of a file of this machine, and nothing is asked for by such a number."""
    data = files["medium"]
    for field, value, expected in (
        ("file_length", 2**64 - 1, "file_truncated"),
        ("file_length", 2**63 - 64, "file_truncated"),
        ("file_length", 2**50, "file_truncated"),
        ("file_length", 100, "trailing_data"),
        ("front_offset", 2**63, "front_bounds"),
        ("front_offset", len(data) // 64 * 64, "front_bounds"),
        ("front_offset", 65, "front_bounds"),
        ("front_offset", 65536, "front_checksum"),
        ("row_count", 2**32 - 1, "limit_exceeded"),
        ("manifest_stored", 2**32 - 1, "limit_exceeded"),
    ):
        forged = Forged.of(data)
        hostile = forged_header(data, forged, field, value)
        for fault in ("", "unknown"):
            server.always = fault
            assert code(server.put("/x.mc", hostile)) == expected, (field, value)
        memory = fsspec.filesystem("memory")
        memory.pipe("/hostile.mc", hostile)
        assert code("memory://hostile.mc") == expected, (field, value)
        memory.rm("/hostile.mc")
    assert server.sent < 40 * len(data)


def forged_header(data: bytes, forged: Forged, field: str, value: int) -> bytes:
    """Return a file with one number of its header replaced, and the header's hash right."""
    from xxhash import xxh3_64_intdigest

    from support.forge import HEADER

    fields = {**forged.header, field: value, "header_hash": 0}
    head = HEADER.pack(*fields.values())[:56]
    return head + xxh3_64_intdigest(head).to_bytes(8, "little") + data[64:]


@pytest.mark.parametrize("fault", ["", "unknown"])
def test_a_cut_off_progressive_file(server: RangeServer, tmp_path: Path, fault: str) -> None:
    arrays = {"w": floats(200_000)}
    mcodec.pack({"A": arrays}, tmp_path / "x.mc", bits=8, layout="progressive")
    data = (tmp_path / "x.mc").read_bytes()
    cut = data[: len(data) * 3 // 4]
    (tmp_path / "cut.mc").write_bytes(cut)
    server.always = fault
    url = server.put("/x.mc", cut)
    assert code(url) == "file_truncated"
    server.seen.clear()
    with (
        mcodec.open(url, partial=True) as far,
        mcodec.open(tmp_path / "cut.mc", partial=True) as near,
    ):
        assert len(server.seen) <= 2
        assert far.reader.levels == near.reader.levels
        assert far.task().get_tensor("w").tobytes() == near.task().get_tensor("w").tobytes()


def test_a_file_that_grows(server: RangeServer) -> None:
    data = os.urandom(1000)
    url = server.put("/x", data[:600])
    source = open_bytes(url)
    assert source.first(100) == data[:100]
    assert source.size == 600
    server.put("/x", data)
    assert source.refresh() == source.size == 1000
    assert source.read_at(900, 100) == data[900:]
    source.close()
