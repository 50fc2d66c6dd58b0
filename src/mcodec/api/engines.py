"""Who packs: threads of this process, processes of this machine, or the workers of a Dask cluster.

Dask is imported here and nowhere else.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.scaleout import ScaleOut
from mcodec.engine import usable_cores, workers
from mcodec.errors import InputOutputError, MissingDependencyError, UsageError, one_line
from mcodec.limits import MIB
from mcodec.storage.folder import SharedFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DASK: Final = "dask://"
# Bytes of arrays in memory that other processes are sent, once for each step of the work.
MAX_ARRAYS: Final = 64 * MIB
_SECONDS: Final = 20  # until a cluster has to have answered, and to have a worker


@contextmanager
def packers(
    engine: str,
    executor: Executor | None,
    jobs: int | None,
    parts: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
) -> Iterator[Executor | None]:
    """Give who does the work of `pack`; part files are removed if the block ends well.

    Parameters
    ----------
    engine, executor, jobs, parts, out
        As in `pack`.

    Raises
    ------
    UsageError
        There is no such engine, or the arguments do not fit each other.
    MissingDependencyError
        Dask is asked for, and is not installed.
    InputOutputError
        There is no such cluster, or it has no worker.
    """
    _check(engine, executor, jobs)
    if is_here(engine, executor):
        if parts is not None:
            raise UsageError(
                "a folder for parts is for work in other processes, and this is in threads"
            )
        with contextlib.nullcontext(executor) if executor is not None else workers(jobs) as own:
            yield own
        return
    place = f"{os.path.realpath(out)}.parts" if parts is None else parts
    folder = SharedFolder(place)
    with _executor(engine, executor, jobs) as found:
        scattered = ScaleOut(found, folder, own=parts is None)
        try:
            yield scattered
        except BaseException:
            with contextlib.suppress(Exception):
                scattered.clear()
            raise
        scattered.remove()


def is_here(engine: str, executor: Executor | None) -> bool:
    """Tell whether the work is done in threads of this process."""
    return engine == "threads" and (executor is None or isinstance(executor, ThreadPoolExecutor))


def check_sources(sources: Mapping[str, Any]) -> None:
    """Refuse arrays in memory that are too many to be sent to other processes.

    Raises
    ------
    UsageError
        They take more than `MAX_ARRAYS`.
    """
    total = sum(
        int(getattr(array, "nbytes", 0))
        for source in sources.values()
        if not isinstance(source, str | os.PathLike)
        for array in source.values()
    )
    if total > MAX_ARRAYS:
        raise UsageError(
            f"{total:,} bytes of arrays in memory are too many for other processes "
            f"({MAX_ARRAYS:,} at most): save them to model files, which workers read themselves"
        )


def _check(engine: str, executor: Executor | None, jobs: int | None) -> None:
    if engine not in ("threads", "processes", "dask") and not engine.startswith(DASK):
        raise UsageError(
            f"the engine is threads, processes, dask or dask://HOST:PORT, not {engine!r}"
        )
    if executor is not None and (engine != "threads" or jobs is not None):
        raise UsageError("an executor has workers of its own: it goes with no engine and no jobs")
    if engine.startswith(DASK):
        host, colon, port = engine.removeprefix(DASK).rpartition(":")
        if not host or not colon or not (port.isascii() and port.isdigit()):
            raise UsageError(f"{engine!r} is not of the form dask://HOST:PORT")
        if jobs is not None:
            raise UsageError("a cluster has its own workers: jobs goes with the other engines")


@contextmanager
def _executor(engine: str, executor: Executor | None, jobs: int | None) -> Iterator[Executor]:
    if executor is not None:
        yield executor
        return
    count = usable_cores() if jobs is None else jobs
    if count < 1:
        raise UsageError(f"jobs must be 1 or more, not {count}")
    with _processes(count) if engine == "processes" else _cluster(engine, count) as found:
        yield found


@contextmanager
def _processes(count: int) -> Iterator[Executor]:
    """Give an executor of processes of this machine, which end with this one."""
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(count, context, initializer=_begin)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.kill()  # a part that it was writing has no name yet
        raise
    executor.shutdown()


def _begin() -> None:
    """Begin a worker process: who started it ends it, by Ctrl-C or by dying itself."""
    _ignore_interrupts()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _follow(parent: Any) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def _cluster(engine: str, count: int) -> Iterator[Executor]:
    """Give the executor of a Dask cluster: one that is there, or one made for this call."""
    try:
        import distributed
    except ImportError as error:
        raise MissingDependencyError(
            f"--engine {engine} needs Dask, which is not installed: pip install 'mcodec[dask]'"
        ) from error
    with contextlib.ExitStack() as stack:
        try:
            if engine.startswith(DASK):
                address: Any = f"tcp://{engine.removeprefix(DASK)}"
            else:
                address = stack.enter_context(_local_cluster(count))
            client = distributed.Client(address, timeout=_SECONDS, set_as_default=False)
            stack.enter_context(client)
            client.wait_for_workers(1, timeout=_SECONDS)
            if engine == "dask":
                client.run(_ignore_interrupts)
        except (OSError, ValueError, RuntimeError) as error:  # TimeoutError is an OSError
            raise InputOutputError(
                f"{engine}: no Dask scheduler with a worker answers ({one_line(error)})"
            ) from error
        yield client.get_executor(pure=False)


def _local_cluster(count: int) -> Any:
    """Return a cluster of processes of this machine, one thread each, that only it can reach."""
    import logging

    import distributed

    return distributed.LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # any port that is free
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    )
