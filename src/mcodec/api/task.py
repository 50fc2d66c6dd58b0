"""One task of a `.mc` file, as a mapping of names to arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mcodec.api.ahead import ahead
from mcodec.api.decode import RunDecoder
from mcodec.api.elements import Elements
from mcodec.api.load import Target, load
from mcodec.api.naming import named
from mcodec.api.slices import TensorSlice
from mcodec.api.together import load_together
from mcodec.container.listed import Columns, columns_of, places_of
from mcodec.errors import UnknownTaskError, UsageError
from mcodec.types import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.api.handle import File
    from mcodec.api.slices import Rows
    from mcodec.api.sparse import CsrMatrix
    from mcodec.codec.base import View
    from mcodec.container.codeclike import CodecLike
    from mcodec.container.manifest import Task as Entry


class Task(Mapping[str, "NDArray[Any]"]):
    """One network: a mapping of tensor names to arrays, in the source's order.

    Arrays are made when they are asked for, own their memory, and are not kept.
    """

    def __init__(self, file: File, entry: Entry, view: View) -> None:
        self._file = file
        self._reader = file.reader
        self._entry = entry
        self._view = view
        self._places = places_of(entry.tensors)
        self._specs: dict[str, TensorSpec] = {}  # of those that were asked for
        self._elements = Elements(file, view)

    @property
    def name(self) -> str:
        """The task's name."""
        return self._entry.name

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"<mcodec.Task {self.name!r}: {len(self)} tensors>"

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def metadata(self) -> dict[str, str]:
        """Return what the source said of itself in words."""
        return dict(self._entry.metadata)

    def meta(self) -> dict[str, str]:
        """Return the words and numbers that whoever packed the task kept with it."""
        return dict(self._entry.meta)

    def close(self) -> None:
        """Release the file, for this task and all others of it; arrays that were read stay."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def file(self) -> File:
        """The open file."""
        return self._file

    @property
    def view(self) -> View:
        """How its tensors are decoded."""
        return self._view

    @property
    def ties(self) -> dict[int, int]:
        """Tensors that the source had as one array: index to the index of the first."""
        return dict(self._entry.ties)

    def spec(self, name: str) -> TensorSpec:
        """Return a tensor's name, dtype and shape; nothing is read."""
        found = self._specs.get(name)
        if found is None:
            run, member = self.place(name)
            spec = self._reader.runs[run]
            found = self._specs[name] = TensorSpec(name, spec.dtype, spec.shapes[member])
        return found

    def specs(self) -> list[TensorSpec]:
        """Return name, dtype and shape of all tensors, in order; nothing is read."""
        names, runs, members = columns_of(self._entry.tensors)
        kinds = {
            run: (spec.dtype, spec.shapes) for run in set(runs) for spec in [self._reader.runs[run]]
        }
        return [
            TensorSpec(name, kinds[run][0], kinds[run][1][member])
            for name, run, member in zip(names, runs, members, strict=True)
        ]

    def get_tensor(self, name: str) -> NDArray[Any]:
        """Return a tensor as an array of its own.

        Raises
        ------
        UnknownTaskError
            The task has no such tensor.
        FormatError
            Its bytes in the file are damaged.
        """
        tensor = self.spec(name)
        return self.elements(name, 0, tensor.size).reshape(tensor.shape)

    def load(self, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
        """Return several tensors at once, each an array of its own; default: all.

        Faster than one by one: blocks of all of them are decoded side by side, and what is far away
        is fetched in few requests. Arrays under 4 MiB are parts of allocations of at most 16 MiB,
        each of which is freed with the last of its arrays: copy what is kept much longer.

        Raises
        ------
        UnknownTaskError, FormatError
            As `get_tensor`.
        """
        if names is None:
            wanted = columns_of(self._entry.tensors)
        else:
            some = list(dict.fromkeys(names))
            places = [self.place(name) for name in some]
            wanted = Columns(some, [run for run, _ in places], [member for _, member in places])
        return load_together(self._reader, wanted, self._view, self._file.executor)

    def load_into(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Decode tensors into arrays that are there; the caller keeps their ownership.

        Parameters
        ----------
        arrays
            By tensor name: writable, C-contiguous, of the tensor's shape and dtype, little-endian,
            and no two of them overlap. After an error they hold anything.

        Raises
        ------
        UnknownTaskError, FormatError
            As `get_tensor`.
        UsageError
            An array is not as said.
        """
        load(self._reader, self._targets(arrays), self._view, self._file.executor)

    def _targets(self, arrays: Mapping[str, NDArray[Any]]) -> Iterator[Target]:
        for name, array in arrays.items():
            run, member = self.place(name)
            flags = array.flags
            fits = array.shape == self._reader.runs[run].shapes[member]
            if not (fits and flags.c_contiguous and flags.writeable):
                kind = f"a writable, C-contiguous array of {self.spec(name).kind}"
                raise UsageError(f"{name!r} is loaded into {kind}, not {array.dtype}{array.shape}")
            yield Target(name, run, member, array.reshape(-1))

    def get_quantized(self, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Return the integers and the scales that a tensor is stored as (codec int8).

        Returns
        -------
        integers
            int8, -127 to 127, in the tensor's shape.
        scales
            float32, in a shape that broadcasts against it: ``()`` for one scale, ``(C,)`` for one
            a channel of the last axis, ``(C, 1)`` of the one before it. The tensor is the product,
            rounded into its dtype.

        Raises
        ------
        UnknownTaskError
            The task has no such tensor.
        UsageError
            It is not stored as integers, or the task was opened with fewer planes.
        FormatError
            Its bytes in the file are damaged, or not all there.
        """
        tensor = self.spec(name)
        integers = self.integers(name, 0, tensor.size)
        return integers.reshape(tensor.shape), self.scales(name)

    def get_csr(self, name: str, split: int | None = None) -> CsrMatrix:
        """Return a tensor of the codec csr as compressed sparse rows; no dense array is made.

        Parameters
        ----------
        name
            The tensor.
        split
            Rows are the product of ``shape[:split]``, columns of ``shape[split:]``; default: what
            the file says. Fewer than two dimensions make one row.

        Raises
        ------
        UnknownTaskError
            The task has no such tensor.
        UsageError
            It is not stored under csr, or its shape has no such cut.
        FormatError
            Its bytes in the file are damaged.
        """
        from mcodec.api.sparse import read_csr  # which listing a file has no use for

        place = self.place(name)
        reader, (run, member) = self._reader, place
        places = ((run, block) for block in reader.runs[run].blocks_of(member))
        with named(name), ahead(reader, places, self._view):
            return read_csr(reader, place, split, self._view, self._file.executor)

    def get_slice(self, name: str) -> TensorSlice:
        """Return a view that reads only what it is indexed with: ``get_slice(name)[2:4]``."""
        return TensorSlice(self.spec(name), partial(self.gather, name))

    def skeleton(self) -> bytes:
        """Return all that the source held besides arrays (spec/skeletons.md)."""
        run = self._entry.skeleton_run
        if run is None:
            return b""
        reader = self._reader
        places = [(run, block) for block in range(reader.runs[run].blocks)]
        with ahead(reader, places):
            decoder = RunDecoder(reader, run)
            return b"".join(decoder.block(block).tobytes() for _, block in places)

    @property
    def format(self) -> str | None:
        """The format that the task came from."""
        return self._entry.came_from

    def place(self, name: str) -> tuple[int, int]:
        """Return the run and the member in which a tensor is stored; aliases share one."""
        place = self._places.get(name)
        if place is None:
            message = f"task {self.name!r} has no tensor {name!r}; `mcodec info` lists them"
            raise UnknownTaskError(message, code="tensor_unknown")
        return place

    def codec(self, name: str) -> CodecLike:
        """Return the codec that a tensor is stored under."""
        return self._reader.codec(self.place(name)[0])

    def elements(self, name: str, start: int, stop: int, *, told: bool = False) -> NDArray[Any]:
        """Return elements [start, stop) of a tensor in C order, one-dimensional.

        With `told`, the caller has told the reader what will be read (`api.ahead`).

        Raises
        ------
        UnknownTaskError, FormatError
            As `get_tensor`.
        """
        place = self.place(name)
        with named(name):
            return self._elements.read(place, start, stop, told=told)

    def gather(self, name: str, axes: Sequence[Rows]) -> NDArray[Any]:
        """Return the elements of a tensor in these rows of its axes (`slices.touched`).

        Raises
        ------
        UnknownTaskError, FormatError
            As `get_tensor`.
        """
        place, tensor = self.place(name), self.spec(name)
        with named(name):
            return self._elements.gather(place, tensor, axes)

    def integers(self, name: str, start: int, stop: int, *, told: bool = False) -> NDArray[np.int8]:
        """Return the integers of elements [start, stop), one-dimensional.

        Raises
        ------
        UnknownTaskError, UsageError, FormatError
            As `get_quantized`.
        """
        place = self.place(name)
        with named(name):
            return self._elements.read(place, start, stop, integers=True, told=told)

    def scales(self, name: str) -> NDArray[np.float32]:
        """Return a tensor's scales, as `get_quantized` does."""
        place = self.place(name)
        with named(name):
            return self._elements.scales(place)
