"""Tensors that are stored as what is not zero, as compressed sparse rows without a dense array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.decode import RunDecoder
from mcodec.codec.base import CANONICAL, View
from mcodec.codec.csr import CsrCodec
from mcodec.codec.positions import indices
from mcodec.engine import map_ordered
from mcodec.errors import CodecConfigError, MissingDependencyError, UsageError
from mcodec.types import BLOCK, numpy_dtype

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.container.reader import ContainerReader

_MOST_INT32: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False)
class CsrMatrix:
    """A tensor as a matrix of compressed sparse rows.

    Attributes
    ----------
    indptr
        int64, shape (rows + 1,): row i is elements [indptr[i], indptr[i + 1]).
    indices
        Their columns, rising in a row; int32, or int64 where there are 2^31 columns or more.
    data
        Their values, of the tensor's dtype. What was stored is here, also where it decodes to zero.
    shape : tuple of int
        Rows and columns.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[Any]
    data: NDArray[Any]
    shape: tuple[int, int]

    def _pointers(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return row pointers and columns of one dtype, the narrower one if both fit."""
        narrow = max(self.data.size, *self.shape) <= _MOST_INT32
        dtype = "int32" if narrow else "int64"
        return self.indptr.astype(dtype), self.indices.astype(dtype, copy=False)

    def to_scipy(self) -> Any:
        """Return a ``scipy.sparse.csr_array``; 16-bit floats become float32, for scipy has none.

        Raises
        ------
        MissingDependencyError
            scipy is not installed.
        """
        try:
            from scipy.sparse import csr_array
        except ModuleNotFoundError as error:
            message = "a scipy.sparse array is made by scipy: pip install 'mcodec[sparse]'"
            raise MissingDependencyError(message) from error
        data = self.data.astype("float32") if self.data.itemsize == 2 else self.data
        indptr, columns = self._pointers()
        return csr_array((data, columns, indptr), shape=self.shape)

    def to_torch(self) -> Any:
        """Return a ``torch.sparse_csr`` tensor of the same dtype.

        Raises
        ------
        MissingDependencyError
            torch is not installed.
        """
        try:
            import torch
        except ModuleNotFoundError as error:
            message = "a torch.sparse_csr tensor is made by torch: pip install 'mcodec[torch]'"
            raise MissingDependencyError(message) from error
        if self.data.dtype.name == "bfloat16":  # torch takes no arrays of it
            values = torch.from_numpy(self.data.view("int16")).view(torch.bfloat16)
        else:
            values = torch.from_numpy(self.data)
        indptr, columns = map(torch.from_numpy, self._pointers())
        return torch.sparse_csr_tensor(
            indptr, columns, values, size=self.shape, check_invariants=False
        )


def read_csr(
    reader: ContainerReader,
    place: tuple[int, int],
    split: int | None = None,
    view: View = CANONICAL,
    executor: Executor | None = None,
) -> CsrMatrix:
    """Read a tensor that is stored under the codec csr, block by block.

    Parameters
    ----------
    reader, place
        The open file, and the run and member of the tensor.
    split
        Where its shape is cut into rows and columns, in place of what the file says.
    view
        Canonical, or a derived decode.
    executor
        Who decodes blocks.

    Raises
    ------
    UsageError
        It is stored under another codec, or its shape has no such cut.
    FormatError
        Its bytes in the file are damaged.
    """
    import numpy as np

    run, member = place
    codec = reader.codec(run)
    if not isinstance(codec, CsrCodec):
        message = f"stored under {codec.codec_id}, not csr: read it with get_tensor"
        raise UsageError(message)
    spec = reader.runs[run]
    try:
        rows, columns = codec.matrix(spec.shapes[member], split)
    except CodecConfigError as error:
        raise UsageError(error.message) from None
    if not columns and rows > BLOCK:  # row pointers that the budget of the file does not count
        raise UsageError(f"a matrix of {rows:,} rows and no columns: name another split")
    decoder = _StoredDecoder(reader, run, codec, view)
    start = spec.starts[member]
    stop = start + spec.sizes[member]
    blocks = range(start // spec.block, -(-stop // spec.block)) if stop > start else range(0)
    indptr = np.zeros(rows + 1, np.int64)
    dtype = np.int32 if columns <= _MOST_INT32 else np.int64
    found: list[NDArray[Any]] = [np.empty(0, dtype)]
    data: list[NDArray[Any]] = [decoder.empty(0)]
    for positions, values in map_ordered(executor, decoder.stored, blocks):
        inside = slice(*np.searchsorted(positions, (start, stop)))
        row, column = np.divmod(positions[inside] - start, columns)
        if row.size:
            counts = np.bincount(row - row[0])
            indptr[row[0] + 1 : row[0] + 1 + counts.size] += counts
        found.append(column.astype(dtype))
        data.append(values[inside])
    np.cumsum(indptr, out=indptr)
    return CsrMatrix(indptr, np.concatenate(found), np.concatenate(data), (rows, columns))


class _StoredDecoder(RunDecoder):
    """Decodes of each block what is stored, and where in the run it is."""

    def __init__(
        self, reader: ContainerReader, run: int, codec: CsrCodec, view: View = CANONICAL
    ) -> None:
        super().__init__(reader, run, view)
        self._csr = codec

    def stored(self, block: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the positions, int64 and rising, and the values of a block's stored elements."""
        first, last = self.spec.span(block)
        dtype = numpy_dtype(self.spec.dtype)
        mask, values = self.use(
            block,
            lambda mode, streams: self._csr.decode_stored(
                self.spec, block, mode, streams, self.head, dtype, self._view
            ),
        )
        return indices(mask, last - first) + first, values
