"""What runs stand on: the Bases of the manifest and their rules (spec/container.md, 2 and 6)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from mcodec.errors import FormatError
from mcodec.types import itemsize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcodec.container.codeclike import CodecLike
    from mcodec.container.manifest import Bases, Manifest, Run
    from mcodec.types import RunSpec

    Place = tuple[int, int]  # run, member

DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")


def pin(digests: Iterable[str]) -> str:
    """Return the Pin of places whose runs have these digests."""
    hasher = blake3()
    for digest in digests:
        hasher.update(digest.encode())
    return hasher.hexdigest()


def check_bases(
    index: int, runs: Sequence[Run], specs: Sequence[RunSpec], codec: CodecLike
) -> None:
    """Check what one run stands on (section 6, step 9).

    Raises
    ------
    FormatError
        ``manifest_invalid`` or ``manifest_reference``.
    """
    run, spec = runs[index], specs[index]
    roles = codec.roles(spec.dtype)
    bases = run.stands_on
    if bases is None:
        if roles:
            raise _refuse("manifest_invalid", index, "needs bases, and has none")
        return
    if (
        len(bases.roles) != len(roles)
        or not roles
        or any(len(places) != len(spec.shapes) for places in bases.roles)
        or not DIGEST.match(bases.pin)
    ):
        raise _refuse("manifest_invalid", index, "has malformed bases")
    for dtype, places in zip(roles, bases.roles, strict=True):
        for shape, place in zip(spec.shapes, places, strict=True):
            _check_place(index, place, dtype, shape, runs, specs)
    found = pin(runs[number].digest for places in bases.roles for number, _ in places)
    if found != bases.pin:
        raise _refuse("manifest_reference", index, "stands on other bytes than it was made for")


def _check_place(
    index: int,
    place: Place,
    dtype: str,
    shape: tuple[int, ...],
    runs: Sequence[Run],
    specs: Sequence[RunSpec],
) -> None:
    number, member = place
    good = 0 <= number < len(runs) and 0 <= member < len(specs[number].shapes)
    good = good and runs[number].stands_on is None
    if not good or specs[number].dtype != dtype or specs[number].shapes[member] != shape:
        raise _refuse("manifest_reference", index, f"stands on run {number}, member {member}")


def check_named(manifest: Manifest) -> None:
    """Refuse a run that stands on others for no task: no budget holds its decode (step 10).

    Raises
    ------
    FormatError
        ``manifest_reference``.
    """
    named: set[int | None] = {place.run for task in manifest.tasks for place in task.tensors}
    named.update(task.skeleton_run for task in manifest.tasks)
    for index, run in enumerate(manifest.runs):
        if run.stands_on is not None and index not in named:
            raise _refuse("manifest_reference", index, "stands on others for no task")


def touched_bytes(bases: Bases, specs: Sequence[RunSpec]) -> int:
    """Return the bytes that decoding what a run stands on can take (section 6, step 12)."""
    total = 0
    for places in bases.roles:
        last = (-1, -1)  # run and block in which the place before ended
        for number, member in places:
            spec = specs[number]
            if not spec.sizes[member]:
                continue
            start = spec.starts[member]
            first, stop = start // spec.block, -(-(start + spec.sizes[member]) // spec.block)
            first += last == (number, first)
            last = (number, stop - 1)
            if first < stop:
                elements = spec.span(stop - 1)[1] - spec.span(first)[0]
                total += elements * itemsize(spec.dtype)
    return total


def _refuse(code: str, index: int, message: str) -> FormatError:
    return FormatError(f"run {index} {message}", code=code)
