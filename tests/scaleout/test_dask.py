"""Packing over a Dask cluster: real processes, one of which is killed half-way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import mcodec
from mcodec.api import engines
from mcodec.errors import InputOutputError
from support.command import call
from support.scale import DIE, write_family, write_large

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WITHOUT = """
import sys
sys.modules["distributed"] = None
from mcodec.cli.app import main
main(sys.argv[1:])
"""


@pytest.fixture
def client() -> Iterator[Any]:
    """A client of a cluster of two processes, on this machine alone."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.mark.slow
def test_a_cluster_makes_the_same_files(client: Any, tmp_path: Path) -> None:
    family = write_family(tmp_path)
    address = client.scheduler.address.replace("tcp://", "dask://")
    for options in ({}, {"bits": 12}, {"optimize": "file"}, {"bits": 9, "layout": "progressive"}):
        mcodec.pack(family, tmp_path / "one.mc", jobs=1, **options)
        mcodec.pack(family, tmp_path / "two.mc", executor=client.get_executor(), **options)
        assert (tmp_path / "one.mc").read_bytes() == (tmp_path / "two.mc").read_bytes()
        mcodec.pack(family, tmp_path / "three.mc", engine=address, **options)
        assert (tmp_path / "one.mc").read_bytes() == (tmp_path / "three.mc").read_bytes()
    assert not list(tmp_path.glob("*.parts"))
    assert len(client.run(os.getpid)) == 2


@pytest.mark.slow
def test_a_worker_that_is_killed_half_way_changes_nothing(client: Any, tmp_path: Path) -> None:
    model, out = write_large(tmp_path), tmp_path / "out.mc"
    before = client.run(os.getpid)
    dying = min(before)
    client.run(exec, DIE.format(count=3), {}, workers=[dying])
    mcodec.pack([model], out, executor=client.get_executor())
    client.wait_for_workers(2, timeout=60)
    after = client.run(os.getpid).values()
    assert before[dying] not in after
    assert len(set(before.values()) & set(after)) == 1
    mcodec.pack([model], tmp_path / "plain.mc")
    assert out.read_bytes() == (tmp_path / "plain.mc").read_bytes()
    assert not (tmp_path / "out.mc.parts").exists()


@pytest.mark.slow
def test_work_that_kills_every_worker_is_one_line(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = write_large(tmp_path, 4), tmp_path / "out.mc"
    client.run(exec, DIE.format(count=1), {})
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)
    with pytest.raises(InputOutputError, match="the workers failed") as caught:
        mcodec.pack([model], out, executor=client.get_executor())
    assert "\n" not in str(caught.value)
    assert not out.exists()


@pytest.mark.slow
def test_the_command_starts_a_cluster_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    family = write_family(tmp_path, 2)
    command = [sys.executable, "-m", "mcodec", "pack", *map(str, family), "-q", "-o"]
    subprocess.run([*command, str(tmp_path / "one.mc")], check=True, timeout=120)
    done = subprocess.run(
        [*command, str(tmp_path / "two.mc"), "--engine", "dask", "-j", "2"],
        check=False,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "one.mc").read_bytes() == (tmp_path / "two.mc").read_bytes()


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(engines, "_SECONDS", 1)
    family = write_family(tmp_path, 1)
    with socket.socket() as unused:  # bound, and nobody listens
        unused.bind(("127.0.0.1", 0))
        engine = f"dask://127.0.0.1:{unused.getsockname()[1]}"
        done = call("pack", *family, "-o", tmp_path / "out.mc", "--engine", engine)
    done.assert_fails(5, engine, "no Dask scheduler")
    assert not (tmp_path / "out.mc.parts").exists()


def test_without_dask_the_command_says_what_to_install(tmp_path: Path) -> None:
    family = write_family(tmp_path, 1)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            WITHOUT,
            "pack",
            *family,
            "-o",
            tmp_path / "o.mc",
            "--engine",
            "dask",
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 4
    assert done.stderr == (
        "mcodec: --engine dask needs Dask, which is not installed: pip install 'mcodec[dask]'\n"
    )
