"""Models behind URLs as sources of `pack`: safetensors files, and sets by their index."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save, save_file

import mcodec
from mcodec.errors import FormatError, InputOutputError, McodecError, UsageError
from mcodec.limits import MIB
from support.rangeserver import RangeServer
from support.scale import Inline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("aiohttp")

RNG = np.random.default_rng(8)
ARRAYS = {f"w{i}": RNG.standard_normal((512, 700), dtype=np.float32) for i in range(12)}
SHARDS = {"s-1.safetensors": ["w0", "w1", "w2"], "s-2.safetensors": ["w3", "w4"]}


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer() as server:
        yield server


def put_set(server: RangeServer, folder: Path, shards: dict[str, list[str]] = SHARDS) -> str:
    """Serve a set, write the same into a folder, and return the URL of its index."""
    for shard, names in shards.items():
        data = save({name: ARRAYS[name] for name in names})
        (folder / shard.replace("/", "_")).write_bytes(data)
        server.put(f"/set/{shard}", data)
    places = {name: shard for shard, names in shards.items() for name in names}
    text = json.dumps({"metadata": {}, "weight_map": places}).encode()
    (folder / "m.safetensors.index.json").write_bytes(text)
    return server.put("/set/m.safetensors.index.json", text)


@pytest.mark.parametrize("executor", [None, Inline()], ids=["threads", "elsewhere"])
def test_a_url_makes_the_file_that_a_download_makes(
    server: RangeServer, tmp_path: Path, executor: Any
) -> None:
    save_file(ARRAYS, tmp_path / "m.safetensors")
    url = server.put("/m.safetensors", (tmp_path / "m.safetensors").read_bytes())
    mcodec.pack([tmp_path / "m.safetensors"], tmp_path / "one.mc")
    mcodec.pack([f"{url}?key=secret"], tmp_path / "two.mc", executor=executor)
    assert (tmp_path / "one.mc").read_bytes() == (tmp_path / "two.mc").read_bytes()


@pytest.mark.parametrize("executor", [None, Inline()], ids=["threads", "elsewhere"])
def test_a_set_is_found_by_its_index(server: RangeServer, tmp_path: Path, executor: Any) -> None:
    url = put_set(server, tmp_path)
    mcodec.pack([tmp_path / "m.safetensors.index.json"], tmp_path / "one.mc")
    mcodec.pack([url], tmp_path / "two.mc", executor=executor)
    assert (tmp_path / "one.mc").read_bytes() == (tmp_path / "two.mc").read_bytes()


def test_what_is_read_in_order_takes_few_requests(server: RangeServer, tmp_path: Path) -> None:
    url = server.put("/m.safetensors", save(ARRAYS))
    mcodec.pack([url], tmp_path / "out.mc", jobs=1, codec="float")
    whole = len(server.files["/m.safetensors"])
    assert whole > 16 * MIB
    assert server.sent < 1.5 * whole
    assert len(server.seen) < 40


@pytest.mark.parametrize("name", ["../x.safetensors", "a/b.safetensors", "x?y=.safetensors"])
def test_an_index_leads_nowhere_else(server: RangeServer, tmp_path: Path, name: str) -> None:
    url = put_set(server, tmp_path, {name: ["w0"]})
    with pytest.raises(FormatError) as caught:
        mcodec.pack([url], tmp_path / "out.mc")
    assert caught.value.code == "source_refused"
    assert [one.path for one in server.seen if one.path != "/set/m.safetensors.index.json"] == []


def test_what_is_wrong_is_one_line_without_secrets(server: RangeServer, tmp_path: Path) -> None:
    data = save({"w": np.arange(1000)})
    out = tmp_path / "out.mc"
    cases: dict[str, tuple[type[McodecError], str]] = {
        server.put("/cut.safetensors", data[:-1]): (FormatError, "cut short"),
        server.put("/empty.safetensors", b""): (FormatError, "no safetensors header"),
        server.put("/short.safetensors", b"123"): (FormatError, "no safetensors header"),
        server.put("/far.safetensors", b"\xff" * 8 + data[8:]): (FormatError, "over the limit"),
        server.url + "/none.safetensors": (InputOutputError, "[a-z]"),
        put_set(server, tmp_path): (FormatError, "signed URL"),
        server.url + "/model.h5": (UsageError, "only safetensors are read there"),
        "nothing://x/m.safetensors": (InputOutputError, "[a-z]"),
    }
    for url, (kind, words) in cases.items():
        with pytest.raises(kind, match=words) as caught:
            mcodec.pack([f"{url}?key=secret"], out)
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="files of this machine"):
        mcodec.pack([server.url + "/cut.safetensors"], out, sandbox=True)
    assert not out.exists()


def test_a_server_that_breaks_off_is_tried_again(server: RangeServer, tmp_path: Path) -> None:
    url = server.put("/m.safetensors", save({"w": ARRAYS["w0"]}))
    server.faults.extend(["", "cut", "500", "", "cut"])
    mcodec.pack([url], tmp_path / "out.mc", jobs=1)
    with mcodec.open(tmp_path / "out.mc") as file:
        np.testing.assert_array_equal(file.task("A")["w"], ARRAYS["w0"])
