"""What a model is written as: in which format, a file or a folder, whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mcodec import outputs
from mcodec.api import carry
from mcodec.errors import FormatError, UsageError
from mcodec.formats import registry
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mcodec.formats.base import TensorSink
    from mcodec.types import TensorSpec

FALLBACK_FORMAT: Final = "safetensors"  # for what came from arrays
_NO_TARGETS: Final = frozenset((".mc", ".json"))  # suffixes that promise what is not written


@dataclass(slots=True)
class Plan:
    """What is to be written, decided before any work.

    Attributes
    ----------
    out : str
    format : str
        An id of `registry.FORMATS`.
    skeleton : bytes
        What the sink is created with.
    given : bytes
        The source's own.
    folder : bool
    notes : tuple of str
        What of the source is left out, whatever the target.
    """

    out: str
    format: str
    skeleton: bytes
    given: bytes
    folder: bool
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Target:
    """A model that is being written: under a temporary name, until all of it is there."""

    path: str
    sink: TensorSink
    notes: list[str]


def choose_format(to: str | None, out: str | os.PathLike[str] | None, own: str | None) -> str:
    """Return the format to write: what is asked for, else by the name of the output, else `own`.

    Raises
    ------
    UsageError
        There is no such format, or no file of this name is ever written.
    """
    if to is not None:
        return carry.format_of_name(to)
    if out is not None:
        name = os.fspath(out)
        suffix = os.path.splitext(name)[1].lower()
        if suffix in _NO_TARGETS:
            raise UsageError(f"{name}: {_instead(suffix)}")
        found = registry.format_for_suffix(name)
        if found is not None:
            return found
    if own is None:
        return FALLBACK_FORMAT
    if own not in registry.FORMATS:
        raise UsageError(f"it came from {own!r}, which this mcodec cannot write; use --to")
    return own


def _instead(suffix: str) -> str:
    if suffix == ".json":
        return "a model in shards is written as a folder: name one, or one file to hold it all"
    return "an .mc file is written by `mcodec pack`; call it .h5 or the like, or say --to"


def plan(out: str | os.PathLike[str], target: str, skeleton: bytes) -> Plan:
    """Decide what to write.

    A model of several files becomes a folder, unless the output's suffix says one file.

    Raises
    ------
    FormatError
        The skeleton is none.
    """
    name = os.fspath(out)
    notes: list[str] = []
    chosen = carry.for_target(skeleton, target, notes)
    folder = registry.format_for_suffix(name) is None and carry.is_folder(chosen, target)
    return Plan(name, target, chosen, skeleton, folder, tuple(notes))


def check(plan: Plan, inputs: Iterable[object] = ()) -> None:
    """Refuse an output that cannot be, before long work.

    Raises
    ------
    UsageError, InputOutputError
        As `outputs.check_output` and `outputs.check_folder`.
    """
    (outputs.check_folder if plan.folder else outputs.check_output)(plan.out, inputs)


@contextmanager
def create(
    plan: Plan,
    specs: Sequence[TensorSpec],
    metadata: Mapping[str, str],
    same_as: Mapping[int, int],
) -> Iterator[Target]:
    """Give the target for these tensors; if the block ends well it is closed and put in place.

    Raises
    ------
    FormatError
        The skeleton is damaged, or does not fit the tensors.
    UsageError
        The format cannot hold them.
    InputOutputError
        It cannot be written.
    """
    place = outputs.atomic_folder if plan.folder else outputs.atomic_output
    with place(plan.out) as temporary:
        notes = list(plan.notes)
        sink = _create_sink(temporary, plan, specs, metadata, same_as, notes)
        try:
            notes += sink.notes
            yield Target(temporary, sink, notes)
            sink.close()
        finally:
            sink.discard()


def _create_sink(
    path: str,
    plan: Plan,
    specs: Sequence[TensorSpec],
    metadata: Mapping[str, str],
    same_as: Mapping[int, int],
    notes: list[str],
) -> TensorSink:
    """Create the sink; without the carried skeleton, where the file was changed after its making.

    Somebody may have edited what mcodec converted: then its first form cannot come back.
    """
    kept = carry.plain_metadata(metadata, plan.given, plan.skeleton, plan.format)
    try:
        return registry.create_sink(path, plan.format, specs, plan.skeleton, kept, same_as)
    except FormatError as error:
        if plan.skeleton == plan.given:
            raise
        own = carry.known_format(plan.given) == plan.format
        notes.append(
            f"what the model was converted from no longer fits it and is left out ({error})"
        )
        _clear(path)
        kept = carry.plain_metadata(metadata, plan.given, b"", plan.format)
        return registry.create_sink(
            path, plan.format, specs, plan.given if own else b"", kept, same_as
        )


def _clear(path: str) -> None:
    """Empty a folder that a sink has begun to fill."""
    if os.path.isdir(path):
        with io_errors(path):
            shutil.rmtree(path)
            os.mkdir(path)
