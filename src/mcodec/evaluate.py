"""How good models are with fewer bits, from Python: on paths, or on any mapping of arrays.

>>> import mcodec.evaluate
>>> report = mcodec.evaluate.sweep("a.h5", accuracy, keep="32:2:-2")    # doctest: +SKIP
>>> report.last_without_loss("A")                                       # doctest: +SKIP
14
>>> mcodec.evaluate.plan("a.h5", "plan.toml", max_drop=0.5, evaluate=accuracy)    # doctest: +SKIP
"""

from __future__ import annotations

from mcodec.api.plan import PlanReport, plan
from mcodec.api.sweep import sweep
from mcodec.api.sweepcells import Cell
from mcodec.api.sweepreport import SweepReport

__all__ = ["Cell", "PlanReport", "SweepReport", "plan", "sweep"]
