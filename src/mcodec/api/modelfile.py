"""A model with other weights as a temporary file, for evaluators that load files: of Keras, say."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mcodec.api import carry, target
from mcodec.api.changed import Change, ChangedSource
from mcodec.api.sources import ArraySource
from mcodec.api.writing import write_model
from mcodec.formats import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from mcodec.formats.base import TensorSource


@contextmanager
def model_file(
    source: TensorSource,
    changed: Collection[int],
    decoded: Callable[[int, int, int], NDArray[Any]],
    name: str,
    executor: Executor | None,
    scratch: str | None = None,
) -> Iterator[str]:
    """Give the path of a temporary model file, in the source's own format.

    Parameters
    ----------
    source
        The model; one of arrays is written as safetensors.
    changed
        The tensors that are not as they came.
    decoded
        Gives elements [start, stop) of such a tensor.
    name
        What the file is to be called, if its suffix is of the format.
    executor
        Threads, or None.
    scratch
        The folder to write it in; None for the system's own.
    """

    def change(index: int) -> Change:
        return lambda part, start: decoded(index, start, start + part.size)

    model = ChangedSource(source, {index: change(index) for index in changed})
    own = None if source.format == ArraySource.format else source.format
    format = target.choose_format(None, None, own)
    skeleton = source.skeleton()
    if registry.format_for_suffix(name) != format:
        shards = carry.is_folder(skeleton, format)
        name = "model" if shards else f"model{registry.suffix_for_format(format)}"
    with tempfile.TemporaryDirectory(prefix="mcodec-", dir=scratch) as folder:
        plan = target.plan(os.path.join(folder, name), format, skeleton)
        write_model(model, plan, executor, check=False)
        yield plan.out
