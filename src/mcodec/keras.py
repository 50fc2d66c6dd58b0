"""Weights of a `.mc` file into a Keras model, in place, on any backend of Keras 3.

>>> import mcodec.keras
>>> model = build()                                         # doctest: +SKIP
>>> mcodec.keras.load_weights(model, "fused.mc", "B")       # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from mcodec.api import carry
from mcodec.api.handle import open as open_file
from mcodec.api.unpack import unpack
from mcodec.errors import McodecError, MissingDependencyError, UsageError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.api.handle import Task

__all__ = ["load_weights"]

_BY_KERAS: Final = frozenset({"hdf5", "keras", "keras_shards"})
_LISTED: Final = 5  # names that a message has of a kind


def load_weights(
    model: Any,
    path: str | os.PathLike[str],
    task: str | None = None,
    *,
    planes: int | None = None,
    midpoint: bool | None = None,
    dither: bool = False,
    jobs: int | None = None,
    max_decoded: int | None = None,
) -> None:
    """Load a task's weights into a built Keras model; all of them, or the model stays as it was.

    A task whose tensors are named as the model's variables (``variable.path``: one that was packed
    from ``{variable.path: array}``) is assigned by name: every weight has to be there, with its
    shape, and nothing else. A task that came from a file of Keras (`.keras`, `.weights.h5`, `.h5`,
    sharded) becomes that file again in a private temporary folder, and ``model.load_weights`` does
    with it what it does: layers are matched by their order and place, optimizer state is loaded if
    the file and the compiled model have it.

    Parameters
    ----------
    model
        A ``keras.Model`` that is built. While it is loaded its old values are kept in memory.
    path
        The `.mc` file; a path or an fsspec URL.
    task
        May be left out where the file holds one.
    planes, midpoint, dither
        A derived decode, as in `File.task`.
    jobs, max_decoded
        As in `mcodec.open`.

    Raises
    ------
    UsageError
        It is no built model of Keras 3, or of another architecture (with Keras's reason, or the
        first names that differ); several tasks, and none is chosen.
    UnknownTaskError
        There is no such task.
    FormatError
        The file is damaged, cut off or hostile.
    InputOutputError
        It cannot be read, or the temporary folder has no room.
    MissingDependencyError
        Keras 3, or its backend, is not installed.
    """
    _check_model(model)
    view: dict[str, Any] = {"planes": planes, "midpoint": midpoint, "dither": dither}
    with open_file(path, jobs=jobs, max_decoded=max_decoded) as file:
        chosen = file.task(task, **view)
        where = f"{os.fspath(path)}: task {chosen.name!r}"
        if _has_names_of(chosen, model):
            _assign(chosen, model, where)
            return
        format = carry.known_format(carry.origin(chosen.skeleton(), [])) or chosen.format
        if format not in _BY_KERAS:
            raise UsageError(_differences(chosen, model), where=where)
    with tempfile.TemporaryDirectory(prefix="mcodec-") as folder:
        out = os.path.join(folder, "model" if format == "keras_shards" else f"model.{format}")
        unpack(path, chosen.name, out, to=format, jobs=jobs, max_decoded=max_decoded, **view)
        name = _name_for_keras(out, format)
        if name is None:
            raise UsageError(_differences(chosen, model), where=where)
        with _restoring(model, where):
            model.load_weights(name)


def _check_model(model: Any) -> None:
    try:
        import keras
    except ImportError as error:
        reason = f"Keras 3 and a backend are needed: {one_line(error)}"
        raise MissingDependencyError(reason) from error
    if keras.__version__.startswith("2."):
        raise MissingDependencyError(f"Keras 3 is needed; this is {keras.__version__}")
    if not isinstance(model, keras.Model):
        raise UsageError(f"{type(model).__name__} is no keras.Model")
    if not model.built or not model.variables:
        raise UsageError(f"model {model.name!r} is not built: call it on data, or build() it first")


def _has_names_of(task: Task, model: Any) -> bool:
    """Tell whether tensors are named as variables; no file of Keras names them so."""
    return any(variable.path in task for variable in model.variables)


def _differences(task: Task, model: Any) -> str:
    """Say what a task lacks of a model's weights, or has too much; nothing if they agree."""
    shapes = {variable.path: tuple(variable.shape) for variable in model.variables}
    needed = [variable.path for variable in model.weights]
    twice = [name for name, count in Counter(v.path for v in model.variables).items() if count > 1]
    unequal = [
        f"{name} is {list(task.spec(name).shape)}, the model's {list(shapes[name])}"
        for name in task
        if name in shapes and task.spec(name).shape != shapes[name]
    ]
    found = (
        _listed("several variables are called", twice),
        _listed("the task lacks", [name for name in needed if name not in task]),
        _listed("the model has no", [name for name in task if name not in shapes]),
        _listed("shapes differ:", unequal),
    )
    return "; ".join(filter(None, found))


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{what} {', '.join(islice(map(_shown, names), _LISTED))}{more}"


def _shown(name: str) -> str:
    return one_line(ValueError(name))


def _assign(task: Task, model: Any, where: str) -> None:
    """Assign by name, once all names and shapes have been compared."""
    differences = _differences(task, model)
    if differences:
        raise UsageError(differences, where=where)
    with _restoring(model, where):
        for variable in model.variables:
            if variable.path in task:
                variable.assign(task[variable.path])


def _name_for_keras(out: str, format: str) -> str | None:
    """Give a file of weights the name by which Keras knows its kind; None if it is of none."""
    if format == "keras":
        return out
    if format == "keras_shards":
        names = sorted(name for name in os.listdir(out) if name.endswith(".weights.json"))
        return os.path.join(out, names[0]) if names else None
    import h5py

    with h5py.File(out, "r") as file:
        legacy = "layer_names" in file.attrs or "model_weights" in file
        if not legacy and not _has_vars(file):
            return None
    name = os.path.join(os.path.dirname(out), "legacy.h5" if legacy else "model.weights.h5")
    os.rename(out, name)
    return name


def _has_vars(file: Any) -> bool:
    """Tell whether an HDF5 file keeps variables where Keras 3 does: in groups ``vars``."""
    return file.visit(lambda name: name.rpartition("/")[2] == "vars" or None) is not None


@contextlib.contextmanager
def _restoring(model: Any, where: str) -> Iterator[None]:
    """Give variables their old values if loading fails, and Keras's reason in one line."""
    old = _values(model)
    try:
        yield
    except BaseException as error:
        for variable, value in old:
            variable.assign(value)
        if isinstance(error, McodecError | MemoryError) or not isinstance(error, Exception):
            raise
        raise UsageError(f"Keras cannot load it: {one_line(error)}", where=where) from error


def _values(model: Any) -> list[tuple[Any, Any]]:
    """Copy the values of all variables."""
    import keras
    import numpy as np

    optimizer = getattr(model, "optimizer", None)
    variables = chain(model.variables, () if optimizer is None else optimizer.variables)
    return [(one, np.array(keras.ops.convert_to_numpy(one))) for one in variables]
