"""PyTorch's dtypes and storages by name; this module imports no torch."""

from __future__ import annotations

from typing import Final

from mcodec.types import ITEMSIZE

# dtype -> the class in `torch` that a pickle names for a storage of it
STORAGES: Final[dict[str, str]] = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "bfloat16": "BFloat16Storage",
    "complex128": "ComplexDoubleStorage",
    "complex64": "ComplexFloatStorage",
}
STORAGE_CLASSES: Final[dict[str, str]] = {f"torch.{name}": d for d, name in STORAGES.items()}
UNTYPED: Final = "torch.storage.UntypedStorage"

# Dtypes of PyTorch that mcodec has no name for: their elements are opaque bytes.
OPAQUE: Final[dict[str, int]] = {"complex32": 4, "float4_e2m1fn_x2": 1}
SIZES: Final[dict[str, int]] = {**ITEMSIZE, **OPAQUE}
GRADIENTS: Final = frozenset(n for n in SIZES if "float" in n or "complex" in n)

LAYOUTS: Final[dict[str, tuple[str, ...]]] = {
    "sparse_coo": ("indices", "values"),
    "sparse_csr": ("crow_indices", "col_indices", "values"),
    "sparse_csc": ("ccol_indices", "row_indices", "values"),
    "sparse_bsr": ("crow_indices", "col_indices", "values"),
    "sparse_bsc": ("ccol_indices", "row_indices", "values"),
}


def spec_dtype(dtype: str) -> str:
    """Return mcodec's name of one of `SIZES`: its own, or ``V<n>``."""
    return f"V{OPAQUE[dtype]}" if dtype in OPAQUE else dtype
