"""Flags that several verbs share, and the small forms that people type in them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from mcodec.errors import McodecError, UsageError
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    _SizeType = click.ParamType[int]
else:
    _SizeType = click.ParamType  # click takes no type parameter before 8.4

N = TypeVar("N", int, float)

# Completes names of files; the library says what is wrong with one, and with which exit code.
PATH: Final = click.Path(readable=False)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print errors only.")


class Count(click.IntRange):
    """A number in a range; click calls its own "integer range" in messages."""

    name = "whole number"


# Blocks in flight, and with them memory, grow with the threads.
jobs_option = click.option(
    "-j", "--jobs", type=Count(1, 1024), metavar="N", help="Threads [default: usable cores]."
)
engine_option = click.option(
    "--engine",
    default="threads",
    show_default=True,
    metavar="ENGINE",
    help="Who works: threads, processes, dask (a cluster of --jobs processes) or dask://HOST:PORT, "
    "the scheduler of a cluster.",
)
parts_option = click.option(
    "--parts",
    metavar="FOLDER",
    help="Where workers write finished parts, a folder or URL that all of them see "
    "[default: OUT.parts].",
)
key_option = click.option(
    "--key",
    metavar="KEY",
    help="The model's place in a PyTorch checkpoint, such as model.state_dict.",
)
keys_option = click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="[NAME=]KEY",
    help="The model's place in PyTorch checkpoints, of all or of one task.",
)
evaluate_option = click.option(
    "--evaluate",
    metavar="FILE.py:FUNCTION",
    help="f(weights, task) returns a number, larger for better, or several by name, of which the "
    "first counts. One a task: A=f.py:f,B=g.py:g.",
)
as_file_option = click.option(
    "--as-file", is_flag=True, help="Give FUNCTION the path of a model file, not the arrays."
)
sandbox_option = click.option(
    "--sandbox",
    is_flag=True,
    help="Read model files in a process of its own, under a memory and a time limit.",
)


no_check_option = click.option(
    "--no-check", is_flag=True, help="Do not read the output back to compare it."
)
task_option = click.option(
    "--task", metavar="NAME", help="The task, where IN is an .mc file of several."
)
include_option = click.option(
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Only weights of these names, a shell pattern; may be given several times.",
)
exclude_option = click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="All weights but those of these names."
)


def _complete_format(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from mcodec.formats.registry import FORMATS

    suffixes = [entry.suffixes[0][1:] for entry in FORMATS.values()]
    return [suffix for suffix in suffixes if suffix.startswith(incomplete)]


to_option = click.option(
    "--to",
    metavar="FORMAT",
    shell_complete=_complete_format,
    help="h5, keras, safetensors, npz, pt, … [default: by OUT, else its own].",
)
file_argument = click.argument("file", required=False, metavar="[FILE]", type=PATH)


class Size(_SizeType):
    """A number of bytes: 500, 40M (10^6), 40Mi (2^20)."""

    name = "size"
    _form: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([kKMGT]?)(i?)B?\Z")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        if isinstance(value, int):
            return value
        match = self._form.match(value)
        if match is None or (match[3] and not match[2]):
            self.fail(f"{value!r} is not a size like 500M or 2Gi", param, ctx)
        power = " KMGT".index(match[2].upper() or " ")
        return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


def _hold(context: click.Context, param: click.Parameter, value: int | None) -> int | None:
    """Have memory given back at once where the limit is low: the process is ours."""
    if value is not None and not context.resilient_parsing:
        from mcodec.allowance import tighten

        tighten(value)
    return value


max_memory_option = click.option(
    "--max-memory",
    type=Size(),
    metavar="SIZE",
    callback=_hold,
    help="Most memory that the process may take, such as 256M [default: 512Mi for the work].",
)

# What `pack` and the verbs that change one task of a file have in common.
rounding_option = click.option(
    "--rounding",
    type=click.Choice(["nearest", "truncate"]),
    default="nearest",
    show_default=True,
    help="How --bits rounds; the papers truncate.",
)
codec_option = click.option(
    "--codec",
    metavar="CODEC",
    help="'auto', 'float', 'bfp(bits=8,scope=axis:-1)', …; --bits goes before it for weights "
    "[default: auto, the smallest lossless one for each tensor].",
)
force_option = click.option(
    "--force", is_flag=True, help="Take csr also where it costs more than it saves."
)
plan_option = click.option("--plan", metavar="TOML", type=PATH, help="Codecs by tensor name.")
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
        given, path = split_name(text)
        name = default_name(index) if given is None else given
        if name in named:
            raise UsageError(f"two tasks are named {name!r}; name them apart with NAME=PATH")
        named[name] = path
    return named


def split_name(text: str) -> tuple[str | None, str]:
    """Split ``[NAME=]PATH``."""
    name, equals, path = text.partition("=")
    if text and (not equals or "/" in name or os.path.exists(text)):
        return None, text
    if not name or not path:
        raise UsageError(f"{text!r} is not of the form [NAME=]PATH")
    return name, path


def parse_bits(text: str | None) -> int | list[int] | dict[str, int] | None:
    """Parse ``12``, ``12,11`` or ``A=12,B=11``."""
    if text is None:
        return None
    try:
        found = by_task(text, int)
    except ValueError:
        message = f"--bits {text!r} is not of the form 12, or 12,11, or A=12,B=11"
        raise UsageError(message) from None
    if isinstance(found, dict) and len(found) < len(text.split(",")):
        raise UsageError(f"--bits {text!r} names a task twice")
    return found


def by_task(text: str, number: Callable[[str], N]) -> N | list[N] | dict[str, N]:
    """Split numbers: one for all tasks, one a task in order, or by name; of a name twice the last.

    Raises
    ------
    ValueError
        It has none of these forms.
    """
    parts = text.split(",")
    if "=" not in text:
        numbers = [number(part) for part in parts]
        return numbers[0] if len(numbers) == 1 else numbers
    pairs = [part.rpartition("=") for part in parts]
    found = {name.strip(): number(value) for name, _, value in pairs}
    if "" in found:
        raise ValueError
    return found


def parse_keys(texts: Sequence[str]) -> str | dict[str, str]:
    """Parse ``KEY``, for all tasks, or several ``NAME=KEY``."""
    if len(texts) == 1 and "=" not in texts[0]:
        return texts[0]
    keys: dict[str, str] = {}
    for text in texts:
        name, equals, key = text.partition("=")
        if not equals or not name or not key or name in keys:
            raise UsageError(f"--key {text!r}: give one KEY for all tasks, or NAME=KEY for each")
        keys[name] = key
    return keys


def parse_meta(texts: Sequence[str], names: Collection[str]) -> dict[str, dict[str, str]]:
    """Parse ``TASK.key=value``; a task's name may hold dots itself, and the longest one counts."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        left, equals, value = text.partition("=")
        task = max((name for name in names if left.startswith(f"{name}.")), key=len, default="")
        key = left[len(task) + 1 :]
        if not equals or not task or not key:
            message = f"--meta {text!r} is not of the form TASK.key=value; the tasks are "
            raise UsageError(message + ", ".join(names))
        if key in found.setdefault(task, {}):
            raise UsageError(f"--meta gives {task}.{key} twice")
        found[task][key] = value
    return found


def complete_task(
    ctx: click.Context,
    param: click.Parameter,
    incomplete: str,
) -> list[str]:
    """Complete a task's name from the file on the line."""
    from mcodec.api.handle import open as open_file

    # Where the line ends in "--task", click has not yet sorted FILE among the parameters.
    path = ctx.params.get("file") or next(iter(ctx.args), None)
    try:
        with open_file(find_file(path)) as file:
            return [name for name in file.tasks if name.startswith(incomplete)]
    except (McodecError, OSError):
        return []  # nothing to say while somebody types


def find_file(path: str | None) -> str:
    """Return the file, or the one `.mc` file of this folder if none was given."""
    if path == "":
        raise UsageError("the name of the .mc file is empty")
    if path is not None:
        return path
    with io_errors("."):
        found = sorted(name for name in os.listdir() if name.endswith(".mc"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError("name the file: there is no .mc file in this folder")
    names = ", ".join(found[:3]) + (", …" if len(found) > 3 else "")
    raise UsageError(f"name the file: there are {len(found)} .mc files in this folder ({names})")
