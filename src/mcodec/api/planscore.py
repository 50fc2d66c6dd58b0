"""What evaluators say of the models of a plan: as they came, and as they will decode."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec.api.modelfile import model_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcodec.api.evaluators import Evaluator
    from mcodec.api.planner import Planner


@dataclass(frozen=True, slots=True)
class Score:
    """What a task's evaluator said: of the model as it came, and as planned."""

    metric: str
    baseline: float
    score: float


@dataclass(frozen=True, slots=True)
class Judge:
    """Evaluators, and how they are asked.

    Attributes
    ----------
    evaluators
        By task.
    as_file
        They get the path of a model file, not arrays.
    sources
        By task what the model came from; its name is the file's.
    """

    evaluators: Mapping[str, Evaluator]
    as_file: bool = False
    sources: Mapping[str, object] | None = None

    def asks(self, name: str) -> bool:
        """Whether a task has an evaluator."""
        return name in self.evaluators

    def metric(self, name: str) -> str:
        """Return the name of the number that counts; known from the first call on."""
        return self.evaluators[name].main

    def original(self, planner: Planner, task: int) -> float:
        """Return the number of a task as it came."""
        return self._ask(planner, task, exact=True)

    def planned(self, planner: Planner, task: int) -> float:
        """Return the number of a task as it will decode."""
        return self._ask(planner, task, exact=False)

    def _ask(self, planner: Planner, task: int, *, exact: bool) -> float:
        name = planner.names[task]
        evaluator = self.evaluators[name]
        if not self.as_file:
            found = evaluator(planner.arrays(task, exact=exact), name)
            return found[evaluator.main]
        source = (self.sources or {}).get(name)
        file = os.path.basename(source) if isinstance(source, str | os.PathLike) else ""
        changed = () if exact else planner.lossy(task)
        read = planner.reader(task)
        with model_file(planner.models[task], changed, read, str(file), planner.executor) as path:
            found = evaluator(path, name)
        return found[evaluator.main]
