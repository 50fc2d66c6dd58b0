"""How speed is measured: ways that take turns, medians, and the name of the machine."""

from __future__ import annotations

import gc
import importlib.metadata
import platform
import statistics
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import mcodec
from mcodec.api.progress import Progress, no_progress
from mcodec.engine import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

K = TypeVar("K")

_CPUINFO: Final = "/proc/cpuinfo"
_PACKAGES: Final = ("numpy", "safetensors")


class Way(NamedTuple):
    """Something to time.

    Attributes
    ----------
    run
        What is timed; what it returns is dropped after the clock has stopped.
    before
        Called before each run, untimed; `run` is given what it returns.
    """

    run: Callable[..., object]
    before: Callable[[], Any] | None = None

    def seconds(self) -> float:
        """Run once, and return the seconds of the wall clock."""
        given = () if self.before is None else (self.before(),)
        start = time.perf_counter()
        result = self.run(*given)
        taken = time.perf_counter() - start
        del result
        return taken


def alternate(
    ways: Mapping[K, Way | Callable[[], object]],
    runs: int,
    *,
    most: float = float("inf"),
    progress: Progress = no_progress,
) -> dict[K, float]:
    """Return the median seconds of each way; they take turns, every second round backwards.

    What else the machine does thus meets all of them alike, and their ratios hold where single
    figures do not. A first round warms up and does not count; nor does the collection of garbage,
    as whose turn it is to collect would be chance.

    Parameters
    ----------
    ways
        By any key.
    runs
        Rounds that count, 1 or more.
    most
        A way that has taken so many seconds in all gets no more runs; its first run, which warms
        up, counts if there is no other.
    progress
        Called with (runs done, runs in all).
    """
    timed = {name: way if isinstance(way, Way) else Way(way) for name, way in ways.items()}
    first: dict[K, float] = {}
    taken: dict[K, list[float]] = {name: [] for name in timed}
    done, total = 0, len(timed) * (runs + 1)
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(runs + 1):
            for name in list(timed) if turn % 2 else reversed(list(timed)):
                progress(done, total)
                done += 1
                if first.get(name, 0.0) + sum(taken[name]) >= most:
                    continue
                seconds = timed[name].seconds()
                if turn:
                    taken[name].append(seconds)
                else:
                    first[name] = seconds
        progress(total, total)
    finally:
        if collects:
            gc.enable()
    return {name: statistics.median(found or [first[name]]) for name, found in taken.items()}


def processor() -> str:
    """Return the name of the processor."""
    try:
        with open(_CPUINFO, encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # a system that has no such file
    return platform.processor() or platform.machine() or "unknown processor"


def machine() -> str:
    """Name the processor and the cores, for a figure to be read with."""
    return f"{processor()}, {usable_cores()} cores"


class Machine(NamedTuple):
    """What figures are of: the processor, its cores that may be used, and what ran on it."""

    processor: str
    cores: int
    kernels: str
    versions: dict[str, str]

    @classmethod
    def here(cls) -> Machine:
        """Describe this machine."""
        import zstandard

        from mcodec.codec.machine import kernel_target

        versions = {"mcodec": mcodec.__version__, "python": platform.python_version()}
        versions |= {name: importlib.metadata.version(name) for name in _PACKAGES}
        versions["libzstd"] = ".".join(map(str, zstandard.ZSTD_VERSION))
        return cls(processor(), usable_cores(), kernel_target(), versions)

    def words(self) -> tuple[str, str]:
        """Return two lines: what it is, and the versions."""
        kinds = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.processor}, {self.cores} cores, kernels {self.kernels}", kinds
