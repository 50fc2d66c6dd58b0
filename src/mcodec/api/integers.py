"""Runs that are stored as 8-bit integers, back to integers and scales instead of floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcodec.api.decode import RunDecoder
from mcodec.codec.base import Codec
from mcodec.codec.scales import shaped
from mcodec.errors import FormatError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.quantized import Quantized
    from mcodec.container.reader import ContainerReader


def find_integers(reader: ContainerReader, run: int) -> Quantized | None:
    """Return the integers below a run's codec; None where it has none."""
    codec = reader.codec(run)
    assert isinstance(codec, Codec)  # what `registry.from_config` makes
    return codec.quantized


class IntegerDecoder(RunDecoder):
    """Decodes blocks of a run to its integers; may be used from several threads.

    Parameters
    ----------
    reader
        The open file.
    run
        The run's index.

    Raises
    ------
    UsageError
        The run is not stored as integers.
    FormatError
        ``file_truncated``: the file is cut off, and integers need all planes.
    """

    def __init__(self, reader: ContainerReader, run: int) -> None:
        found = find_integers(reader, run)
        if found is None:
            codec_id = reader.codec(run).codec_id
            raise UsageError(f"stored as {codec_id}, not as integers: read its values")
        if reader.levels is not None:
            message = "the file is cut off, and integers need all planes"
            raise FormatError(message, code="file_truncated").at(reader.name)
        super().__init__(reader, run)
        self._integers = found

    def empty(self, n: int) -> NDArray[Any]:
        """Return room for n integers."""
        import numpy as np

        return np.empty(n, np.int8)

    def block(self, block: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Decode a block, into `out` (its length, int8) if given."""
        start, stop = self.spec.span(block)
        if out is None:
            out = self.empty(stop - start)
        mode, streams = self._reader.read_streams(self._run, block)
        with self.place(f"block {block}"):
            self._integers.integers(self.spec, block, mode, streams, self.head, out)
        return out

    def scales(self, member: int) -> NDArray[np.float32]:
        """Return the scales of a member, in the shape in which they broadcast against it."""
        scope, shapes = self._integers.scope, self.spec.shapes
        first = sum(scope.count(shape) for shape in shapes[:member])
        shape = shapes[member]
        own = self._integers.scales(self.head)[first : first + scope.count(shape)]
        return shaped(own, shape, scope).copy()
