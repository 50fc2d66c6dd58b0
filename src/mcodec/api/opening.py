"""A model to work on: a file of any format that is read, or one task of a `.mc` file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcodec.api.handle import open as open_container
from mcodec.api.sources import open_source
from mcodec.api.tasksource import TaskSource
from mcodec.errors import UsageError
from mcodec.formats import registry

if TYPE_CHECKING:
    from contextlib import ExitStack

    from mcodec.api.sources import Arrays, PathLike
    from mcodec.formats.base import TensorSource


def open_model(
    stack: ExitStack,
    source: PathLike | Arrays,
    *,
    task: str | None = None,
    key: str = "",
    sandbox: bool = False,
) -> TensorSource:
    """Open a model, to be closed with `stack`.

    Parameters
    ----------
    stack
    source
        A path, or a mapping of names to arrays.
    task
        Of a `.mc` file; may be left out where there is only one.
    key
        The place of the model in a PyTorch checkpoint.
    sandbox
        Let another process read a model file, under a memory and a time limit.

    Raises
    ------
    FormatError, InputOutputError
        It cannot be read.
    UsageError
        There is no such task; a task of what is no `.mc` file; a key for what is no checkpoint.
    """
    path = None if isinstance(source, Mapping) else source
    if path is not None and registry.is_container(path):
        return TaskSource(stack.enter_context(open_container(path, jobs=1)).task(task))
    model = open_source(source, key=key, sandbox=sandbox)
    stack.callback(model.close)
    if task is not None:
        raise UsageError(f"a task, {task!r}, of what is no .mc file")
    return model
