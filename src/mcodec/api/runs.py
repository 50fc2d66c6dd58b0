"""How tensors are laid into runs (design, section 2)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.planning import numbered
from mcodec.types import RunSpec, aligned

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mcodec.api.planning import Coding, Place
    from mcodec.codec.base import Codec
    from mcodec.types import TensorSpec

OWN_RUN: Final = 16_384  # elements from which a tensor is a run of its own
SHARED_RUN: Final = 1 << 16  # elements that a shared run has at most
# Elements from which small tensors of one last name (``gamma``, ``running_var``) lie together: they
# have one sign and like exponents, which pays for the rows of another run (docs/adr/0013).
OWN_LEAF: Final = 1 << 15
# Bytes have no planes to interleave; what stands on another task's run is no partner of it.
_NEVER_FUSED: Final = ("raw", "delta", "mask")


@dataclass(slots=True)
class RunPlan:
    """A run to be: one task's tensors (by index), in order, under one codec.

    Attributes
    ----------
    task
        Whose source has the values.
    users : tuple of int
        The tasks that name its tensors, as their own or as equal to their own.
    fused
        Number of the fused group of runs.
    bases
        For each role of the codec the place below each member.
    """

    task: int
    codec: Codec
    dtype: str
    members: list[int]
    shapes: list[tuple[int, ...]]
    users: tuple[int, ...]
    fused: int | None = None
    bases: list[list[Place]] = field(default_factory=list)
    spec: RunSpec = field(init=False)

    @property
    def shared(self) -> bool:
        """Whether it stands before those of single tasks; a fused run stands with its group."""
        return self.users != (self.task,) and self.fused is None

    def seal(self) -> RunPlan:
        """Fix the geometry."""
        self.spec = RunSpec.of(self.dtype, self.shapes)
        self.codec.check(self.spec)
        return self


def lay_out(
    models: Sequence[Sequence[TensorSpec]],
    codings: Sequence[Mapping[int, Coding]],
    groups: Sequence[Mapping[int, int]],
    users: Mapping[Place, tuple[int, ...]],
) -> list[RunPlan]:
    """Lay tensors into runs: large ones alone, small ones of one kind together, in model order.

    Tensors that several tasks name lie in no run with those of one task.

    Parameters
    ----------
    models, codings
        By task: its tensors, and what codes each; those without a coding lie in no run.
    groups
        Fused tensors: task index to tensor index. Fused tensors lie in runs of the same geometry
        in every task. A pair has one codec id, so a group is parted by codec.
    users
        The tasks that name a tensor, where it is not its own task alone.

    Returns
    -------
    list of RunPlan
        First what several tasks use, then task after task, in the order of each run's first tensor.
    """
    layout = _Layout(models, codings, users)
    grouped: set[tuple[int, int]] = set()
    for group in groups:
        by_codec: dict[str, dict[int, int]] = {}
        for task, index in group.items():
            by_codec.setdefault(codings[task][index].codec.codec_id, {})[task] = index
        for codec_id, own in by_codec.items():
            if len(own) > 1 and codec_id not in _NEVER_FUSED:
                layout.add(own, fused=True)
                grouped.update(own.items())
    for task, tensors in enumerate(models):
        if tensors and codings[task]:
            layout.add_alone(task, grouped)
    return sorted((run.seal() for run in layout.runs), key=_order)


def _order(run: RunPlan) -> tuple[bool, int, int]:
    return not run.shared, run.task, run.members[0]


def _leaf(name: str) -> str:
    """Return what a tensor is in its layer: ``gamma:0``, ``running_var``."""
    return name[name.replace("/", ".").rfind(".") + 1 :]


def _leaves(model: Sequence[TensorSpec]) -> list[str]:
    """Return the last part of each name where many small tensors have it, else nothing."""
    sizes: defaultdict[tuple[str, str], int] = defaultdict(int)
    kinds = [(tensor.dtype, _leaf(tensor.name)) for tensor in model]
    for kind, tensor in zip(kinds, model, strict=True):
        if tensor.size < OWN_RUN:
            sizes[kind] += tensor.size
    many = {kind for kind, size in sizes.items() if size >= OWN_LEAF}
    return [kind[1] if kind in many else "" for kind in kinds]


class _Layout:
    """Opens a run for each kind of tensor, and closes it when it is full."""

    def __init__(
        self,
        models: Sequence[Sequence[TensorSpec]],
        codings: Sequence[Mapping[int, Coding]],
        users: Mapping[Place, tuple[int, ...]],
    ) -> None:
        self._models = models
        self._codings = codings
        self._users = users
        self._open: dict[Any, tuple[list[RunPlan], int]] = {}  # kind -> runs, their elements
        self._numbers = numbered(coding.codec for own in codings for coding in own.values())
        self._leaves = list(map(_leaves, models))
        self._groups = 0
        self.runs: list[RunPlan] = []

    def add(self, group: Mapping[int, int], *, fused: bool) -> None:
        """Put one tensor of each task of a group into runs of one geometry."""
        tensors = [self._models[task][index] for task, index in group.items()]
        codecs = [self._codings[task][index].codec for task, index in group.items()]
        first = tensors[0]
        if first.size >= OWN_RUN:
            runs, start = self._start(group, codecs, first.dtype, fused=fused), 0
        else:
            users = tuple(self._users_of(place) for place in group.items())
            task, index = next(iter(group.items()))
            leaf = self._leaves[task][index]
            kind = (first.dtype, fused, tuple(group), tuple(codecs), users, leaf)
            runs, used = self._open.get(kind, ([], SHARED_RUN))
            start = aligned(used)
            if not runs or start + first.size > SHARED_RUN:
                runs, start = self._start(group, codecs, first.dtype, fused=fused), 0
            self._open[kind] = (runs, start + first.size)
        for run, index, tensor in zip(runs, group.values(), tensors, strict=True):
            run.members.append(index)
            run.shapes.append(tensor.shape)
            below = self._codings[run.task][index].bases
            run.bases = run.bases or [[] for _ in below]
            for places, place in zip(run.bases, below, strict=True):
                places.append(place)

    def add_alone(self, task: int, grouped: Collection[Place]) -> None:
        """Put tensors of a task that are not fused into runs: `add` takes several times as long."""
        codings, leaves, numbers = self._codings[task], self._leaves[task], self._numbers
        rooms: dict[Any, tuple[RunPlan, int]] = {}  # kind -> its last run, and the elements in it
        for index, tensor in enumerate(self._models[task]):
            place, coding = (task, index), codings.get(index)
            if coding is None or (grouped and place in grouped):
                continue
            size = tensor.size
            if size >= OWN_RUN or coding.bases:
                self.add({task: index}, fused=False)
                continue
            leaf = leaves[index]
            kind = tensor.dtype, numbers[id(coding.codec)], self._users.get(place), leaf
            run, end = rooms.get(kind, (None, 0))
            if run is None or end + size > SHARED_RUN:
                (run,) = self._start({task: index}, [coding.codec], tensor.dtype, fused=False)
                end = 0
            rooms[kind] = run, aligned(end + size)
            run.members.append(index)
            run.shapes.append(tensor.shape)

    def _users_of(self, place: Place) -> tuple[int, ...]:
        return self._users.get(place, (place[0],))

    def _start(
        self, group: Mapping[int, int], codecs: Sequence[Codec], dtype: str, *, fused: bool
    ) -> list[RunPlan]:
        number = self._groups if fused else None
        self._groups += fused
        runs = [
            RunPlan(place[0], codec, dtype, [], [], self._users_of(place), number)
            for place, codec in zip(group.items(), codecs, strict=True)
        ]
        self.runs.extend(runs)
        return runs
