"""Part files: the same bytes as one process writes, made again where they are damaged."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

import mcodec
from mcodec import errors
from mcodec.api import engines, partwork, scaleout
from mcodec.api.parts import Index, end, is_whole, open_part
from mcodec.api.scaleout import ScaleOut
from mcodec.errors import FormatError, InputOutputError, McodecError, UsageError
from mcodec.storage.folder import SharedFolder
from support.scale import Inline, write_family, write_large

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"optimize": "file"},
    {"bits": 12},
    {"bits": [12, 11, 10, 9], "layout": "task"},
    {"bits": 7, "layout": "progressive"},
    {"codec": "bfp(bits=8,scope=axis:-1)"},
    {"codec": "float(keep=16)", "layout": "interleaved"},
    {"codec": "delta", "layout": "task"},
    {"bits": 9, "fusion": "v1"},
)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_family(tmp_path_factory.mktemp("family"))


def pack_parts(
    out: Path, sources: Any, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> dict[str, bytes]:
    """Pack in parts, and return these; they are left where they are."""
    with monkeypatch.context() as patch:
        patch.setattr(ScaleOut, "remove", ScaleOut.clear)
        mcodec.pack(sources, out, executor=Inline(), **options)
    return {
        path.name: path.read_bytes()
        for path in sorted((out.parent / f"{out.name}.parts").iterdir())
    }


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_parts_make_the_file_that_one_process_writes(
    family: list[Path], tmp_path: Path, options: dict[str, Any]
) -> None:
    seen: list[tuple[int, int]] = []
    one = mcodec.pack(family, tmp_path / "one.mc", jobs=1, **options)
    two = mcodec.pack(
        family,
        tmp_path / "two.mc",
        executor=Inline(),
        progress=lambda done, total: seen.append((done, total)),
        **options,
    )
    assert (tmp_path / "one.mc").read_bytes() == (tmp_path / "two.mc").read_bytes()
    assert one.warnings == two.warnings
    assert seen[-1][0] == seen[-1][1]
    assert not (tmp_path / "two.mc.parts").exists()


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abcdef"),
            st.tuples(
                st.sampled_from(["f4", "f2", "i8", "u1"]), st.integers(0, 70_000), st.booleans()
            ),
            max_size=4,
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(OPTIONS[:3]),
)
@settings(max_examples=15)
def test_arrays_of_any_kind_make_the_same_file(
    tmp_path_factory: pytest.TempPathFactory, models: Any, options: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    rng = np.random.default_rng(len(models))
    sources = {
        f"task {number}": {
            name: (np.ones(size) if same else rng.standard_normal(size) * 100).astype(dtype)
            for name, (dtype, size, same) in model.items()
        }
        for number, model in enumerate(models)
    }
    mcodec.pack(sources, folder / "one.mc", jobs=1, **options)
    mcodec.pack(sources, folder / "two.mc", executor=Inline(), **options)
    assert (folder / "one.mc").read_bytes() == (folder / "two.mc").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["one.mc", "two.mc"]


def test_parts_are_the_same_for_the_same_command_and_others_for_another(
    family: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pack_parts(tmp_path / "a.mc", family, monkeypatch)
    assert pack_parts(tmp_path / "b.mc", family, monkeypatch) == first
    assert len(first) > 3
    assert not set(first) & set(pack_parts(tmp_path / "c.mc", family, monkeypatch, bits=12))
    status = family[3].stat()
    os.utime(family[3], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    again = pack_parts(tmp_path / "d.mc", family, monkeypatch)
    assert set(again) & set(first)  # of the other models
    assert set(again) != set(first)


def test_parts_that_are_there_are_used_and_damaged_ones_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = write_large(tmp_path), tmp_path / "out.mc"
    parts = pack_parts(out, [model], monkeypatch)
    plain = out.read_bytes()
    folder = tmp_path / "out.mc.parts"
    names = sorted(parts)
    (folder / names[0]).write_bytes(parts[names[0]][:-1])
    (folder / names[1]).write_bytes(parts[names[2]])
    (folder / names[3]).write_bytes(b"")
    flipped = bytearray(parts[names[4]])
    flipped[100] ^= 1
    (folder / names[4]).write_bytes(flipped)
    (folder / names[5]).unlink()
    old = 1_000_000_000
    for name in names:
        if (folder / name).exists():
            os.utime(folder / name, (old, old))
    assert pack_parts(out, [model], monkeypatch) == parts
    assert out.read_bytes() == plain
    made = [name for name in names if (folder / name).stat().st_mtime > old]
    assert made == [names[0], names[1], names[3], names[4], names[5]]
    mcodec.pack([model], out, executor=Inline())
    assert not folder.exists()


def test_a_part_that_is_damaged_while_it_waits_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = write_large(tmp_path, 4), tmp_path / "out.mc"

    class Damaging(Inline):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            future = super().submit(*args, **kwargs)
            for path in (tmp_path / "out.mc.parts").glob("*.part"):
                data = bytearray(path.read_bytes())
                data[50] ^= 1
                path.write_bytes(data)
            return future

    with pytest.raises(FormatError, match=r"out\.mc\.parts/.*the part is damaged") as caught:
        mcodec.pack([model], out, executor=Damaging())
    assert "\n" not in str(caught.value)
    assert not out.exists()
    mcodec.pack([model], out, executor=Inline())
    mcodec.verify(out, against=[model])
    assert not (tmp_path / "out.mc.parts").exists()


@pytest.fixture(scope="module")
def one_part(tmp_path_factory: pytest.TempPathFactory) -> tuple[SharedFolder, Any, bytes]:
    """A folder with one small part, its shape and its bytes."""
    folder = tmp_path_factory.mktemp("part")
    units: list[partwork.Unit] = []
    plain = partwork._units

    def seen(*given: Any) -> list[partwork.Unit]:
        units.extend(plain(*given))
        return units

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScaleOut, "remove", ScaleOut.clear)
        patch.setattr(partwork, "_units", seen)
        mcodec.pack({"A": {"a": np.arange(40, dtype="f4")}}, folder / "x.mc", executor=Inline())
    (unit,) = units
    shared = SharedFolder(folder / "x.mc.parts")
    return shared, unit, shared.read(f"{unit.fingerprint}.part")


@given(st.data())
def test_a_part_with_any_byte_changed_is_not_whole(one_part: Any, data: st.DataObject) -> None:
    folder, unit, plain = one_part
    damaged = bytearray(plain)
    at = data.draw(st.integers(0, len(plain) - 1))
    damaged[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.one_of(st.just(len(plain)), st.integers(0, len(plain))))
    with folder.write(f"{unit.fingerprint}.part") as file:
        file.write(damaged[:cut])
    assert not is_whole(folder, unit.fingerprint, unit.shape)
    with pytest.raises(McodecError), open_part(folder, unit.fingerprint, unit.shape) as part:
        part.check()
    with folder.write(f"{unit.fingerprint}.part") as file:
        file.write(plain)
    assert is_whole(folder, unit.fingerprint, unit.shape)


def test_an_index_of_something_else_is_refused(tmp_path: Path) -> None:
    folder = SharedFolder(tmp_path)
    with folder.write("0.part") as file:
        end(Index("0", []), file)
    assert is_whole(folder, "0", [])
    assert not is_whole(folder, "0", [(1, 1, 1)])
    assert not is_whole(folder, "1", [])
    os.rename(tmp_path / "0.part", tmp_path / "1.part")
    assert not is_whole(folder, "1", [])
    with pytest.raises(InputOutputError, match="the part is gone"), open_part(folder, "0", []):
        pass


def test_a_folder_of_ones_own_keeps_what_is_not_ours(family: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / f"{'0' * 64}.part").write_text("of another packing")
    mcodec.pack(family, tmp_path / "out.mc", executor=Inline(), parts=folder)
    assert sorted(path.name for path in folder.iterdir()) == [f"{'0' * 64}.part", "notes.txt"]


def test_parts_can_lie_behind_a_url(family: list[Path], tmp_path: Path) -> None:
    mcodec.pack(family, tmp_path / "one.mc")
    mcodec.pack(family, tmp_path / "two.mc", executor=Inline(), parts="memory://scaled/parts")
    assert (tmp_path / "one.mc").read_bytes() == (tmp_path / "two.mc").read_bytes()
    assert not [name for name in MemoryFileSystem.store if "scaled" in name]


def test_what_other_processes_cannot_have_is_said(
    family: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.mc"
    monkeypatch.setattr(engines, "MAX_ARRAYS", 1000)
    with pytest.raises(UsageError, match="save them to model files"):
        mcodec.pack({"A": {"a": np.zeros(1000)}}, out, executor=Inline())
    with pytest.raises(UsageError, match="an executor has workers of its own"):
        mcodec.pack(family, out, executor=Inline(), jobs=2)
    with pytest.raises(UsageError, match="the engine is threads, processes"):
        mcodec.pack(family, out, engine="ray")
    with pytest.raises(UsageError, match="not of the form dask://HOST:PORT"):
        mcodec.pack(family, out, engine="dask://host")
    with pytest.raises(UsageError, match="a cluster has its own workers"):
        mcodec.pack(family, out, engine="dask://host:1", jobs=2)
    with pytest.raises(UsageError, match="and this is in threads"):
        mcodec.pack(family, out, parts=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_of_another_version_is_refused(
    family: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(Inline):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            with monkeypatch.context() as patch:
                patch.setattr(scaleout, "versions", lambda: ("9.9", "1.5.7"))
                return super().submit(*args, **kwargs)

    with pytest.raises(UsageError, match=r"a worker has mcodec 9\.9 with zstd"):
        mcodec.pack(family, tmp_path / "out.mc", executor=Other())
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_sees_another_folder_is_told(
    family: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere(Inline):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            for path in tmp_path.glob("*.parts/*.state"):
                path.unlink()
            return super().submit(*args, **kwargs)

    monkeypatch.setattr(scaleout, "_INLINE", 0)
    with pytest.raises(InputOutputError, match="name one that all workers see, with --parts"):
        mcodec.pack(family, tmp_path / "out.mc", executor=Elsewhere())
    assert list(tmp_path.iterdir()) == []
    mcodec.pack(family, tmp_path / "out.mc", executor=Inline())
    assert [path.name for path in tmp_path.iterdir()] == ["out.mc"]


def test_a_source_that_is_another_file_for_the_worker_is_refused(
    family: list[Path], tmp_path: Path
) -> None:
    model = tmp_path / "model.safetensors"
    model.write_bytes(family[0].read_bytes())

    class Changing(Inline):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            with open(model, "ab") as file:
                file.write(b"x")
            return super().submit(*args, **kwargs)

    with pytest.raises(FormatError, match="the file has changed, or is another one"):
        mcodec.pack([model], tmp_path / "out.mc", executor=Changing())


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, McodecError)
    ],
)
def test_errors_come_back_from_workers_as_they_are(kind: type[McodecError]) -> None:
    error = kind("what", code="io").at("where")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.code) == (kind, "where: what", "io")
