"""Lengths that lie in HDF5 files: never more memory than the file can fill."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import h5py
import pytest
from h5py import h5d, h5g
from hypothesis import given, settings
from hypothesis import strategies as st

from mcodec.errors import FormatError
from mcodec.formats.files import InputFile
from mcodec.formats.hdf5_guards import Budget
from mcodec.formats.hdf5_headers import Headers
from mcodec.formats.hdf5_heap import GlobalHeaps
from mcodec.formats.hdf5_image import Image
from mcodec.formats.registry import open_source
from support.hdf5_damage import FILES, STRING, add_strings, descriptors, find, with_checksums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LENGTHS = (0xFFFFFFFF, 0x7FFFFFFF, None)  # None: the size of the file, and 1
CHILD = """if True:
    import resource, sys, time
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    from mcodec.errors import FormatError
    from mcodec.formats.registry import open_source
    def consume(path):
        source = open_source(path)
        try:
            source.skeleton()
        finally:
            source.close()
    consume(sys.argv[1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for path in sys.argv[2:]:
        try:
            consume(path)
        except FormatError:
            refused += 1
    print(refused, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def attributes(count: int, lengths: tuple[int, ...] = (1,)) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        for index in range(count):
            file.attrs[f"a{index}"] = f"text {index}"
        for length in lengths:
            file.attrs.create(f"all{length}", ["x"] * length, dtype=STRING)

    return make


def sequences(file: h5py.File) -> None:
    file.create_dataset("s", (2,), h5py.vlen_dtype("<f8"))[0] = [1.0, 2.0]


def only(name: str, layout: int) -> Callable[[h5py.File], None]:
    return lambda file: add_strings(file, name, layout)


HOSTILE: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "header 1": (attributes(12), "old"),
    "header 2": (attributes(5), "latest"),
    "continued": (attributes(7, (30,)), "latest"),
    "dense": (attributes(20), "latest"),
    "dense and ordered": (attributes(20), "ordered"),
    "dense and large": (attributes(9, (300,)), "latest"),
    "user block": (attributes(12), "old, user block"),
    "contiguous": (only("x", h5d.CONTIGUOUS), "old"),
    "compact": (only("x", h5d.COMPACT), "old"),
    "compact, new": (only("x", h5d.COMPACT), "latest"),
    "sequences": (sequences, "old"),
    "fill value": (lambda f: f.create_dataset("x", (4,), STRING, fillvalue="fill"), "old"),
}


def damaged(data: bytes, base: int, most: int) -> Iterator[bytes]:
    """Yield files with one descriptor changed, the first ones and the last ones of all."""
    honest = [place + base for place in descriptors(data[base:])]
    assert honest
    for place in sorted({*honest[: most // 2], *honest[-most // 2 :]}):
        for length in LENGTHS:
            for address in (None, 0xFFFFFFFFFFFFFFFF, 1 << 40, 8):
                out = bytearray(data)
                struct.pack_into("<I", out, place, length or len(data) + 1)
                if address is not None:
                    struct.pack_into("<Q", out, place + 4, address)
                yield bytes(out[:base]) + with_checksums(bytes(out[base:]), data[base:])


def check_memory(honest: Path, files: list[bytes]) -> None:
    """Check that all files are refused in a process of little memory."""
    paths = []
    for index, data in enumerate(files):
        paths.append(honest.with_name(f"{index}.h5"))
        paths[-1].write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(honest), *map(str, paths)],
        check=True,
        timeout=60,
        capture_output=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    refused, kib = map(int, done.stdout.split())
    assert refused == len(files)
    assert kib < 50_000


@pytest.mark.parametrize("name", HOSTILE)
def test_lengths_that_lie(tmp_path: Path, name: str) -> None:
    make, how = HOSTILE[name]
    path = tmp_path / "honest.h5"
    with h5py.File(path, "w", **FILES[how]) as file:
        make(file)
    base = FILES[how].get("userblock_size", 0)
    check_memory(path, list(damaged(path.read_bytes(), base, 6)))


def test_lengths_that_lie_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "honest.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=["a", "b"], dtype=STRING, chunks=(2,), compression="gzip")
    honest = path.read_bytes()
    files = []
    for length in (0xFFFFFFFF, 0x7FFFFFFF, len(honest) + 1):
        for address in (honest.index(b"GCOL"), 8, 1 << 40):
            with h5py.File(path, "r+") as file:
                raw = struct.pack("<IQI", length, address, 1) * 2
                file["x"].id.write_direct_chunk((0,), zlib.compress(raw))
            files.append(path.read_bytes())
    path.write_bytes(honest)
    check_memory(path, files)


@pytest.mark.parametrize("how", FILES)
def test_virtual_datasets_are_not_even_opened(tmp_path: Path, how: str) -> None:
    """HDF5 2.0.0 crashes when it opens a damaged one."""
    path = tmp_path / "x.h5"
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "w", (4,))
    with h5py.File(path, "w", **FILES[how]) as file:
        file.create_virtual_dataset("w", layout)
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 32 : heap + 200] = b"\xff" * 168
    path.write_bytes(data)
    with pytest.raises(FormatError, match="'w' is a virtual dataset") as caught:
        open_source(path)
    assert caught.value.code == "source_refused"


def objects(path: Path) -> tuple[int, list[tuple[int, list[bytes]]]]:
    """Return the user block, and where the objects of a file are, with their attributes."""
    with h5py.File(path) as file:
        items = [file["/"], *(file[name] for name in file)]
        places = [
            (h5g.get_objinfo(i.id, b".").objno[0], [n.encode() for n in i.attrs]) for i in items
        ]
        return file.userblock_size, places


def read_all(path: Path, base: int, places: list[tuple[int, list[bytes]]]) -> int:
    """Read the attributes of objects without HDF5, and return how many there are."""
    file = InputFile(str(path))
    try:
        image = Image(file, base, 8, 8)
        headers, heaps = Headers(image), GlobalHeaps(image)
        count = 0
        for address, names in places:
            headers.read(address)
            for name in names:
                value = headers.attribute(address, name)
                count += len(heaps.values((value or b"")[:16], 1, Budget()))
        return count
    finally:
        file.close()


@settings(max_examples=200)
@given(how=st.sampled_from(sorted(FILES)), data=st.data())
def test_damaged_structures(tmp_path: Path, how: str, data: st.DataObject) -> None:
    """Whatever stands in the file: values, or the one error."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", **FILES[how]) as file:
        attributes(40, (300,))(file)
        add_strings(file, "compact", h5d.COMPACT)
        file["compact"].attrs["a"] = "b"
    base, places = objects(path)
    assert read_all(path, base, places) == 42
    raw = bytearray(path.read_bytes())
    structures = [b"OHDR", b"OCHK", b"BTHD", b"BTLF", b"FRHP", b"FHDB", b"FHIB", b"GCOL"]
    starts = [base + address for address, _ in places]
    starts += [place for name in structures for place in find(bytes(raw), name)]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, 120))
        raw[at : at + 1] = data.draw(st.sampled_from([b"\0", b"\1", b"\x7f", b"\x80", b"\xff"]))
    path.write_bytes(raw[: data.draw(st.sampled_from([len(raw), *starts]))])
    with contextlib.suppress(FormatError):
        read_all(path, base, places)


def test_attributes_that_lie_elsewhere_are_not_taken_for_others(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.attrs["a"] = "b"
    _, ((address, _),) = objects(path)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"\x0c\0", address) + 4] |= 2  # the flag of a message that is shared
    path.write_bytes(raw)
    file = InputFile(str(path))
    assert Headers(Image(file, 0, 8, 8)).attribute(address, b"a") is None
    file.close()
