"""The tensors that a `.mc` file has, as something that new ones may equal or stand on."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.decode import RunDecoder
from mcodec.api.editorder import bases_of, named_runs
from mcodec.api.equal import hash_values
from mcodec.api.runs import OWN_RUN
from mcodec.api.tasksource import TaskSource
from mcodec.codec.base import Codec
from mcodec.engine import map_ordered
from mcodec.types import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from mcodec.api.choosing import Based
    from mcodec.api.handle import File
    from mcodec.api.planning import Place
    from mcodec.api.values import Values
    from mcodec.container.manifest import Manifest
    from mcodec.container.reader import ContainerReader
    from mcodec.formats.base import TensorSource

    Member = tuple[int, int]  # run, member
    Key = tuple[Codec | None, str, tuple[int, ...]]  # a lossy codec, dtype, shape

# Of small tensors in a run with others: the least bytes that are worth a place there, and the least
# share of the run, where what the task has to read counts.
_WORTH: Final = 1024
_SHARE: Final = 0.5


class HiddenSource:
    """The members of runs that no tensor names and others stand on, as a source."""

    format = "arrays"

    def __init__(self, reader: ContainerReader, runs: Sequence[int]) -> None:
        self._reader = reader
        self.members = [
            (run, member) for run in runs for member in range(len(reader.runs[run].shapes))
        ]
        self.tensors: Sequence[TensorSpec] = [
            TensorSpec(f"run {run}, member {member}", spec.dtype, spec.shapes[member])
            for run, member in self.members
            for spec in [reader.runs[run]]
        ]
        self.metadata: Mapping[str, str] = {}
        self.same_as: Mapping[int, int] = {}
        self.notes: Sequence[str] = ()
        self._lock = threading.Lock()
        self._last: tuple[int, int, Any] = (-1, -1, None)  # run, block, values

    def skeleton(self) -> bytes:
        """There is nothing besides."""
        return b""

    def read(self, index: int, start: int, stop: int) -> NDArray[Any]:
        """Return elements [start, stop)."""
        run, member = self.members[index]
        decoder = RunDecoder(self._reader, run)
        first = decoder.spec.starts[member] + start
        out = decoder.empty(stop - start)
        for block, part in decoder.range(first, first + out.size, out):
            skip = max(0, first - decoder.spec.span(block)[0])
            part[:] = self._block(decoder, run, block)[skip : skip + part.size]
        return out

    def _block(self, decoder: RunDecoder, run: int, block: int) -> NDArray[Any]:
        """Decode a block; the last one is kept for its next members."""
        with self._lock:
            if self._last[:2] != (run, block):
                self._last = (run, block, decoder.block(block))
            values: NDArray[Any] = self._last[2]
        return values

    def close(self) -> None:
        """Nothing to release."""


class StoredTensors:
    """What the tasks of a manifest have in a file.

    Parameters
    ----------
    file
        The open file.
    manifest
        Tasks of the file that count, with the file's runs.

    Attributes
    ----------
    sources
        One a task, and behind them one of what others stand on and no task names.
    places
        Each member of a run, to the first tensor that is it.
    members
        The same the other way round.
    there
        By place, the codec of all that stands alone.
    below
        Every other tensor's place, to the place of what is stored for it or below it.
    """

    def __init__(self, file: File, manifest: Manifest) -> None:
        self.reader = file.reader
        self._runs = manifest.runs
        named = named_runs(manifest.tasks)
        tensors = {tensor.run for task in manifest.tasks for tensor in task.tensors}
        hidden = HiddenSource(self.reader, sorted(bases_of(manifest, named) - tensors))
        self.sources: list[TensorSource] = [
            *(TaskSource(file.task(task.name)) for task in manifest.tasks),
            hidden,
        ]
        self.places: dict[Member, Place] = {}
        every = [
            [(tensor.run, tensor.member) for tensor in task.tensors] for task in manifest.tasks
        ]
        for task, members in enumerate([*every, hidden.members]):
            for index, member in enumerate(members):
                self.places.setdefault(member, (task, index))
        self.members = {place: member for member, place in self.places.items()}
        self.there: dict[Place, Based] = {
            place: (self.codec(run), ())
            for (run, _), place in self.places.items()
            if self._runs[run].stands_on is None
        }
        self.below: dict[Place, Place] = {
            (task, index): self._below(member)
            for task, members in enumerate(every)
            for index, member in enumerate(members)
        }

    def codec(self, run: int) -> Codec:
        """Return the codec of a run."""
        codec = self.reader.codec(run)
        assert isinstance(codec, Codec)  # what `registry.from_config` makes
        return codec

    def _below(self, member: Member) -> Place:
        bases = self._runs[member[0]].stands_on
        return self.places[member if bases is None else bases.roles[0][member[1]]]

    def find_equal(
        self,
        values: Values,
        own: Mapping[Place, Codec],
        optimize: str,
        executor: Executor | None,
    ) -> dict[Place, Place]:
        """Return the new tensors that the file has already, to the place of the stored one.

        What is to keep every bit equals any tensor that does, by its digest, or where it shares its
        run with others by its values; what is to lose some equals a tensor of the same codec whose
        source is known to have been the same. Small tensors of a run with others are taken where
        that saves more than it costs.

        Parameters
        ----------
        values
            Of these sources, and of the new model behind them.
        own
            The new tensors, with the codecs that were asked for.
        optimize
            ``load`` or ``file``.
        executor
            Who reads and hashes.
        """
        wanted = {
            place: (None if codec.exact(spec.dtype) else codec, spec.dtype, spec.shape)
            for place, codec in own.items()
            if (spec := values.spec(place)).size
        }
        known = self._digests(values, set(wanted.values()))
        kinds = {key for key, _ in known}
        places = [place for place, key in wanted.items() if key in kinds]
        digests = map_ordered(executor, partial(hash_values, values), places)
        found: dict[int, dict[Place, Place]] = {}  # run -> new tensor -> the one in it
        for place, digest in zip(places, digests, strict=True):
            for there in known.get((wanted[place], digest), ()):
                found.setdefault(self.members[there][0], {})[place] = there
        return self._without_trifles(found, optimize)

    def _digests(self, values: Values, wanted: set[Key]) -> dict[tuple[Key, bytes], list[Place]]:
        """Return the tensors of these kinds by the digest of their source's bytes."""
        found: dict[tuple[Key, bytes], list[Place]] = {}
        for (run, _), place in self.places.items():
            spec, entry = values.spec(place), self._runs[run]
            exact = entry.source is None
            key = (None if exact else self.codec(run), spec.dtype, spec.shape)
            if key not in wanted:
                continue
            if len(entry.members) == 1:
                if exact or entry.stands_on is None:
                    digest = bytes.fromhex(entry.source or entry.digest)
                    found.setdefault((key, digest), []).append(place)
            elif exact:
                found.setdefault((key, hash_values(values, place)), []).append(place)
        return found

    def _without_trifles(
        self, found: Mapping[int, Mapping[Place, Place]], optimize: str
    ) -> dict[Place, Place]:
        """Choose one run for each tensor; leave out those that the task would read in vain."""
        shares = {run: self._share(run, own.values()) for run, own in found.items()}
        chosen: dict[Place, Place] = {}
        for run in sorted(found, key=lambda run: -shares[run]):
            own = {place: there for place, there in found[run].items() if place not in chosen}
            if own and self._is_worth(run, own.values(), optimize):
                chosen |= own
        return chosen

    def _share(self, run: int, places: Iterable[Place]) -> float:
        """Return how much of a run some of its members are."""
        sizes = self.reader.runs[run].sizes
        return sum(sizes[self.members[place][1]] for place in places) / max(1, sum(sizes))

    def _is_worth(self, run: int, places: Collection[Place], optimize: str) -> bool:
        spec, share = self.reader.runs[run], self._share(run, places)
        if share == 1 or max(spec.sizes) >= OWN_RUN:
            return True
        return share * spec.nbytes >= _WORTH and (optimize == "file" or share >= _SHARE)
