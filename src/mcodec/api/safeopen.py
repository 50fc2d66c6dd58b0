"""`safe_open`: a task of a `.mc` file through the calls of safetensors' `safe_open`."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from mcodec.api import slices
from mcodec.api.frameworks import NumpyArrays
from mcodec.api.frameworks import framework as framework_of
from mcodec.api.handle import open as open_file
from mcodec.api.safeerrors import BadIndexError, ClosedError, as_safetensors
from mcodec.errors import UsageError, one_line
from mcodec.formats import registry
from mcodec.formats.safetensors_dtypes import TAGS
from mcodec.formats.sniff import Sniffed, is_safetensors

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from mcodec.api.handle import File, Task
    from mcodec.types import TensorSpec

_BACKENDS = ("mmap", "pread")


def safe_open(
    filename: str | os.PathLike[str],
    framework: str,
    device: Any = "cpu",
    *,
    backend: str = "mmap",
    task: str | None = None,
    planes: int | None = None,
    midpoint: bool | None = None,
    dither: bool = False,
    jobs: int | None = None,
    verify: str = "chunks",
    max_decoded: int | None = None,
) -> SafeFile:
    """Open a file as ``safetensors.safe_open`` does; no weight is read yet.

    A safetensors file of this machine is opened by safetensors itself, so that a loader may be
    given either.

    Parameters
    ----------
    filename
        A `.mc` file, by path or fsspec URL, or the path of a safetensors file.
    framework
        ``pt`` (``torch``, ``pytorch``), ``np`` (``numpy``), ``tf`` (``tensorflow``), ``jax``
        (``flax``) or ``mlx``.
    device
        For ``pt`` whatever ``torch.device`` takes; else ``cpu``, and the framework's default device
        is where it puts what it is given.
    backend
        Of safetensors: ``mmap`` or ``pread``. A `.mc` file is read the same way with both.
    task
        May be left out where the file holds one.
    planes, midpoint, dither
        As in `File.task`.
    jobs, verify, max_decoded
        As in `mcodec.open`.

    Returns
    -------
    SafeFile
        A context manager with ``keys``, ``get_tensor``, ``get_slice`` and the like; of a
        safetensors file safetensors' own, which has the same methods.

    Raises
    ------
    UsageError
        An argument cannot be; several tasks, and none is chosen.
    UnknownTaskError
        There is no such task.
    FormatError
        The file is damaged, cut off, hostile or too new, or neither `.mc` nor safetensors.
    InputOutputError
        It cannot be read; a FileNotFoundError where there is none.
    MissingDependencyError
        The framework is not installed.

    Notes
    -----
    Every error is also a ``safetensors.SafetensorError`` (`mcodec.api.safeerrors`), but for
    MissingDependencyError, which is an ImportError in both.
    """
    with as_safetensors():
        if backend not in _BACKENDS:
            raise UsageError(f"no backend {str(backend)[:40]!r}: mmap or pread")
        path = os.fspath(filename)
        if _is_safetensors(path):
            if (task, planes, midpoint, dither) != (None, None, None, False):
                raise UsageError(f"{path} is a safetensors file: it has no tasks and no planes")
            theirs: SafeFile = _theirs(path, framework, device, backend)
            return theirs
        arrays = framework_of(framework, device)
        file = open_file(path, jobs=jobs, verify=verify, max_decoded=max_decoded)
        try:
            chosen = file.task(task, planes=planes, midpoint=midpoint, dither=dither)
        except BaseException:
            file.close()
            raise
        return SafeFile(file, chosen, arrays)


def _is_safetensors(path: str) -> bool:
    if not os.path.isfile(path) or registry.is_container(path):
        return False
    if registry.format_for_suffix(path) == "safetensors":
        return True
    with Sniffed(path) as seen:
        return is_safetensors(seen)


def _theirs(path: str, framework: str, device: Any, backend: str) -> Any:
    import safetensors

    options = {} if backend == "mmap" else {"backend": backend}  # which older versions have not
    return safetensors.safe_open(path, framework, device, **options)


class SafeFile:
    """One task of an open `.mc` file, as ``safetensors.safe_open`` has a file; a context manager.

    Tensors are made when they are asked for, own their memory, and stay when the file is closed.
    """

    def __init__(self, file: File, task: Task, arrays: NumpyArrays) -> None:
        self._file = file
        self._task = task
        self._arrays = arrays
        self._closed = False

    def keys(self) -> list[str]:
        """Return the names of the tensors, sorted."""
        return sorted(self._open())

    def offset_keys(self) -> list[str]:
        """Return the names of the tensors in the order in which they lie in the file."""
        task = self._open()
        return sorted(task, key=task.place)

    def metadata(self) -> dict[str, str] | None:
        """Return what the task's source said of itself in words; None if it said nothing."""
        return self._open().metadata() or None

    def get_tensor(self, name: str) -> Any:
        """Return a tensor of the framework.

        Raises
        ------
        UnknownTaskError
            There is no such tensor.
        FormatError
            Its bytes in the file are damaged.
        UsageError
            The framework has no such dtype.
        """
        with as_safetensors():
            task = self._open()
            array = task.get_tensor(_string(name))
            return _named(name, self._arrays.tensor, array)

    def get_tensors(self) -> dict[str, Any]:
        """Return all tensors by name, in the order of `offset_keys`."""
        return {name: self.get_tensor(name) for name in self.offset_keys()}

    def get_slice(self, name: str) -> SafeSlice:
        """Return a view that decodes only the blocks that it is indexed with.

        Raises
        ------
        UnknownTaskError
            There is no such tensor.
        """
        with as_safetensors():
            task = self._open()
            spec = task.spec(_string(name))
            return SafeSlice(spec, partial(task.gather, name), self._arrays)

    def _open(self) -> Task:
        if self._closed:
            raise ClosedError(f"{self._file.reader.name}: the file is closed")
        return self._task

    def __repr__(self) -> str:
        return f"<mcodec.safe_open {self._file.reader.name!r}, task {self._task.name!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        self._file.close()


class SafeSlice:
    """A tensor that is read when it is indexed, while its file is open.

    An index means what it means to the framework (NumPy, but for ``pt``), of which safetensors
    takes a part.

    Parameters
    ----------
    spec
        The tensor.
    gather
        Gives its elements in rows of its axes.
    arrays
        The framework.
    """

    def __init__(self, spec: TensorSpec, gather: slices.Gather, arrays: NumpyArrays) -> None:
        self._spec = spec
        self._gather = gather
        self._arrays = arrays

    def get_shape(self) -> list[int]:
        """Return the tensor's shape."""
        return list(self._spec.shape)

    def get_dtype(self) -> str:
        """Return the dtype by safetensors' name, such as ``F32``; else by mcodec's."""
        return TAGS.get(self._spec.dtype, self._spec.dtype)

    def __getitem__(self, index: Any) -> Any:
        spec, arrays = self._spec, self._arrays
        index = arrays.index(index)
        try:
            arrays.try_index(spec.shape, index)
        except (IndexError, ValueError) as error:
            raise BadIndexError(one_line(error), where=f"tensor {spec.name!r}") from error
        with as_safetensors():
            axes, rest = slices.touched(spec.shape, index)
            array = self._gather(axes)
            return _named(spec.name, arrays.take, array, rest)


def _named(name: str, make: Any, *arguments: Any) -> Any:
    """Say of which tensor it is that a framework has none."""
    try:
        return make(*arguments)
    except UsageError as error:
        raise error.at(f"tensor {name!r}") from None


def _string(name: object) -> str:
    """Refuse what can be no name as safetensors does; it might not even have a hash."""
    if not isinstance(name, str):
        raise TypeError(f"argument 'name': {type(name).__name__!r} object is no string")
    return name
