"""`dumps` and `loads`: files in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcodec.api.handle import File, open_source
from mcodec.api.pack import pack
from mcodec.container.spool import Joined
from mcodec.storage.memory import InMemory

if TYPE_CHECKING:
    from mcodec.api.sources import Sources


def dumps(sources: Sources, **options: Any) -> bytes:
    """Pack models into the bytes of a file, each as a task.

    Parameters
    ----------
    sources, options
        As in `pack`, whose file has the same bytes.

    Raises
    ------
    McodecError
        As `pack`.

    Examples
    --------
    >>> import numpy as np
    >>> data = dumps({"A": {"w": np.arange(4, dtype="f4")}})
    >>> loads(data).task("A")["w"].tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    joined = Joined()
    pack(sources, joined, **options)
    return joined.value()


def loads(
    data: bytes | bytearray | memoryview,
    *,
    verify: str = "chunks",
    jobs: int | None = None,
    partial: bool = False,
    max_decoded: int | None = None,
) -> File:
    """Open a `.mc` file that is in memory.

    Parameters
    ----------
    data
        Its bytes, contiguous. They are read where they lie, when a tensor is: while the file is
        open they stay as they are.
    verify, jobs, partial, max_decoded
        As in `open`.

    Raises
    ------
    FormatError, UsageError
        As `open`.
    """
    file = open_source(
        lambda: InMemory(data),
        None,
        verify=verify,
        jobs=jobs,
        partial=partial,
        max_decoded=max_decoded,
    )
    assert isinstance(file, File)
    return file
