"""Tensors written as int8 NAME and float32 NAME.scale: how they lie in a model, and a task so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from mcodec.api.ahead import decoded
from mcodec.api.elements import is_shared
from mcodec.api.integers import find_integers
from mcodec.api.sources import check_names
from mcodec.api.tasksource import TaskSource
from mcodec.codec.scales import scales_shape
from mcodec.errors import UsageError
from mcodec.types import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.api.copying import Piece
    from mcodec.api.task import Task
    from mcodec.codec.scope import Scope
    from mcodec.container.reader import ContainerReader

SCALE: Final = ".scale"  # what the name of a tensor's scales ends in (docs/formats.md)
_PLAIN: Final = ("safetensors", "npz", "torch", "hdf5")  # formats that hold any arrays


class Laid(NamedTuple):
    """A tensor as it is written: ``values``, ``integers`` or ``scales`` of tensor `of`."""

    of: int
    kind: str
    spec: TensorSpec


def check_format(target: str) -> None:
    """Refuse a format whose models have their own tensors, and no others.

    Raises
    ------
    UsageError
        It has no place for int8 NAME and float32 NAME.scale.
    """
    if target not in _PLAIN:
        raise UsageError(
            f"a model of format {target!r} has no place for integers and scales; "
            "write safetensors, npz, pt or h5 (--to)"
        )


def with_scales(tensors: Sequence[TensorSpec], scopes: Mapping[int, Scope]) -> list[Laid]:
    """Return the tensors of a model some of which become integers.

    Parameters
    ----------
    tensors
        Of the model.
    scopes
        What shares a scale in each of those that become integers, by index.

    Returns
    -------
    list of Laid
        In the model's order. An int8 NAME has a float32 NAME.scale behind it, in the shape in
        which that broadcasts against it (`mcodec.codec.scales.scales_shape`).

    Raises
    ------
    UsageError
        A tensor of the model has the name of another's scales.
    """
    laid: list[Laid] = []
    for index, tensor in enumerate(tensors):
        scope = scopes.get(index)
        if scope is None:
            laid.append(Laid(index, "values", tensor))
            continue
        shape = scales_shape(tensor.shape, scope)
        laid.append(Laid(index, "integers", TensorSpec(tensor.name, "int8", tensor.shape)))
        laid.append(Laid(index, "scales", TensorSpec(tensor.name + SCALE, "float32", shape)))
    check_names((one.spec.name for one in laid), "tensor")
    return laid


def laid_ties(laid: Sequence[Laid], same_as: Mapping[int, int]) -> dict[int, int]:
    """Return which tensors are another's second name, once integers and scales are laid.

    Parameters
    ----------
    laid
        As `with_scales` gives it.
    same_as
        Of the model: index to the index of the first.
    """
    places = {(one.of, one.kind): place for place, one in enumerate(laid)}
    return {
        place: places[same_as[of], kind]
        for (of, kind), place in places.items()
        if of in same_as and (same_as[of], kind) in places
    }


class IntegerSource(TaskSource):
    """A task whose tensors that are stored as integers are int8 NAME and float32 NAME.scale.

    Parameters
    ----------
    reader
        The open file.
    task
        Of it.

    Raises
    ------
    UsageError
        No tensor is stored as integers, or a tensor has the name of another's scales.
    """

    def __init__(self, reader: ContainerReader, task: Task) -> None:
        super().__init__(task)
        self._reader = reader
        scopes: dict[int, Scope] = {}
        for index, tensor in enumerate(self.tensors):
            found = find_integers(reader, task.place(tensor.name)[0])
            if found is not None:
                scopes[index] = found.scope
        if not scopes:
            raise UsageError(
                f"task {task.name!r} has no tensor that is stored as integers; "
                "`mcodec pack --codec int8` makes some"
            )
        self.count = len(scopes)
        self._laid = with_scales(self.tensors, scopes)
        self._values = [tensor.name for tensor in self.tensors]
        self.same_as = laid_ties(self._laid, self.same_as)
        self.tensors = [one.spec for one in self._laid]

    def skeleton(self) -> bytes:
        """Nothing: what the task's source held besides arrays speaks of floats."""
        return b""

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`; the reader was told so (`extents`)."""
        of, kind, _ = self._laid[index]
        name = self._values[of]
        if kind == "values":
            return self.task.elements(name, start, stop, told=True)
        if kind == "integers":
            return self.task.integers(name, start, stop, told=True)
        return self.task.scales(name).reshape(-1)[start:stop]

    def extents(self, work: Sequence[Piece]) -> list[tuple[int, int]]:
        """Return the (start, stop) of the file that pieces are read from, in order."""
        found: list[tuple[int, int]] = []
        kept: set[int] = set()  # runs of many small tensors are read once for them all
        for piece in work:
            of, kind, _ = self._laid[piece.index]
            run, member = self.task.place(self._values[of])
            spec = self._reader.runs[run]
            if kind == "scales" or run not in kept:
                found += self._reader.extents(run, -1)
            if kind == "scales" or run in kept:
                continue
            if is_shared(spec):
                kept.add(run)
            first, last = spec.starts[member] + piece.start, spec.starts[member] + piece.stop
            for block in range(first // spec.block, -(-last // spec.block)):
                found += decoded(self._reader, (run, block))
        return found
