"""mcodec: families of neural networks in one file, bit for bit or with a known error.

>>> import mcodec
>>> mcodec.pack(["a.h5", "b.h5"], "fused.mc")       # doctest: +SKIP
>>> with mcodec.open("fused.mc") as file:           # doctest: +SKIP
...     weights = file.task("B")
...     kernel = weights["conv/kernel"]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from mcodec import errors

if TYPE_CHECKING:
    from mcodec.api.bench import BenchReport, bench
    from mcodec.api.convert import ConvertReport, convert
    from mcodec.api.diff import DiffReport, diff
    from mcodec.api.edit import EditReport, add, rename, replace, rm
    from mcodec.api.fusionreport import FusionReport, fusion_report
    from mcodec.api.handle import File, Task, open
    from mcodec.api.inmemory import dumps, loads
    from mcodec.api.pack import PackReport, pack
    from mcodec.api.plan import PlanReport, plan
    from mcodec.api.prune import PruneReport, prune
    from mcodec.api.quantize import QuantizeReport, quantize
    from mcodec.api.relayout import RelayoutReport, relayout
    from mcodec.api.report import Report, report
    from mcodec.api.safeopen import safe_open
    from mcodec.api.schedule import gradual_sparsity
    from mcodec.api.slices import TensorSlice
    from mcodec.api.sparse import CsrMatrix
    from mcodec.api.truncate import TruncateReport, truncate
    from mcodec.api.unpack import UnpackReport, unpack
    from mcodec.api.verify import VerifyReport, verify

__version__: Final = "0.1.0"
__all__ = [
    "BenchReport",
    "ConvertReport",
    "CsrMatrix",
    "DiffReport",
    "EditReport",
    "File",
    "FusionReport",
    "PackReport",
    "PlanReport",
    "PruneReport",
    "QuantizeReport",
    "RelayoutReport",
    "Report",
    "Task",
    "TensorSlice",
    "TruncateReport",
    "UnpackReport",
    "VerifyReport",
    "add",
    "bench",
    "convert",
    "diff",
    "dumps",
    "errors",
    "fusion_report",
    "gradual_sparsity",
    "loads",
    "open",
    "pack",
    "plan",
    "prune",
    "quantize",
    "relayout",
    "rename",
    "replace",
    "report",
    "rm",
    "safe_open",
    "truncate",
    "unpack",
    "verify",
]

# Loaded when first used: `mcodec --help` and `mcodec ls` need none of them.
_LAZY: Final = {
    "File": "mcodec.api.handle",
    "Task": "mcodec.api.handle",
    "TensorSlice": "mcodec.api.slices",
    "CsrMatrix": "mcodec.api.sparse",
    "BenchReport": "mcodec.api.bench",
    "ConvertReport": "mcodec.api.convert",
    "DiffReport": "mcodec.api.diff",
    "EditReport": "mcodec.api.edit",
    "FusionReport": "mcodec.api.fusionreport",
    "PackReport": "mcodec.api.pack",
    "PlanReport": "mcodec.api.plan",
    "PruneReport": "mcodec.api.prune",
    "QuantizeReport": "mcodec.api.quantize",
    "RelayoutReport": "mcodec.api.relayout",
    "Report": "mcodec.api.report",
    "TruncateReport": "mcodec.api.truncate",
    "UnpackReport": "mcodec.api.unpack",
    "VerifyReport": "mcodec.api.verify",
    "add": "mcodec.api.edit",
    "bench": "mcodec.api.bench",
    "convert": "mcodec.api.convert",
    "diff": "mcodec.api.diff",
    "dumps": "mcodec.api.inmemory",
    "fusion_report": "mcodec.api.fusionreport",
    "gradual_sparsity": "mcodec.api.schedule",
    "loads": "mcodec.api.inmemory",
    "open": "mcodec.api.handle",
    "pack": "mcodec.api.pack",
    "plan": "mcodec.api.plan",
    "prune": "mcodec.api.prune",
    "quantize": "mcodec.api.quantize",
    "relayout": "mcodec.api.relayout",
    "rename": "mcodec.api.edit",
    "replace": "mcodec.api.edit",
    "report": "mcodec.api.report",
    "rm": "mcodec.api.edit",
    "safe_open": "mcodec.api.safeopen",
    "truncate": "mcodec.api.truncate",
    "unpack": "mcodec.api.unpack",
    "verify": "mcodec.api.verify",
}
# Modules of their own: `mcodec.evaluate.sweep`, `mcodec.torch.load_model`.
_MODULES: Final = ("evaluate", "keras", "torch")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"mcodec.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module 'mcodec' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
