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
    from mcodec.api.handle import File, Task, open
    from mcodec.api.pack import pack
    from mcodec.api.relayout import relayout
    from mcodec.api.unpack import unpack
    from mcodec.api.verify import verify

__version__: Final = "0.1.0"
__all__ = ["File", "Task", "errors", "open", "pack", "relayout", "unpack", "verify"]

# Loaded when first used: `mcodec --help` and `mcodec ls` need none of them.
_LAZY: Final = {
    "File": "mcodec.api.handle",
    "Task": "mcodec.api.handle",
    "open": "mcodec.api.handle",
    "pack": "mcodec.api.pack",
    "relayout": "mcodec.api.relayout",
    "unpack": "mcodec.api.unpack",
    "verify": "mcodec.api.verify",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'mcodec' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
