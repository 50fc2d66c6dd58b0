"""Which tensors of several tasks are fused (design: "Fusing two tasks")."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from mcodec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.types import TensorSpec

    Key = tuple[str, str, tuple[int, ...]]

_NUMBER: Final = re.compile(r"(_\d+|(?<![^/.])\d+)(?=[/.:]|$)")
_TABLE: Final = 4_000_000  # cells of the exact table; longer models get difflib's blocks


def pair_tensors(
    models: Sequence[Sequence[TensorSpec]], overrides: Sequence[tuple[int, str, int, str]] = ()
) -> list[dict[int, int]]:
    """Pair the tensors of the first model with those of each other one.

    By position where both have the same sequence of (dtype, shape); else by the longest common
    subsequence over (name without its numbers, dtype, shape): Keras numbers layers per process.

    Parameters
    ----------
    models
        The tensors of each task, in model order.
    overrides
        (task, name, other task, name): pairs that a person asks for, before all others.

    Returns
    -------
    list of dict
        One group an item: task index to tensor index, of two tasks or more, in the order of the
        first model.
    """
    groups: dict[int, dict[int, int]] = {}
    for other in range(1, len(models)):
        forced = _forced(models, overrides, other)
        for left, right in _match(models[0], models[other], forced):
            groups.setdefault(left, {0: left})[other] = right
    return [groups[left] for left in sorted(groups)]


def _match(
    a: Sequence[TensorSpec], b: Sequence[TensorSpec], forced: Mapping[int, int]
) -> list[tuple[int, int]]:
    taken = set(forced.values())
    left = [index for index in range(len(a)) if index not in forced]
    right = [index for index in range(len(b)) if index not in taken]
    if [_kind(a[i]) for i in left] == [_kind(b[j]) for j in right]:
        return [*forced.items(), *zip(left, right, strict=True)]
    common = _common([_key(a[i]) for i in left], [_key(b[j]) for j in right])
    return [*forced.items(), *((left[i], right[j]) for i, j in common)]


def _kind(spec: TensorSpec) -> tuple[str, tuple[int, ...]]:
    return spec.dtype, spec.shape


def _key(spec: TensorSpec) -> Key:
    return _NUMBER.sub("", spec.name), *_kind(spec)


def _common(a: Sequence[Key], b: Sequence[Key]) -> list[tuple[int, int]]:
    """Return a longest common subsequence as index pairs."""
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    pairs = [(i, i) for i in range(head)]
    middle = _middle(a[head : len(a) - tail], b[head : len(b) - tail])
    pairs += [(head + i, head + j) for i, j in middle]
    pairs += [(len(a) - tail + i, len(b) - tail + i) for i in range(tail)]
    return pairs


def _middle(a: Sequence[Key], b: Sequence[Key]) -> list[tuple[int, int]]:
    if len(a) * len(b) > _TABLE:
        matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
        return [
            (block.a + i, block.b + i)
            for block in matcher.get_matching_blocks()
            for i in range(block.size)
        ]
    rows, columns = len(a), len(b)
    best = [[0] * (columns + 1) for _ in range(rows + 1)]  # of a[i:], b[j:]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            skip = max(best[i + 1][j], best[i][j + 1])
            best[i][j] = best[i + 1][j + 1] + 1 if a[i] == b[j] else skip
    pairs, i, j = [], 0, 0
    while i < rows and j < columns:
        if a[i] == b[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def _forced(
    models: Sequence[Sequence[TensorSpec]],
    overrides: Sequence[tuple[int, str, int, str]],
    other: int,
) -> dict[int, int]:
    """Return the pairs that were asked for between the first model and another one."""
    forced: dict[int, int] = {}
    for override in overrides:
        one, two = override[:2], override[2:]
        (first, name), (second, partner) = sorted((one, two))
        if first != 0 or second == 0:
            raise UsageError("--pair joins a tensor of the first task with one of another task")
        if second != other:
            continue
        left, right = find_tensor(models[0], name), find_tensor(models[other], partner)
        a, b = models[0][left], models[other][right]
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            message = f"--pair: {name!r} and {partner!r} differ in dtype or shape"
            raise UsageError(message)
        if left in forced or right in forced.values():
            raise UsageError(f"--pair names {name!r} or {partner!r} twice")
        forced[left] = right
    return forced


def find_tensor(model: Sequence[TensorSpec], name: str) -> int:
    """Return the index of a tensor that ``--pair`` names."""
    for index, spec in enumerate(model):
        if spec.name == name:
            return index
    raise UsageError(f"--pair: no tensor {name!r}", code="tensor_unknown")


def parse_override(pair: tuple[str, str], names: Sequence[str]) -> tuple[int, str, int, str]:
    """Parse two ``TASK:name``, as `pair_tensors` takes them."""
    found: list[tuple[int, str]] = []
    for side in pair:
        task, colon, tensor = side.partition(":")
        if not colon or task not in names:
            raise UsageError(f"--pair takes TASK:name=TASK:name, and {side!r} names no task")
        found.append((names.index(task), tensor))
    return *found[0], *found[1]
