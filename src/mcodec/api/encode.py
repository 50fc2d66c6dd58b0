"""Arrays to coded blocks, with digests and the measured error (design, section 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from mcodec.api.values import base_arrays
from mcodec.codec import coder, error
from mcodec.container.writer import Part
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mcodec.api.planning import Coding
    from mcodec.api.runs import RunPlan
    from mcodec.api.values import Values
    from mcodec.container.manifest import Errors

    Certificate = tuple[str, str | None, Errors | None]


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """One block of one run: its streams, and what the certificate needs of it."""

    part: Part
    source: Any = None  # the block's source values, for the digest
    decoded: Any = None  # what it decodes to, where that differs
    stats: tuple[tuple[int, error.Stats], ...] = ()  # member, error of its part in this block
    taken: bool = False  # whether the digests have seen it


class RunEncoder:
    """Encodes the blocks of one run, from any thread, and sums up its certificate, in order."""

    def __init__(
        self,
        number: int,
        plan: RunPlan,
        values: Values,
        codings: Mapping[int, Coding],
        *,
        planes_only: bool,
    ) -> None:
        self.number = number
        self.plan = plan
        self._values = values
        self.planes_only = planes_only
        self._lossless = plan.codec.exact(plan.dtype)
        surveys = [codings[index].survey for index in plan.members]
        self._certificate: Certificate | None = None
        self._head, self.head_streams = plan.codec.encode_head(plan.spec, surveys)
        self._source_digest = blake3()
        self._digest = blake3()
        self._stats = [error.NO_ERROR] * len(plan.members)

    def encode(self, block: int) -> EncodedBlock:
        """Read, encode and, where the codec is lossy, decode a block (block -1: the head)."""
        found = self._encode(block)
        if self.plan.spec.blocks != 1 or found.source is None:
            return found
        self.take(found)  # here, by the thread that has it in its caches: it is the only one
        return replace(found, taken=True)

    def _encode(self, block: int) -> EncodedBlock:
        plan = self.plan
        if block < 0:
            specs = plan.codec.head_streams(plan.spec)
            return EncodedBlock(Part(self.number, 0, specs, self.head_streams))
        places = [(plan.task, index) for index in plan.members]
        values = self._values.run(plan.spec, block, places)
        bases = base_arrays(self._values, plan.spec, block, plan.bases)
        mode, coded = plan.codec.encode(
            plan.spec, block, values, self._head, planes_only=self.planes_only, bases=bases
        )
        specs = plan.codec.block_streams(plan.spec, block, mode) or ()
        part = Part(self.number, mode, specs, coded)
        if self._lossless:
            return EncodedBlock(part, values)
        import numpy as np

        decoded = np.zeros(values.size, numpy_dtype(plan.dtype))
        streams = [coder.decode(stream) for stream in coded]
        plan.codec.decode(plan.spec, block, mode, streams, self._head, decoded, bases=bases)
        return EncodedBlock(part, values, decoded, self._measure(block, values, decoded))

    def take(self, block: EncodedBlock) -> None:
        """Add a block, in order, to the digests and the certificate."""
        if block.source is None or block.taken:
            return
        self._source_digest.update(block.source.view("u1"))
        if block.decoded is None:
            return
        self._digest.update(block.decoded.view("u1"))
        for member, stats in block.stats:
            self._stats[member] = error.add(self._stats[member], stats)

    def certify(self, certificate: Certificate) -> None:
        """Take the certificate of a run that was encoded elsewhere."""
        self._certificate = certificate

    def certificate(self) -> Certificate:
        """Return the run's digest, its source's, and the members' errors."""
        if self._certificate is not None:
            return self._certificate
        source = self._source_digest.hexdigest()
        if self._lossless:
            return source, None, None
        errors: Errors = [
            stats if all(math.isfinite(x) for x in stats) else None for stats in self._stats
        ]
        return self._digest.hexdigest(), source, errors

    def _measure(
        self, block: int, values: NDArray[Any], decoded: NDArray[Any]
    ) -> tuple[tuple[int, error.Stats], ...]:
        return tuple(
            (member, error.measure(self.plan.dtype, values[part], decoded[part]))
            for member, part in self.plan.spec.parts(block)
        )
