"""Which tensor it is that something goes wrong with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcodec.errors import McodecError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def named(name: str) -> Iterator[None]:
    """Name a tensor in what goes wrong."""
    try:
        yield
    except McodecError as error:
        raise error.at(f"tensor {name!r}") from None
