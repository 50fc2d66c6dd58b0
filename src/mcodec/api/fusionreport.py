"""What two tasks cost by the ways of paper 001's table 1, and what they take in a file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec.api.fusion import PAPER_BITS, WAYS, pair_bits
from mcodec.api.handle import open as open_file
from mcodec.api.listing import list_tensors
from mcodec.api.pairing import pair_tensors
from mcodec.api.planning import is_weight
from mcodec.errors import UsageError
from mcodec.types import FLOATS

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from mcodec.api.handle import File
    from mcodec.api.listing import TensorRow
    from mcodec.types import TensorSpec


@dataclass(frozen=True, slots=True)
class WayRow:
    """One way: its theory, and what the file takes if that is how it was packed.

    Attributes
    ----------
    way : str
        A key of `WAYS`.
    bits : float or None
        For a pair of weights, the mean over all; None where the bits of A and B are not known.
    theory_bytes : int or None
        That for all pairs.
    file_bytes : int or None
        The streams of the fused weights; None for the ways that the file is not packed by.
    named : tuple of int
        Bits a pair that the paper names besides: in its table, in its text.
    """

    way: str
    bits: float | None
    theory_bytes: int | None
    file_bytes: int | None
    named: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Besides:
    """What a task stores besides the weights that it shares a pair with: heads, biases."""

    task: str
    tensors: int
    parameters: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class FusionReport:
    """Paper 001's table 1 for the two tasks of a file.

    Attributes
    ----------
    tasks : tuple of str
    tensors, weights : int
        Pairs of tensors that count, and of weights.
    bits : tuple of int or None
        n and m where all weights have the same ones.
    rows : tuple of WayRow
        In the order of `WAYS`.
    besides : tuple of Besides
        One a task; what both name is the first one's.
    rest_bytes : int
        Of the file: names, rows, skeletons, and what else is not a tensor.
    file_bytes : int
    """

    tasks: tuple[str, str]
    tensors: int
    weights: int
    bits: tuple[int, int] | None
    rows: tuple[WayRow, ...]
    besides: tuple[Besides, Besides]
    rest_bytes: int
    file_bytes: int


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two weights tensors, and how both are coded: a way, and n and m for v1 and v2."""

    rows: tuple[TensorRow, TensorRow]
    way: str
    bits: tuple[int, int] | None

    @property
    def spec(self) -> TensorSpec:
        return self.rows[0].spec


def fusion_report(path: str | os.PathLike[str]) -> FusionReport:
    """Compare what two tasks take in a file with paper 001's table 1.

    The weights that count are floating tensors of two or more dimensions that both tasks have, and
    that are stored as most of them are; all else is told apart for each task (paper 001, 001-j).

    Parameters
    ----------
    path
        A `.mc` file of two tasks.

    Raises
    ------
    UsageError
        It has not two tasks, or they share no weights.
    FormatError, InputOutputError
        As `mcodec.open`.
    """
    with open_file(path, max_decoded=1 << 62) as file:
        if len(file.tasks) != 2:
            raise UsageError(
                f"the table of paper 001 is of two tasks, and the file has {len(file.tasks)}"
            )
        places = _places(file)
        pairs = [_pair_of(*both) for both in _paired(file, places)]
        if not pairs:
            raise UsageError("the two tasks share no weights of two or more dimensions")
        sizes: Counter[str] = Counter()
        for pair in pairs:
            sizes[pair.way] += pair.spec.size
        way = sizes.most_common(1)[0][0]
        return _report(file, places, [pair for pair in pairs if pair.way == way], way)


Rows = dict[str, tuple[tuple[int, int], "TensorRow"]]  # tensor name -> place and row


def _places(file: File) -> tuple[Rows, Rows]:
    """Return what each task has."""
    found = []
    for name in file.tasks:
        entry = file.entry(name)
        rows = list_tensors(file.reader, entry)
        found.append(
            {
                tensor.name: ((tensor.run, tensor.member), row)
                for tensor, row in zip(entry.tensors, rows, strict=True)
            }
        )
    return found[0], found[1]


def _paired(file: File, places: tuple[Rows, Rows]) -> Iterable[tuple[TensorRow, TensorRow]]:
    """Yield the weights that both tasks have: those that are fused, else as `pack` would pair."""
    first, second = places
    fused = [set(pair) for pair in file.reader.manifest.pairs]
    names = [list(rows) for rows in places]
    specs = [[row.spec for _, row in rows.values()] for rows in places]
    groups = pair_tensors(specs)
    by_place = dict(second.values())
    partner = {run: other for pair in fused for run in pair for other in pair - {run}}
    guessed = {names[0][group[0]]: names[1][group[1]] for group in groups}
    for name, ((run, member), row) in first.items():
        if row.spec.dtype not in FLOATS or not is_weight(row.spec):
            continue
        if run in partner:
            other = by_place.get((partner[run], member))
        else:
            other = second[guessed[name]][1] if name in guessed else None
        if other is not None:
            yield row, other


def _pair_of(a: TensorRow, b: TensorRow) -> _Pair:
    """Tell how two weights tensors are stored."""
    ids = [row.codec["id"] for row in (a, b)]
    form = FLOATS[a.spec.dtype]
    if ids == ["bfp", "bfp"]:
        return _Pair((a, b), "v2", (a.codec["bits"], b.codec["bits"]))
    if ids == ["float", "float"]:
        kept = [row.codec.get("keep", form.width) - 1 - form.exponent for row in (a, b)]
        asked = any("keep" in row.codec for row in (a, b))
        if asked and min(kept) >= 0:
            return _Pair((a, b), "v1", (kept[0], kept[1]))
    if ids == ["mask", "mask"]:
        owned = any(row.codec.get("owner") for row in (a, b))
        return _Pair((a, b), "packnet" if owned else "piggyback", None)
    if "mask" in ids:
        return _Pair((a, b), "packnet", None)
    return _Pair((a, b), "separate", None)


def _report(file: File, places: tuple[Rows, Rows], pairs: list[_Pair], way: str) -> FusionReport:
    reader = file.reader
    weights = sum(pair.spec.size for pair in pairs)
    inside = [{pair.rows[task].spec.name for pair in pairs} for task in range(2)]
    counted: set[tuple[int, int]] = set()
    besides = []
    stored = 0
    shared = True
    for task, (name, rows) in enumerate(zip(file.tasks, places, strict=True)):
        own = [0, 0, 0]
        for tensor, (place, row) in rows.items():
            new = 0 if place in counted else row.stored_bytes
            counted.add(place)
            if tensor in inside[task]:
                shared &= task == 0 or not new
                stored += new
            else:
                own = [own[0] + 1, own[1] + row.spec.size, own[2] + new]
        besides.append(Besides(name, *own))
    stored += _hidden(file, {run for run, _ in counted})
    if way == "separate" and shared:
        way = "classifier"  # B's weights are A's
    known = {pair.bits for pair in pairs}
    bits = next(iter(known)) if len(known) == 1 else None
    return FusionReport(
        (file.tasks[0], file.tasks[1]),
        len(pairs),
        weights,
        bits,
        tuple(_row(one, pairs, weights, stored if one == way else None) for one in WAYS),
        (besides[0], besides[1]),
        reader.size - stored - sum(one.stored_bytes for one in besides),
        reader.size,
    )


def _hidden(file: File, named: set[int]) -> int:
    """Return the bytes of runs that no tensor is in: bases, maps of owners; not skeletons."""
    reader = file.reader
    skeletons = {task.skeleton_run for task in reader.manifest.tasks}
    return sum(
        row.stored
        for run, spec in enumerate(reader.runs)
        if run not in named and run not in skeletons
        for block in range(-1, spec.blocks)
        for row in reader.rows(run, block)
    )


def _row(way: str, pairs: Iterable[_Pair], weights: int, stored: int | None) -> WayRow:
    total = 0
    for pair in pairs:
        form = FLOATS[pair.spec.dtype]
        if pair.bits is None and way in PAPER_BITS:
            return WayRow(way, None, None, stored, PAPER_BITS[way])
        n, m = pair.bits or (0, 0)
        if way == "v1":
            n, m = min(n, form.mantissa), min(m, form.mantissa)
        total += pair.spec.size * pair_bits(way, n, m, dtype=pair.spec.dtype)
    bits = total / weights if weights else 0.0
    return WayRow(way, bits, -(-total // 8), stored, PAPER_BITS.get(way, ()))
