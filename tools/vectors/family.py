"""A family of networks as the cases describe it, and the file and the decodes that follow."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from vectors.models import Run
from vectors.writer import INTERLEAVED, PROGRESSIVE, TASK, Chunk, Draft, cut


@dataclass
class Family:
    """Runs and tasks; `small` coding takes fill, zstd or raw, whichever is smallest."""

    layout: int = TASK
    front_last: bool = False
    coding: str = "small"
    share: bool = True
    runs: list[Run] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[list[int]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def add(self, run: Run) -> int:
        """Add a run and give its index."""
        self.runs.append(run)
        return len(self.runs) - 1

    def task(self, name: str, tensors: dict[str, Any], **keys: Any) -> Family:
        """Add a task; a tensor is a run (its index, or a new one), or (index, member)."""
        places = []
        for tensor, place in tensors.items():
            index = self.add(place) if isinstance(place, Run) else place
            places.append([tensor, *(index if isinstance(index, tuple) else (index, 0))])
        self.tasks.append({"name": name, "tensors": places, **keys})
        return self

    def manifest(self) -> dict[str, Any]:
        """Give the manifest of container.md 2."""
        configs: list[str] = []
        rows = []
        for run in self.runs:
            text = json.dumps(run.config)
            if text not in configs:
                configs.append(text)
            source = None if run.source is None else blake3(run.source).hexdigest()
            digest = blake3(run.decode()).hexdigest()
            item = [configs.index(text), run.dtype, run.shapes, digest, source, run.errors]
            rows.append(item + self.bases(run))
        manifest = {"codecs": list(map(json.loads, configs)), "runs": rows, "tasks": self.tasks}
        if self.pairs:
            manifest["pairs"] = self.pairs
        return manifest | self.extra

    def bases(self, run: Run) -> list[Any]:
        """Give the seventh item of a run, where it stands on others."""
        if not run.roles:
            return []
        below = [blake3(self.runs[i].decode()).hexdigest() for role in run.roles for i, _ in role]
        return [[blake3("".join(below).encode()).hexdigest(), run.roles]]

    def chunks(self) -> list[Chunk]:
        """Cut all runs into chunks, in the order of rows."""
        chunks = []
        for i, run in enumerate(self.runs):
            parts = [(-1, 0, run.head)] if run.head else []
            parts += [(j, mode, streams) for j, (mode, streams) in enumerate(run.blocks)]
            for block, mode, streams in parts:
                for chunk in cut(streams, self.coding, self.share, self.layout == PROGRESSIVE):
                    chunk.place, chunk.mode = (i, block), mode
                    chunks.append(chunk)
        return chunks

    def order(self, chunks: list[Chunk]) -> list[int]:
        """Where the layout puts the chunks (container.md 4, "Layout")."""
        indices = list(range(len(chunks)))
        if self.layout == PROGRESSIVE:
            return sorted(indices, key=lambda i: chunks[i].level)
        if self.layout != INTERLEAVED:
            return indices
        group = {run: pair for pair in self.pairs for run in pair}
        ordinals, count = [], 0
        for i, c in enumerate(chunks):
            count = count + 1 if i and chunks[i - 1].place == c.place else 0
            ordinals.append(count)

        def key(i: int) -> tuple[int, int, int, int]:
            run, block = chunks[i].place
            pair = group.get(run, [run])
            return pair[0], block, ordinals[i], pair.index(run)

        return sorted(indices, key=key)

    def draft(self) -> Draft:
        """Make the file's parts."""
        chunks = self.chunks()
        return Draft(
            self.manifest(),
            chunks,
            layout=self.layout,
            front_last=self.front_last,
            order=self.order(chunks),
        )

    def below(self, index: int) -> tuple[list[int], int] | None:
        """Give the integers that a decode with dither puts below those of a run."""
        for pair in self.pairs:
            if index in pair[:-1]:
                both = [self.runs[i] for i in (index, pair[pair.index(index) + 1])]
                if all(r.config.get("signs") != "compact" and "step" not in r.config for r in both):
                    return both[1].integers
        return None

    def expected(
        self,
        planes: int | None = None,
        mid: bool | None = None,
        dither: bool = False,
        held: bool = False,
    ) -> dict[str, dict[str, Any]]:
        """Describe what every tensor decodes to."""
        decoded = [
            run.decode(planes, mid, self.below(i) if dither else None, held=held)
            if run.config["id"] != "raw"
            else run.decode()
            for i, run in enumerate(self.runs)
        ]
        return {
            task["name"]: {
                name: describe(self.runs[r], m, decoded[r]) for name, r, m in task["tensors"]
            }
            for task in self.tasks
        }


def describe(run: Run, member: int, decoded: bytes) -> dict[str, Any]:
    """Describe a decoded tensor; short ones in hex too."""
    data = run.member(member, decoded)
    item: dict[str, Any] = {
        "dtype": run.dtype,
        "shape": run.shapes[member],
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return item | ({"hex": data.hex()} if len(data) <= 64 else {})
