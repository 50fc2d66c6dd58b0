"""HDF5 files made to harm: other files, bombs, loops, and what makes the library itself fail."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t, h5z

from mcodec import limits
from mcodec.errors import FormatError
from mcodec.formats.registry import open_source
from support.models import arrays

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


NUMBERS = range(4097)


def consume(path: Path) -> None:
    """Open a file, describe it, and read all of it."""
    source = open_source(path)
    try:
        source.skeleton()
        for index, spec in enumerate(source.tensors):
            source.read(index, 0, spec.size)
    finally:
        source.close()


def refused(path: Path, code: str, match: str | None = None) -> None:
    """Check that a file is refused for this reason."""
    with pytest.raises(FormatError, match=match) as caught:
        consume(path)
    assert caught.value.code == code
    assert caught.value.where.startswith(str(path))


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "w", (4,))
    file.create_virtual_dataset("w", layout)


def external(file: h5py.File) -> None:
    file.create_dataset("w", (4,), "f4", external=[("other.bin", 0, 16)])


def with_filters(*codes: int) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_chunk((4,))
        for code in codes:
            plist.set_filter(code, h5z.FLAG_OPTIONAL, (4,))
        h5d.create(file.id, b"w", h5t.IEEE_F32LE, h5s.create_simple((4,)), plist)

    return make


def link(target: object) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        file["g/w"] = target

    return make


def cycle(file: h5py.File) -> None:
    file["a/b/up"] = file.create_group("a")


def root_cycle(file: h5py.File) -> None:
    file["up"] = file["/"]


def many_paths(file: h5py.File) -> None:
    """2 ** 30 ways to one dataset."""
    below: Any = file.create_dataset("w", data=[1.0])
    for level in range(30):
        group = file.create_group(f"g{level:02d}")
        group["a"] = group["b"] = below
        below = group


def large_together(file: h5py.File) -> None:
    for index in range(3):
        file.create_dataset(f"w{index}", (1 << 29,), "u1")


def deep(file: h5py.File) -> None:
    file["/".join("g" * 300)] = [1.0]


REFUSED: dict[str, tuple[Callable[[h5py.File], None], str, str]] = {
    "soft link": (link(h5py.SoftLink("/x")), "source_refused", "'g/w' is a soft link"),
    "external link": (link(h5py.ExternalLink("x.h5", "/")), "source_refused", "external link"),
    "virtual": (virtual, "source_refused", "virtual"),
    "external": (external, "source_refused", "other files"),
    "unknown filter": (with_filters(32_999), "source_refused", "unknown filter 32999"),
    "n-bit": (with_filters(h5z.FILTER_NBIT), "source_refused", "unknown filter"),
    "twice": (with_filters(1, 1), "source_refused", "gzip twice"),
    "cycle": (cycle, "source_refused", "lies in"),
    "root cycle": (root_cycle, "source_refused", "lies in"),
    "paths": (many_paths, "limit_exceeded", "paths"),
    "deep": (deep, "limit_exceeded", "deeper"),
    "name": (lambda file: file.create_dataset("x" * 5000, data=1), "limit_exceeded", "longer"),
    "not UTF-8": (lambda file: file.create_dataset(b"\xff", data=1), "source_refused", "UTF-8"),
    "members": (
        lambda f: f.create_dataset(
            "w", (), h5py.enum_dtype({str(i): i for i in range(4097)}, "i4")
        ),
        "limit_exceeded",
        "4096 members",
    ),
    "element": (lambda f: f.create_dataset("w", (), "V70000"), "limit_exceeded", "elements"),
    "never stored": (
        lambda file: file.create_dataset("w", (1 << 40,), "f4", chunks=(1024,)),
        "decoded_too_large",
        "declares",
    ),
    "chunk": (
        lambda f: f.create_dataset("w", (1,), "u1", chunks=(1 << 31,), maxshape=(None,)),
        "decoded_too_large",
        "declares",
    ),
    "sum": (large_together, "decoded_too_large", "in all"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    make, code, match = REFUSED[name]
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        make(file)
    refused(path, code, match)


@pytest.mark.parametrize(
    ("limit", "match"), [("MAX_SOURCE_OBJECTS", "more than 3"), ("MAX_TENSORS", "more than 3")]
)
def test_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, match: str) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for index in range(5):
            file[f"w{index}"] = [1.0]
    monkeypatch.setattr(f"mcodec.formats.hdf5_walk.{limit}", 3)
    refused(tmp_path / "x.h5", "limit_exceeded", match)


def test_attribute_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["a"] = np.zeros(1000)
    monkeypatch.setattr("mcodec.formats.hdf5_guards.MAX_ATTRIBUTE_BYTES", 7999)
    refused(tmp_path / "x.h5", "limit_exceeded", "besides tensors")


def chunked(path: Path, stored: bytes, mask: int = 0, **options: Any) -> None:
    """Write a dataset of 1,000 bytes whose one chunk is stored like this."""
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("w", (1000,), "u1", chunks=(1000,), **options)
        dataset.id.write_direct_chunk((0,), stored, mask)


@pytest.mark.parametrize(
    ("stored", "options", "code"),
    [
        (zlib.compress(bytes(10)), {"compression": "gzip"}, "source_invalid"),
        (zlib.compress(bytes(999)), {"compression": "gzip"}, "source_invalid"),
        (zlib.compress(bytes(1001)), {"compression": "gzip"}, "source_invalid"),
        (zlib.compress(bytes(1 << 24)), {"compression": "gzip"}, "decoded_too_large"),
        (zlib.compress(bytes(1000))[:-6], {"compression": "gzip"}, "source_invalid"),
        (b"\0" * 20, {"compression": "gzip"}, "source_invalid"),
        (b"abcdefgh", {"compression": "lzf"}, "source_invalid"),
        (b"\x20", {"compression": "lzf"}, "source_invalid"),
        (b"\x3f\xff\xff", {"compression": "lzf"}, "source_invalid"),
        (b"\0a" + b"\xe0\xff\0" * 200, {"compression": "lzf"}, "decoded_too_large"),
        (b"a", {"fletcher32": True}, "source_invalid"),
        (bytes(1003) + b"x", {"fletcher32": True}, "source_invalid"),
        (b"short", {}, "source_invalid"),
        (b"\x09\0\0\0\x08" + bytes(40), {"scaleoffset": 0}, "source_invalid"),
        (b"\x40\0\0\0\x08" + bytes(40), {"scaleoffset": 0}, "source_invalid"),
        (b"\x08\0\0\0\x08" + bytes(1015), {"scaleoffset": 0}, "source_invalid"),
    ],
)
def test_chunks_that_lie(tmp_path: Path, stored: bytes, options: dict[str, Any], code: str) -> None:
    """HDF5 inflates without a limit, and reads past chunks that come out too short."""
    chunked(tmp_path / "x.h5", stored, **options)
    refused(tmp_path / "x.h5", code)


def test_chunks_of_what_is_no_tensor_are_proven_too(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset(
            "w", (10,), h5py.string_dtype(), chunks=(10,), compression="gzip"
        )
        dataset.id.write_direct_chunk((0,), zlib.compress(bytes(16)))
    refused(tmp_path / "x.h5", "source_invalid", "a chunk has")


def test_chunks_may_leave_filters_out(tmp_path: Path) -> None:
    chunked(tmp_path / "x.h5", bytes(range(250)) * 4, mask=1, compression="gzip")
    assert arrays(tmp_path / "x.h5")["w"].tobytes() == bytes(range(250)) * 4


def heap_file(path: Path, count: int) -> bytearray:
    """Write a file with one large string and `count` small ones."""
    with h5py.File(path, "w") as file:
        file.attrs["large"] = "x" * 300_000
        file.attrs.create("many", ["abcd"] * count, dtype=h5py.string_dtype())
    return bytearray(path.read_bytes())


def test_many_strings_beside_a_large_one(tmp_path: Path) -> None:
    heap_file(tmp_path / "x.h5", 2000)
    source = open_source(tmp_path / "x.h5")
    assert source.skeleton().count(b"abcd") == 2000
    source.close()


def test_one_large_string_named_many_times(tmp_path: Path) -> None:
    """2,000 descriptors of 300 kB each would be 600 MB from a file of half a megabyte."""
    path = tmp_path / "x.h5"
    data = heap_file(path, 2000)
    large = data.index(struct.pack("<I", 300_000))
    descriptor = data[large : large + 16]
    small = struct.pack("<I", 4)
    place = data.find(small)
    while place >= 0:
        address = int.from_bytes(data[place + 4 : place + 12], "little")
        if data[address : address + 4] == b"GCOL":
            data[place : place + 16] = descriptor
        place = data.find(small, place + 1)
    path.write_bytes(data)
    refused(path, "limit_exceeded", "together")


@pytest.mark.parametrize(
    ("at", "value", "match"),
    [
        (8, 1 << 27, "do not fit"),
        (24, 1 << 40, "damaged"),
        (24, 0xFFFFFFFFFFFFFFF8, "damaged"),
        (24, 100, "damaged"),
    ],
)
def test_heaps_that_would_hang_the_library(tmp_path: Path, at: int, value: int, match: str) -> None:
    path = tmp_path / "x.h5"
    data = heap_file(path, 3)
    heap = data.rindex(b"GCOL")
    data[heap + at : heap + at + 8] = value.to_bytes(8, "little")
    path.write_bytes(data)
    refused(path, "source_invalid", match)


def test_what_looks_like_a_heap_inside_a_heap(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["a"] = "xGCOL\x01" + "x" * 50
        file.attrs["b"] = "b"
    data = (tmp_path / "x.h5").read_bytes()
    inner = data.index(b"xGCOL\x01") + 1
    (tmp_path / "x.h5").write_bytes(data[: inner + 5] + bytes(3) + data[inner + 8 :])
    consume(tmp_path / "x.h5")


def test_sequences_of_no_known_kind(tmp_path: Path) -> None:
    """HDF5 2.0.0 calls through a null pointer for these."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.attrs["a"] = ["x"]
    data = bytearray(path.read_bytes())
    tid = bytes.fromhex("19010100")
    data[data.index(tid) + 1] = 0x0E
    path.write_bytes(data)
    refused(path, "source_invalid", "unknown kind")


def test_data_past_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["w"] = np.zeros(1000)
        offset = file["w"].id.get_offset()
    data = path.read_bytes()
    address = data.index(struct.pack("<QQ", offset, 8000))
    path.write_bytes(data[:address] + struct.pack("<Q", len(data) - 10) + data[address + 8 :])
    refused(path, "source_invalid")


def test_limits_are_those_of_the_documents() -> None:
    assert limits.decoded_budget(0) == limits.GIB
    assert limits.MAX_SOURCE_DEPTH == 256
