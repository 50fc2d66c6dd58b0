"""``--partial``: files that are cut off, for the verbs that can work with what is there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from mcodec.errors import FormatError, McodecError

if TYPE_CHECKING:
    from collections.abc import Iterator

partial_option: Final = click.option(
    "--partial",
    is_flag=True,
    help="Open a progressive file that is cut off, at its last whole plane.",
)


@contextmanager
def hint(path: str, *, partial: bool, max_decoded: int | None) -> Iterator[None]:
    """End the error of a file that is cut off with the flag, if the file opens with it."""
    try:
        yield
    except FormatError as error:
        if partial or error.code != "file_truncated" or not _opens(path, max_decoded):
            raise
        message = f"{error.message.partition(';')[0]}; --partial opens what is there"
        raise FormatError(message, code=error.code, where=error.where) from None


def _opens(path: str, max_decoded: int | None) -> bool:
    from mcodec.api.handle import open as open_file

    try:
        with open_file(path, partial=True, max_decoded=max_decoded) as file:
            return file.levels is not None
    except McodecError:
        return False
