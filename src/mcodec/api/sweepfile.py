"""A model under a setting as a file, for evaluators that load files: Keras, for one."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mcodec.api import carry, target
from mcodec.api.changed import Change, ChangedSource
from mcodec.api.sources import ArraySource
from mcodec.api.values import Values
from mcodec.api.writing import write_model
from mcodec.formats import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Executor

    from mcodec.api.planning import Coding
    from mcodec.formats.base import TensorSource


@contextmanager
def model_file(
    source: TensorSource,
    codings: Mapping[int, Coding],
    name: str,
    executor: Executor | None,
    scratch: str | None = None,
) -> Iterator[str]:
    """Give the path of a temporary model file, in the source's own format, as it decodes.

    Parameters
    ----------
    source
        The model; one of arrays is written as safetensors.
    codings
        Of the tensors that are changed.
    name
        What the file is to be called, if its suffix is of the format.
    executor
        Threads, or None.
    scratch
        The folder to write it in; None for the system's own.
    """
    values = Values([source], [codings])

    def change(index: int) -> Change:
        def decoded(part: Any, start: int) -> Any:
            return values.decoded((0, index), start, start + part.size)

        return decoded

    changed = ChangedSource(source, {index: change(index) for index in codings})
    own = None if source.format == ArraySource.format else source.format
    format = target.choose_format(None, None, own)
    skeleton = source.skeleton()
    if registry.format_for_suffix(name) != format:
        shards = carry.is_folder(skeleton, format)
        name = "model" if shards else f"model{registry.suffix_for_format(format)}"
    with tempfile.TemporaryDirectory(prefix="mcodec-sweep-", dir=scratch) as folder:
        plan = target.plan(os.path.join(folder, name), format, skeleton)
        write_model(changed, plan, executor, check=False)
        yield plan.out
