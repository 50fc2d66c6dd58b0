"""What a sweep is asked, and what it finds cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

Key = tuple[str, str | None, int | None]  # task, layer, setting


class Cell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One measurement.

    Attributes
    ----------
    task : str
    layer : str or None
        The layer that was changed, the rest exact; None for the whole model.
    setting : int or None
        Bits; None for the exact model, which is the baseline.
    scores : dict of str to float
        What the evaluator returned; the first number counts.
    max_error : float or None
        The largest |error| of any value that the setting may change; None where one is not finite.
    sqnr_db : float or None
        10 log10 of Σw² / Σe² over these values; None where there is no error, or it is not finite.
    seconds : float
        What the evaluator took; 0 where nothing was changed, which is not measured again.
    """

    task: str
    layer: str | None
    setting: int | None
    scores: dict[str, float]
    max_error: float | None
    sqnr_db: float | None
    seconds: float

    @property
    def key(self) -> Key:
        """What tells it from the others."""
        return self.task, self.layer, self.setting

    @property
    def score(self) -> float:
        """The number that counts; larger is better."""
        return next(iter(self.scores.values()))


@dataclass(frozen=True, slots=True)
class TaskInput:
    """Where a task's model is, so that another process can open it.

    ``task`` is of a `.mc` file.
    """

    name: str
    source: str | os.PathLike[str] | Mapping[str, Any]
    task: str | None = None
    key: str = ""
    sandbox: bool = False


@dataclass(frozen=True, slots=True)
class How:
    """How models are changed and handed out; the same for all cells.

    Attributes
    ----------
    mode : str
        ``keep``: so many bits of each float from the top of its pattern. ``bits``: block floating
        point of so many magnitude bits, for weights.
    rounding, scope : str
        Of block floating point.
    include, exclude : tuple of str
        Shell patterns of names.
    as_file : bool
        The evaluator gets the path of a model file, in the model's own format.
    """

    mode: str
    rounding: str = "nearest"
    scope: str = "tensor"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    as_file: bool = False
