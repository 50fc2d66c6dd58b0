"""`report`: one page that shows what a `.mc` file holds, and what each of its bytes is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.api.handle import open as open_file
from mcodec.api.reportcollect import collect
from mcodec.api.reportfigures import Report
from mcodec.outputs import atomic_output, check_output

if TYPE_CHECKING:
    import os

__all__ = ["Report", "report"]


def report(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    max_decoded: int | None = None,
) -> Report:
    """Tell where the bytes of a `.mc` file are, and write it as a page to look at.

    Only the file's front is read, its hash checked; no weight is decoded. The page is one HTML
    file that asks the network for nothing.

    Parameters
    ----------
    path
        A `.mc` file: a path, or an fsspec URL.
    out
        The HTML file to write, whole or not at all; None only returns the figures.
    max_decoded
        As `mcodec.open` has it.

    Raises
    ------
    FormatError, InputOutputError
        As `mcodec.open`; or the page cannot be written.
    UsageError
        `out` is no place for a file, or `path` itself.
    """
    if out is not None:
        check_output(out, [path])
    with open_file(path, max_decoded=max_decoded) as file:
        found = collect(file.reader)
    if out is not None:
        from mcodec.api.reportpage import render

        with atomic_output(out) as temporary, open(temporary, "wb") as stream:
            stream.write(render(found).encode())
    return found
