"""An object store: s3fs against moto, a server of its own on loopback."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import FormatError, InputOutputError, McodecError
from mcodec.limits import MIB
from mcodec.storage import open_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("aiohttp")
s3fs = pytest.importorskip("s3fs")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # of these libraries
    pytest.mark.filterwarnings("default::ResourceWarning"),
]
RNG = np.random.default_rng(5)


def floats(count: int) -> Any:
    return RNG.standard_normal(count, dtype=np.float32)


KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "small": ({"w": floats(100), "b": floats(3)}, {}),
    "medium": ({f"layer.{index}": floats(30_000) for index in range(4)}, {}),
    "long front": (
        {f"layer.{index}.{index * 7919:x}": floats(2) for index in range(20_000)},
        {"codec": "raw"},
    ),
    "front last": ({"w": np.tile(floats(1 << 20), 19)}, {"codec": "raw"}),
}


class Store:
    """A bucket: its options, and the requests that it answered, as its server logs them."""

    def __init__(self, address: str, log: pytest.LogCaptureFixture) -> None:
        self.options = {
            "key": "testing",
            "secret": "hidden-secret",
            "endpoint_url": address,
        }
        self._log = log
        self.fs = s3fs.S3FileSystem(**self.options, skip_instance_cache=True)
        if not self.fs.exists("models"):
            self.fs.mkdir("models")

    def put(self, name: str, data: bytes) -> str:
        self.fs.pipe(f"models/{name}", data)
        self._log.clear()
        return f"s3://models/{name}"

    def requests(self) -> list[str]:
        lines = [one.getMessage() for one in self._log.records]
        found = [re.search(r"([A-Z]+ /\S*) HTTP/1\.1", line) for line in lines]
        return [one[1] for one in found if one]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(address: str, caplog: pytest.LogCaptureFixture) -> Store:
    caplog.set_level(logging.INFO, logger="werkzeug")
    return Store(address, caplog)


@pytest.mark.parametrize("kind", KINDS)
def test_opening_takes_two_requests(store: Store, tmp_path: Path, kind: str) -> None:
    arrays, options = KINDS[kind]
    mcodec.pack({"A": arrays}, tmp_path / "x.mc", **options)
    data = (tmp_path / "x.mc").read_bytes()
    url = store.put("x.mc", data)
    file = mcodec.open(url, options=store.options)
    assert 1 <= len(store.requests()) <= 2, store.requests()
    assert set(store.requests()) == {"GET /models/x.mc"}  # no listing, no HEAD
    name, array = next(iter(arrays.items()))
    assert file.task().get_tensor(name).tobytes() == array.tobytes()
    file.close()
    for damaged, expected in (
        (data[:-1], "file_truncated"),
        (data[:100], "file_truncated"),
        (data + b"\0", "trailing_data"),
    ):
        store.put("x.mc", damaged)  # under a name that was read before: nothing is remembered
        assert code(store, url, name) == expected


def code(store: Store, url: str, name: str) -> str:
    with pytest.raises(FormatError) as caught, mcodec.open(url, options=store.options) as file:
        file.task().get_tensor(name)
    return caught.value.code


def test_reading_ahead(store: Store) -> None:
    blob = RNG.bytes(3 * MIB)
    source = open_bytes(store.put("blob", blob), options=store.options)
    ranges = [(at, at + 60_000) for at in range(0, 3_000_000, 100_000)]
    with source.ahead(ranges):
        for start, stop in ranges:
            assert source.read_at(start, stop - start) == blob[start:stop]
    assert store.requests() == ["HEAD /models/blob", *["GET /models/blob"] * 17]
    store.put("blob", blob + b"more")
    assert source.refresh() == len(blob) + 4
    source.close()


def test_an_empty_object_and_none(store: Store) -> None:
    source = open_bytes(store.put("empty", b""), options=store.options)
    assert source.first(100) == b""
    assert source.size == 0
    source.close()
    for url, message in (
        ("s3://models/none.mc", "no such file"),
        ("s3://no-such-bucket/x", "no such file"),
    ):
        source = open_bytes(url, options=store.options)
        with pytest.raises(InputOutputError, match=message) as caught:
            source.first(100)
        assert "secret" not in str(caught.value)
        source.close()


def test_a_server_that_is_not_there(store: Store) -> None:
    options = store.options | {
        "endpoint_url": "http://127.0.0.1:9",
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
    source = open_bytes("s3://models/x.mc", options=options)
    with pytest.raises(McodecError, match=r"s3://models/x\.mc: ") as caught:
        source.first(100)
    assert "\n" not in str(caught.value)
    source.close()
