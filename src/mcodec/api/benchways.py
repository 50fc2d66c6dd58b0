"""The ways of a model's arrays in and out of memory and files that `bench` and benchmarks time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcodec.api.handle import open as open_file
from mcodec.api.pack import pack
from mcodec.types import EXTENSION_DTYPES

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]
    Path = str | os.PathLike[str]


def nbytes(arrays: Arrays) -> int:
    """Return the bytes of arrays."""
    return sum(array.nbytes for array in arrays.values())


def touched(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return arrays like these whose memory has been written to before."""
    import numpy as np

    return {name: np.array(array, order="C") for name, array in arrays.items()}


def fresh_copy(arrays: Arrays) -> list[NDArray[Any]]:
    """Copy arrays into memory that is asked for now, as loading does."""
    return [array.copy() for array in arrays.values()]


def copier(arrays: Arrays, targets: Arrays) -> Callable[[], None]:
    """Return what copies arrays into others that are there."""
    import numpy as np

    pairs = [(targets[name], array) for name, array in arrays.items()]

    def copy() -> None:
        for target, array in pairs:
            np.copyto(target, array)

    return copy


def plain(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return the same bytes under numbers for names, and dtypes that safetensors has for NumPy."""
    return {str(index): _plain(array) for index, array in enumerate(arrays.values())}


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.name in EXTENSION_DTYPES and array.itemsize <= 2:
        return array.view(f"u{array.itemsize}")
    if array.dtype.kind not in "fiub" or array.itemsize > 8:
        return array.reshape(-1).view("u1")
    return array


def save_safetensors(arrays: Arrays, path: Path) -> None:
    """Write arrays with safetensors; it does not sync them to the disk, as `pack` does."""
    from safetensors.numpy import save_file

    save_file(dict(arrays), path)


def load_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of a file with safetensors."""
    from safetensors.numpy import load_file

    return dict(load_file(path))


def one_of_safetensors(path: Path, name: str) -> NDArray[Any]:
    """Open a file with safetensors, and read one array."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        array: NDArray[Any] = file.get_tensor(name)
        return array


def pack_arrays(arrays: Arrays, path: Path, jobs: int, **options: Any) -> None:
    """Pack arrays as the one task of a file; lossless without options."""
    pack({"A": arrays}, path, jobs=jobs, **options)


def load_task(path: Path, task: str, jobs: int, **options: Any) -> dict[str, NDArray[Any]]:
    """Open a file, and load all of a task into arrays of its own."""
    with open_file(path, jobs=jobs, **options) as file:
        found: dict[str, NDArray[Any]] = file.task(task).load()
        return found


def load_into(path: Path, task: str, targets: Arrays, jobs: int, **options: Any) -> None:
    """Open a file, and load all of a task into arrays that are there."""
    with open_file(path, jobs=jobs, **options) as file:
        file.task(task).load_into(targets)


def one_of_task(path: Path, task: str, name: str, jobs: int, **options: Any) -> NDArray[Any]:
    """Open a file, and read one array."""
    with open_file(path, jobs=jobs, **options) as file:
        array: NDArray[Any] = file.task(task)[name]
        return array


def just_open(path: Path, **options: Any) -> None:
    """Open a file, and close it."""
    open_file(path, **options).close()


def middle(arrays: Arrays) -> str | None:
    """Return the name of the array of median size; None where there is none."""
    names = sorted(arrays, key=lambda name: arrays[name].nbytes)
    return names[len(names) // 2] if names else None
