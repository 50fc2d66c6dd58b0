"""Flags that several verbs share, and the small forms that people type in them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

import click

from mcodec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Command = Callable[..., Any]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1), metavar="N", help="Threads [default: usable cores]."
)


class Size(click.ParamType[int]):
    """A number of bytes: 500, 40M (10^6), 40Mi (2^20)."""

    name = "size"
    _form: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kKMGT]?)(i?)B?\Z")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        if isinstance(value, int):
            return value
        match = self._form.match(value)
        if match is None or (match[3] and not match[2]):
            self.fail(f"{value!r} is not a size like 500M or 2Gi", param, ctx)
        power = " KMGT".index(match[2].upper() or " ")
        return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


max_decoded_option = click.option(
    "--max-decoded",
    type=Size(),
    metavar="SIZE",
    help="Most bytes a task may decode to [default: 1 GiB, or 1000 times the file].",
)


def split_named(texts: Sequence[str]) -> dict[str, str]:
    """Split ``[NAME=]PATH`` arguments; those without a name get A, B, C, … by their place.

    A path that has a ``=`` and is there is a path.
    """
    from mcodec.api.sources import default_name

    named: dict[str, str] = {}
    for index, text in enumerate(texts):
        name, equals, path = text.partition("=")
        if not equals or "/" in name or os.path.exists(text):
            name, path = default_name(index), text
        if not name or not path:
            raise UsageError(f"{text!r} is not of the form NAME=PATH")
        if name in named:
            raise UsageError(f"two tasks are named {name!r}; name them apart with NAME=PATH")
        named[name] = path
    return named


def parse_bits(text: str | None) -> int | list[int] | dict[str, int] | None:
    """Parse ``12``, ``12,11`` or ``A=12,B=11``."""
    if text is None:
        return None
    parts = text.split(",")
    try:
        if "=" in text:
            pairs = [part.rpartition("=") for part in parts]
            found = {name.strip(): int(bits) for name, _, bits in pairs}
            if len(found) == len(parts):
                return found
        else:
            numbers = [int(part) for part in parts]
            return numbers[0] if len(numbers) == 1 else numbers
    except ValueError:
        pass
    raise UsageError(f"--bits {text!r} is not of the form 12, or 12,11, or A=12,B=11")


def complete_task(
    ctx: click.Context,
    param: click.Parameter,
    incomplete: str,
) -> list[str]:
    """Complete a task's name from the file on the line."""
    from mcodec.api.handle import open as open_file
    from mcodec.errors import McodecError

    try:
        with open_file(find_file(ctx.params.get("file"))) as file:
            return [name for name in file.tasks if name.startswith(incomplete)]
    except McodecError:
        return []


def find_file(path: str | None) -> str:
    """Return the file, or the one `.mc` file of this folder if none was given."""
    if path is not None:
        return path
    found = sorted(name for name in os.listdir() if name.endswith(".mc"))
    if len(found) == 1:
        return found[0]
    what = "no .mc file" if not found else f"{len(found)} .mc files"
    raise UsageError(f"name the file: this folder holds {what}")
