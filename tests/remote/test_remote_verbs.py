"""What verbs, single tensors and slices cost from afar, in bytes and requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mcodec
from mcodec.api import ahead
from mcodec.container.chunks import ranges
from mcodec.errors import FormatError
from mcodec.limits import MIB
from support.rangeserver import RangeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytest.importorskip("aiohttp")

Arrays = dict[str, Any]
RNG = np.random.default_rng(3)
MIXED: list[dict[str, Any]] = [
    {"layout": "interleaved", "bits": (12, 11)},
    {"layout": "progressive", "bits": (12, 11)},
]
KINDS: list[dict[str, Any]] = [{"layout": "task"}, {"optimize": "file"}, *MIXED]
TENS = 40  # requests that are few


def model() -> Arrays:
    """Return 4.7 MB of matrices and of many small tensors."""
    arrays: Arrays = {}
    for at in range(8):
        arrays[f"layer{at}.w"] = RNG.standard_normal((256, 512), dtype=np.float32)
        for small in range(40):
            arrays[f"layer{at}.b{small}"] = RNG.standard_normal(128, dtype=np.float32)
    arrays["embed"] = RNG.standard_normal((1500, 200), dtype=np.float32)  # more than a block
    return arrays


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer() as one:
        yield one


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    base = model()
    tuned = {name: array + np.float32(1e-4) * array for name, array in base.items()}
    for name, arrays in (("A", base), ("B", tuned)):
        save_file(arrays, folder / f"{name}.safetensors")
    return {name: folder / f"{name}.safetensors" for name in "AB"}


@pytest.fixture(scope="module")
def packed(
    tmp_path_factory: pytest.TempPathFactory, sources: dict[str, Path]
) -> Callable[..., Any]:
    """A function that packs both models, each way once."""
    folder = tmp_path_factory.mktemp("packed")

    def pack(**options: Any) -> Path:
        path = folder / ("-".join(map(str, options.values())) + ".mc")
        if not path.exists():
            mcodec.pack(sources, path, **options)
        return path

    return pack


def needed(path: Path, task: str) -> int:
    """Return the bytes of the front, and of all that unpacking a task reads."""
    with mcodec.open(path) as file:
        reader, entry = file.reader, file.entry(task)
        total = max(reader.header.front_length + 64, 64 * 1024)  # the first read is so long
        runs = {tensor.run for tensor in entry.tensors}
        for run in runs | {entry.skeleton_run} - {None}:
            assert run is not None
            for block in range(-1, reader.runs[run].blocks):
                total += sum(stop - start for start, stop, _ in ranges(reader.rows(run, block)))
        return total


@pytest.mark.parametrize("jobs", [1, 4])
def test_unpack(
    server: RangeServer, packed: Any, sources: dict[str, Path], tmp_path: Path, jobs: int
) -> None:
    path = packed(layout="task")
    url = server.put("/x.mc", path.read_bytes())
    report = mcodec.unpack(url, "B", tmp_path / "b.safetensors", jobs=jobs)
    assert report.exact
    assert (tmp_path / "b.safetensors").read_bytes() == sources["B"].read_bytes()
    assert len(server.seen) <= TENS
    assert server.sent <= 1.05 * needed(path, "B")
    assert server.most <= 8


@pytest.mark.parametrize("options", MIXED, ids=str)
def test_unpack_from_other_layouts(
    server: RangeServer, packed: Any, tmp_path: Path, options: dict[str, Any]
) -> None:
    path = packed(**options)
    url = server.put("/x.mc", path.read_bytes())
    far, near = tmp_path / "far.safetensors", tmp_path / "near.safetensors"
    mcodec.unpack(url, "A", far)
    assert len(server.seen) <= TENS
    assert server.sent <= 2.2 * needed(path, "A")
    mcodec.unpack(path, "A", near)
    assert far.read_bytes() == near.read_bytes()


@pytest.mark.parametrize("view", [{"planes": 3}, {"dither": True}], ids=str)
def test_unpack_of_a_view(
    server: RangeServer, packed: Any, tmp_path: Path, view: dict[str, Any]
) -> None:
    path = packed(**MIXED[0])
    url = server.put("/x.mc", path.read_bytes())
    far, near = tmp_path / "far.safetensors", tmp_path / "near.safetensors"
    mcodec.unpack(url, "A", far, **view)
    assert len(server.seen) <= 2 * TENS
    mcodec.unpack(path, "A", near, **view)
    assert far.read_bytes() == near.read_bytes()


def test_unpack_of_what_stands_on_another_task(
    server: RangeServer, packed: Any, sources: dict[str, Path], tmp_path: Path
) -> None:
    path = packed(optimize="file")
    with mcodec.open(path) as file:
        assert any(run.stands_on is not None for run in file.reader.manifest.runs)
    url = server.put("/x.mc", path.read_bytes())
    mcodec.unpack(url, "B", tmp_path / "b.safetensors")
    assert load_file(tmp_path / "b.safetensors").keys() == load_file(sources["B"]).keys()
    assert (tmp_path / "b.safetensors").read_bytes() == sources["B"].read_bytes()
    assert len(server.seen) <= TENS
    assert server.sent <= 1.05 * path.stat().st_size


@pytest.mark.parametrize("integers", [False, True])
def test_unpack_of_integers(
    server: RangeServer, packed: Any, tmp_path: Path, integers: bool
) -> None:
    path = packed(codec="int8")
    url = server.put("/x.mc", path.read_bytes())
    mcodec.unpack(url, "B", tmp_path / "far.safetensors", integers=integers)
    mcodec.unpack(path, "B", tmp_path / "near.safetensors", integers=integers)
    far, near = (load_file(tmp_path / f"{name}.safetensors") for name in ("far", "near"))
    assert far.keys() == near.keys()
    assert all(array.tobytes() == near[name].tobytes() for name, array in far.items())
    assert len(server.seen) <= TENS
    assert server.sent <= 1.05 * needed(path, "B")


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_verify(
    server: RangeServer, packed: Any, options: dict[str, Any], deep: bool, jobs: int
) -> None:
    data = packed(**options).read_bytes()
    url = server.put("/x.mc", data)
    near = mcodec.verify(packed(**options), deep=deep)
    far = mcodec.verify(url, deep=deep, jobs=jobs)
    assert (far.chunks, far.runs) == (near.chunks, near.runs)
    assert far.chunks > TENS
    assert len(server.seen) <= TENS
    assert server.sent <= 1.05 * len(data)


def test_verify_of_one_task(server: RangeServer, packed: Any) -> None:
    path = packed(layout="task")
    url = server.put("/x.mc", path.read_bytes())
    mcodec.verify(url, task="B", deep=True)
    assert len(server.seen) <= TENS
    assert server.sent <= 1.05 * needed(path, "B")


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_verify_sees_each_gap_and_chunk(
    server: RangeServer, packed: Any, options: dict[str, Any]
) -> None:
    path = packed(**options)
    data = path.read_bytes()
    with mcodec.open(path) as file:
        gaps = list(file.reader.gaps())
        rows = [file.reader.rows(run, 0)[-1] for run in range(len(file.reader.runs))]
    assert len(gaps) > 3
    chosen = [gaps[0], gaps[len(gaps) // 2], gaps[-1]]
    places = [(at - 1, "padding_nonzero") for _, at in chosen]
    places += [(row.offset, "chunk_checksum") for row in (rows[0], rows[-1])]
    for at, expected in places:
        damaged = bytearray(data)
        damaged[at] ^= 1
        with pytest.raises(FormatError) as caught:
            mcodec.verify(server.put("/x.mc", bytes(damaged)))
        assert caught.value.code == expected, at


def test_windows(
    server: RangeServer,
    packed: Any,
    sources: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task of many windows is told piece by piece, and nothing is fetched twice."""
    monkeypatch.setattr(ahead, "WINDOW", MIB // 2)
    path = packed(layout="task")
    url = server.put("/x.mc", path.read_bytes())
    mcodec.unpack(url, "B", tmp_path / "b.safetensors", jobs=1)
    assert (tmp_path / "b.safetensors").read_bytes() == sources["B"].read_bytes()
    mcodec.verify(url, jobs=1)
    assert len(server.seen) <= 2 * TENS
    assert server.sent <= 1.05 * (needed(path, "B") + path.stat().st_size)


def test_a_fault_while_a_task_is_unpacked(
    server: RangeServer, packed: Any, sources: dict[str, Path], tmp_path: Path
) -> None:
    url = server.put("/x.mc", packed(layout="task").read_bytes())
    out = tmp_path / "b.safetensors"
    server.faults.extend(["", "503", "", "cut"])
    mcodec.unpack(url, "B", out)
    assert out.read_bytes() == sources["B"].read_bytes()
    server.faults.extend(["", "", "", "403"])
    with pytest.raises(mcodec.errors.InputOutputError, match="403"):
        mcodec.unpack(url, "A", tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize("options", [{"layout": "task"}, *MIXED], ids=str)
def test_tensors_and_slices(server: RangeServer, packed: Any, options: dict[str, Any]) -> None:
    path = packed(**options)
    url = server.put("/x.mc", path.read_bytes())
    most = 1 if options == {"layout": "task"} else 24  # one range, or one a plane
    with mcodec.open(path) as near, mcodec.open(url) as far:
        whole = near.task("B").get_tensor("embed")
        task = far.task("B")
        reads: dict[str, Callable[[], Any]] = {
            "all": lambda: task.get_tensor("embed") == whole,
            "a column": lambda: task.get_slice("embed")[:, 3] == whole[:, 3],
            "rows of both blocks": lambda: task.get_slice("embed")[[0, 1499]] == whole[[0, 1499]],
            "elements": lambda: task.elements("embed", 5, 300_000) == whole.ravel()[5:300_000],
            "a small one": lambda: task["layer3.b4"] == near.task("B")["layer3.b4"],
        }
        for what, read in reads.items():
            server.seen.clear()
            assert np.all(read()), what
            assert len(server.seen) <= most, what
        server.seen.clear()
        assert task["layer3.b4"].shape == (128,)
        assert not server.seen  # small ones are kept together


def test_a_sparse_matrix(server: RangeServer, tmp_path: Path) -> None:
    matrix = RNG.standard_normal((1200, 1000), dtype=np.float32)
    matrix[RNG.random(matrix.shape) < 0.9] = 0
    path = tmp_path / "x.mc"
    mcodec.pack({"A": {"w": matrix}}, path, codec="csr")
    url = server.put("/x.mc", path.read_bytes())
    with mcodec.open(url) as file:
        server.seen.clear()
        found = file.task().get_csr("w")
        assert found.data.tobytes() == matrix[matrix != 0].tobytes()
        assert len(server.seen) <= 2  # and there are 5 blocks
