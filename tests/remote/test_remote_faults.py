"""What goes wrong on the way: the right weights, or one line that says what; never wrong ones."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import FormatError, InputOutputError, McodecError
from mcodec.limits import MIB
from mcodec.storage import open_bytes
from support.rangeserver import RangeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

aiohttp = pytest.importorskip("aiohttp")

WEIGHTS = {
    f"w{index}": np.random.default_rng(index).standard_normal(70_000, dtype=np.float32)
    for index in range(6)
}
# Of each fault that does not pass: what the line says.
LASTING = {
    "cut": "payload is not completed",
    "whole": "does not answer range requests",
    "short": "fewer bytes than were asked for",
    "chunked": "does not say how long its answers",
    "more": "does not say how long its answers",
    "shifted": "other bytes than were asked for",
    "gzip": "compresses its answers",
    "403": "the server answers 403",
    "401": "the server answers 401",
    "404": "no such file",
    "410": "the server answers 410",
    "429": "the server answers 429",
    "503": "the server answers 503",
    "500": "the server answers 500",
}
PASSING = ["cut", "short", "quiet-short", "503", "500", "429"]
TRIED_ONCE = ["whole", "chunked", "more", "shifted", "gzip", "401", "403", "404", "410"]


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer() as one:
        yield one


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("file") / "x.mc"
    mcodec.pack({"A": WEIGHTS}, path)
    return path.read_bytes()


def check(file: mcodec.File) -> None:
    task = file.task()
    assert all(task.get_tensor(name).tobytes() == one.tobytes() for name, one in WEIGHTS.items())


def failure(call: Callable[[], Any]) -> McodecError:
    """Return the error, which is one short line without a secret, and shows none in its chain."""
    with pytest.raises(McodecError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize("fault", LASTING)
def test_a_fault_that_stays(server: RangeServer, data: bytes, fault: str) -> None:
    url = server.put("/x.mc", data)
    secret = url.replace("//", "//me:secret@") + "?sig=secret"
    with mcodec.open(secret) as file:
        server.always = fault
        server.seen.clear()
        error = failure(lambda: file.task().get_tensor("w3"))
        assert LASTING[fault] in str(error).lower()
        assert f"{url}: " in str(error)
        assert isinstance(error, InputOutputError)
        if fault in TRIED_ONCE:
            assert len(server.seen) == len({one.start for one in server.seen})
        server.always = ""
        check(file)  # the handle is none the worse
    server.always = fault
    assert LASTING[fault] in str(failure(lambda: mcodec.open(secret))).lower()


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("times", [1, 2])
def test_a_fault_that_passes(server: RangeServer, data: bytes, fault: str, times: int) -> None:
    url = server.put("/x.mc", data)
    for before in (0, 1, 2, 5):
        server.faults.clear()
        server.faults.extend([""] * before + [fault] * times)
        with mcodec.open(url) as file:
            check(file)


def test_damaged_bytes_are_found(server: RangeServer, data: bytes) -> None:
    url = server.put("/x.mc", data)
    with mcodec.open(url) as file:
        server.always = "flip"
        error = failure(lambda: file.task().get_tensor("w1"))
        assert isinstance(error, FormatError)
        assert error.code == "chunk_checksum"
        server.always = ""
        check(file)


def test_a_file_that_changes_while_it_is_read(
    server: RangeServer, data: bytes, tmp_path: Path
) -> None:
    url = server.put("/x.mc", data)
    with mcodec.open(url) as file:
        other = {name: one + 1 for name, one in WEIGHTS.items()}
        mcodec.pack({"A": other}, tmp_path / "y.mc")
        server.put("/x.mc", (tmp_path / "y.mc").read_bytes().ljust(len(data), b"\0"))
        assert failure(lambda: file.task().get_tensor("w1")).code == "chunk_checksum"
        server.put("/x.mc", data[: len(data) // 2])
        assert failure(lambda: [*file.task().values()]).code in ("chunk_checksum", "file_truncated")
        server.files.clear()
        assert "no such file" in str(failure(lambda: file.task().get_tensor("w5")))


def test_all_of_a_small_file_is_taken_without_ranges(server: RangeServer, tmp_path: Path) -> None:
    mcodec.pack({"A": {"w": WEIGHTS["w0"][:100]}}, tmp_path / "x.mc")
    url = server.put("/x.mc", (tmp_path / "x.mc").read_bytes())
    server.always = "whole"
    source = open_bytes(url)
    assert source.first(64 * 1024) == server.files["/x.mc"]
    assert len(server.seen) == 1
    source.close()


def test_a_whole_large_file_is_not_taken_into_memory(server: RangeServer) -> None:
    url = server.put("/x", bytes(200 * MIB))
    server.always = "whole"
    source = open_bytes(url)
    assert "range requests" in str(failure(lambda: source.first(64 * 1024)))
    server.idle()
    assert server.sent < 100 * MIB  # it hung up
    source.close()


def test_a_server_that_does_not_answer(server: RangeServer, data: bytes) -> None:
    url = server.put("/x.mc", data)
    server.always = "wait"
    timeout = aiohttp.ClientTimeout(total=0.05)
    source = open_bytes(url, options={"client_kwargs": {"timeout": timeout}})
    assert "does not answer in time" in str(failure(lambda: source.first(64)))
    source.close()
    gone = open_bytes("http://127.0.0.1:9/x.mc")
    assert "cannot connect" in str(failure(lambda: gone.first(64)))
    gone.close()


def test_options_reach_the_server_beside_ours(server: RangeServer, data: bytes) -> None:
    url = server.put("/x.mc", data)
    source = open_bytes(url, options={"headers": {"Authorization": "Bearer secret"}})
    assert source.first(100) == data[:100]
    assert server.headers["Authorization"] == "Bearer secret"
    assert server.headers["Accept-Encoding"] == "identity"
    source.close()


def test_reading_ahead_survives_faults(server: RangeServer) -> None:
    blob = np.random.default_rng(3).bytes(6 * MIB)
    url = server.put("/x", blob)
    ranges = [(at, at + 30_000) for at in range(0, 6_000_000, 100_000)]
    source = open_bytes(url)
    assert source.size == len(blob)
    server.faults.extend(["cut", "503", "", "short", "500"] * 2)
    with source.ahead(ranges), ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda one: source.read_at(one[0], one[1] - one[0]), ranges))
    assert [bytes(one) for one in found] == [blob[start:stop] for start, stop in ranges]
    assert server.most <= 8
    server.always = "403"
    with source.ahead(ranges):
        assert "403" in str(failure(lambda: source.read_at(ranges[-1][0], 30_000)))
    source.close()


def test_never_more_than_eight_requests(server: RangeServer) -> None:
    blob = np.random.default_rng(3).bytes(MIB)
    source = open_bytes(server.put("/x", blob))
    server.always = "wait"
    places = range(0, 960_000, 40_000)
    with ThreadPoolExecutor(24) as pool:
        found = pool.map(lambda at: source.read_at(at, 1000) == blob[at : at + 1000], places)
        assert all(found)
    assert server.most == 8
    source.close()
    with pytest.raises(InputOutputError, match="closed"):
        source.read_at(0, 1)


def test_a_hung_server_does_not_hold_the_context(server: RangeServer) -> None:
    source = open_bytes(server.put("/x", bytes(MIB)))
    assert source.size == MIB
    server.always = "wait"
    before = threading.active_count()
    with source.ahead([(0, MIB)]):
        assert threading.active_count() > before
    assert server.most == 1  # it is still on its way
    source.close()


FORK = """
import os, sys, mcodec
file = mcodec.open(sys.argv[1], jobs=1)
first = file.task().get_tensor("w0").tobytes()
child = os.fork()
if child == 0:
    os._exit(0 if file.task().get_tensor("w0").tobytes() == first else 1)
assert os.waitpid(child, 0)[1] == 0
assert file.task().get_tensor("w0").tobytes() == first
"""


def test_a_handle_in_a_forked_process(server: RangeServer, data: bytes) -> None:
    url = server.put("/x.mc", data)
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK, url], check=True, timeout=60)
