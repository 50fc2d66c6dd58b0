"""What `pack` did, or would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcodec.api.choices import ChoiceRow
    from mcodec.api.planning import Place
    from mcodec.api.tasklist import TaskRow
    from mcodec.codec import error


@dataclass(frozen=True, slots=True)
class TaskCost:
    """What one task takes: as it came, in the papers' bits, and in the file."""

    row: TaskRow
    paper_bytes: int | None


@dataclass(frozen=True, slots=True)
class PackReport:
    """What `pack` did."""

    path: str
    file_bytes: int
    layout: str
    optimize: str
    tasks: tuple[TaskCost, ...]
    fused: int
    choices: tuple[ChoiceRow, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a file would be: its bytes, and those and the error of each tensor that is stored."""

    file_bytes: int
    stored: Mapping[Place, int]
    errors: Mapping[Place, error.Stats | None]
