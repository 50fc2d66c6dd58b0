"""Another process reads the file: the same tensors and errors; its crash or hang is an error."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from mcodec.errors import FormatError, InputOutputError, McodecError, UsageError
from mcodec.formats import registry, sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures"
GOOD = [
    *("h5/filters.h5", "h5/dtypes.h5", "keras2/nested.h5", "keras3/nested_deep.weights.h5"),
    *("keras3/cnn_adam.keras", "torch/tied.pt", "gguf/quants.gguf", "onnx/external"),
    *("safetensors/sharded", "npz/bf16_void.npz"),
]
BAD = ["h5/external_link.h5", "h5/fuzz_01.h5", "h5/truncated_half.h5", "h5/link_bomb.h5"]
SLOW = 0.5  # seconds, for what is to come too late
ENOUGH = 60.0


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of 9 MB: more than one answer's worth."""
    path = tmp_path / "é\udcff.h5"
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/w"] = np.arange(2_250_000, dtype=">f4")
        file["a"].attrs["name"] = "layer"
        file["empty"] = np.zeros((0, 3))
        file["again"] = file["a/w"]
    (tmp_path / "x.h5").rename(path)
    return path


@pytest.fixture
def source(model: Path) -> Iterator[sandbox.SandboxSource]:
    opened = sandbox.open_source(model, seconds=ENOUGH)
    yield opened
    opened.close()


def same(path: Path) -> None:
    """Compare what the other process gives with what this one reads."""
    direct, other = registry.open_source(path), sandbox.open_source(path)
    assert other.format == direct.format
    assert list(other.tensors) == list(direct.tensors)
    assert (other.metadata, other.same_as) == (direct.metadata, direct.same_as)
    assert list(other.notes) == list(direct.notes)
    assert other.skeleton() == direct.skeleton()
    for index, spec in enumerate(direct.tensors):
        for start, stop in ((0, spec.size), (spec.size // 3, spec.size // 2), (0, 0)):
            ours, theirs = other.read(index, start, stop), direct.read(index, start, stop)
            assert ours.dtype == theirs.dtype
            assert ours.tobytes() == theirs.tobytes()
            assert ours.flags.writeable
    other.close()
    direct.close()


def test_the_same_as_directly(model: Path, tmp_path: Path) -> None:
    same(model)
    np.savez_compressed(tmp_path / "x.npz", a=np.arange(5), b=np.asfortranarray(np.ones((3, 4))))
    same(tmp_path / "x.npz")


@pytest.mark.parametrize("name", GOOD)
def test_fixtures(name: str) -> None:
    if not (FIXTURES / "good" / name).exists():
        pytest.skip("the shared fixtures are not beside the project")
    if name.startswith("torch/"):
        pytest.importorskip("torch")
    same(FIXTURES / "good" / name)


@pytest.mark.parametrize("name", ["nothing.h5", ".", "text.txt", *BAD])
def test_the_same_errors(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("text")
    path = FIXTURES / "hostile" / name if name in BAD else Path(name)
    if name in BAD and not path.exists():
        pytest.skip("the shared fixtures are not beside the project")
    try:
        registry.open_source(path).close()
    except McodecError as error:
        expected = error
    else:
        return  # damage that opening does not notice
    with pytest.raises(type(expected)) as caught:
        sandbox.open_source(path)
    assert (caught.value.code, str(caught.value)) == (expected.code, str(expected))


def test_a_key_for_another_format_and_a_url(model: Path) -> None:
    with pytest.raises(UsageError, match="--key is for"):
        sandbox.open_source(model, "model")
    with pytest.raises(UsageError, match="download"):
        sandbox.open_source("http://example.org/x.h5")


def test_threads(source: sandbox.SandboxSource) -> None:
    jobs = [(start, start + 10_000) for start in range(0, 2_000_000, 40_000)] * 2

    def check(job: tuple[int, int]) -> bool:
        return np.array_equal(source.read(0, *job), np.arange(*job, dtype="<f4"))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(check, jobs))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_a_crash(source: sandbox.SandboxSource, number: signal.Signals) -> None:
    os.kill(source._process.pid, number)
    for _ in range(2):
        with pytest.raises(FormatError, match=rf"x?.*died \({number.name}\)") as caught:
            source.read(0, 0, 10)
        assert caught.value.code == "source_refused"
    with pytest.raises(FormatError, match="died"):
        source.skeleton()


def test_a_crash_for_want_of_processor_time(source: sandbox.SandboxSource) -> None:
    os.kill(source._process.pid, signal.SIGXCPU)
    with pytest.raises(FormatError, match="took more than 60 s") as caught:
        source.read(0, 0, 10)
    assert caught.value.code == "limit_exceeded"


def test_a_hang(source: sandbox.SandboxSource) -> None:
    source._seconds = SLOW
    os.kill(source._process.pid, signal.SIGSTOP)
    with pytest.raises(FormatError, match=r"reading it took more than 0\.5 s") as caught:
        source.read(0, 0, 10)
    assert caught.value.code == "limit_exceeded"
    assert gone(source._process.pid)


def test_too_much_memory(tmp_path: Path) -> None:
    array = np.asfortranarray(np.zeros((1 << 12, 1 << 12)))  # 128 MiB, inflated as a whole
    np.savez_compressed(tmp_path / "x.npz", a=array, b=np.ones(3))
    source = sandbox.open_source(tmp_path / "x.npz", memory=64 << 20)
    with pytest.raises(FormatError, match="of memory") as caught:
        source.read(0, 0, 10)
    assert caught.value.code == "limit_exceeded"
    assert source.read(1, 0, 3).tolist() == [1, 1, 1]  # it goes on
    source.close()


def gone(pid: int) -> bool:
    """Tell whether a process is not there any more, nor its remains."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_limits_of_the_process(source: sandbox.SandboxSource) -> None:
    proc = Path(f"/proc/{source._process.pid}")
    if not proc.is_dir():
        pytest.skip("no Linux")
    lines = (proc / "limits").read_text().splitlines()
    limits = {line[:25].strip(): line[25:].split() for line in lines}
    assert limits["Max file size"][:2] == ["0", "0"]
    assert limits["Max core file size"][:2] == ["0", "0"]
    assert 1 << 30 < int(limits["Max address space"][1]) < 8 << 30
    assert int(limits["Max cpu time"][0]) < ENOUGH + 60
    assert {"HDF5_PLUGIN_PRELOAD=::"} <= set((proc / "environ").read_text().split("\0"))
    assert "HDF5_PLUGIN_PATH" not in (proc / "environ").read_text()
    assert os.readlink(proc / "cwd") == "/"
    links = {os.readlink(link) for link in (proc / "fd").iterdir()}
    assert len({link for link in links if link.startswith("socket:")}) == 1
    assert len(links) == 3  # with /dev/null and the model


def test_nothing_is_left(model: Path) -> None:
    source = sandbox.open_source(model)
    pid = source._process.pid
    source.close()
    source.close()
    assert gone(pid)
    with pytest.raises(InputOutputError, match="closed"):
        source.read(0, 0, 1)
    source = sandbox.open_source(model)
    pid = source._process.pid
    del source
    gc.collect()
    assert gone(pid)


def test_an_interrupt_leaves_nothing(source: sandbox.SandboxSource) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    os.kill(source._process.pid, signal.SIGSTOP)
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            source.read(0, 0, 10)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert gone(source._process.pid)
    with pytest.raises(InputOutputError, match="interrupted"):
        source.read(0, 0, 10)


def test_close_while_another_thread_waits(source: sandbox.SandboxSource) -> None:
    os.kill(source._process.pid, signal.SIGSTOP)
    failed: list[McodecError] = []

    def read() -> None:
        try:
            source.read(0, 0, 10)
        except McodecError as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.2)
    source.close()
    thread.join(10)
    assert len(failed) == 1


def test_a_parent_that_is_killed(model: Path) -> None:
    script = (
        "import os, sys; from mcodec.formats import sandbox\n"
        "source = sandbox.open_source(sys.argv[1])\n"
        "print(source._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    run = [sys.executable, "-c", script, str(model)]
    done = subprocess.run(run, capture_output=True, check=False)
    pid = int(done.stdout)
    for _ in range(100):
        if gone(pid) or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the process is still there")


def test_what_has_to_be_inflated_into_a_file(tmp_path: Path) -> None:
    """The process may write a temporary file for an archive, and for nothing else."""
    stored = FIXTURES / "good" / "keras3" / "cnn_adam.keras"
    if not stored.exists():
        pytest.skip("the shared fixtures are not beside the project")
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(stored) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    same(path)
