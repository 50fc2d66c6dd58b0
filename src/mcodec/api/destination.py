"""Where a changed model goes: a model file of some format, or a `.mc` file of one task."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mcodec.api import carry, target
from mcodec.api.integersource import check_format
from mcodec.api.packing import Packing
from mcodec.api.planning import Options
from mcodec.api.sources import ArraySource, check_names, default_name
from mcodec.api.tasksource import TaskSource
from mcodec.api.writing import write_model
from mcodec.codec.plan import parse_codec
from mcodec.errors import UsageError
from mcodec.outputs import check_output

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from mcodec.api.progress import Progress
    from mcodec.formats.base import TensorSource

CONTAINER: Final = "mc"
_SUFFIX: Final = ".mc"
_ARRAYS_ONLY: Final = (None, "safetensors", "npz", "npy")  # formats of nothing but arrays


@dataclass(frozen=True, slots=True)
class Destination:
    """What is to be written, decided before any work.

    Attributes
    ----------
    path : str
    task : str
        The name of the task in a `.mc` file.
    plan : Plan or None
        None for a `.mc` file.
    """

    path: str
    task: str
    plan: target.Plan | None

    @property
    def format(self) -> str:
        """An id of `registry.FORMATS`, or ``mc``."""
        return CONTAINER if self.plan is None else self.plan.format

    def work(self, model: TensorSource, *, check: bool) -> int:
        """Return about how many bytes `write` will count as its progress."""
        total = sum(tensor.nbytes for tensor in model.tensors)
        return 2 * total if check and self.plan is not None else total

    def write(
        self,
        model: TensorSource,
        executor: Executor | None,
        options: Options,
        *,
        check: bool,
        progress: Progress,
    ) -> tuple[int, tuple[str, ...]]:
        """Write a model; return the bytes of the output, and a line for all that is to be said.

        Parameters
        ----------
        model
            Of the tensors that the destination was chosen for.
        executor
            Threads, or None.
        options
            How a `.mc` file is coded.
        check
            Read a model file back, and compare it.
        progress
            Called with (bytes done, bytes in all).

        Raises
        ------
        FormatError, UsageError, InputOutputError
            As `write_model` and `pack`.
        """
        if self.plan is not None:
            return write_model(model, self.plan, executor, check=check, progress=progress)
        check_names((tensor.name for tensor in model.tensors), "tensor")
        job = Packing([self.task], [model], options, "task", executor, progress, {})
        job.code(False, [])
        report = job.write(self.path)
        return report.file_bytes, report.warnings


def choose_destination(
    model: TensorSource,
    out: str | os.PathLike[str],
    to: str | None,
    source: object,
    *,
    integers: bool = False,
) -> Destination:
    """Decide what to write a model as: by `to`, else by the output's suffix, else as it came.

    Parameters
    ----------
    model
    out
        A suffix of ``.mc`` makes a `.mc` file, unless `to` says a format.
    to
        A format by its id or suffix.
    source
        What is read: not to be written over, if it is a path.
    integers
        Some of its tensors will be integers and scales: nothing but arrays is written.

    Raises
    ------
    UsageError, InputOutputError
        The output cannot be, or there is no such format.
    """
    name = os.fspath(out)
    task = model.task.name if isinstance(model, TaskSource) else default_name(0)
    if to is None and name.lower().endswith(_SUFFIX):
        if integers:
            raise UsageError(f"{name}: an .mc file holds integers as they are, without asking")
        check_output(name, [source])
        return Destination(name, task, None)
    own = None if model.format == ArraySource.format else model.format
    chosen = target.choose_format(to, name, own)
    skeleton = model.skeleton()
    if integers:
        check_format(chosen)
    plan = target.plan(name, chosen, b"" if integers else skeleton)
    if integers and carry.known_format(carry.origin(skeleton, [])) not in _ARRAYS_ONLY:
        plan.notes = ("what the model held besides arrays is left out: it speaks of floats",)
    target.check(plan, [source])
    return Destination(name, task, plan)


def options_of(codec: str | None, destination: Destination) -> Options:
    """Return how a `.mc` file is coded: as a codec string says, or by ``auto``, the default.

    Raises
    ------
    UsageError, CodecConfigError
        There is no such codec, or what is written is no `.mc` file.
    """
    if codec is not None and destination.format != CONTAINER:
        raise UsageError(f"a codec is for a .mc file, and {destination.path} is none")
    if codec is None or codec == "auto":
        return Options((None,), auto=True)
    return Options((None,), codec=parse_codec(codec))
