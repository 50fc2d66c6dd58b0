"""Every kernel in plain NumPy: what the compiled ones are compared with.

Used instead of them when ``MCODEC_BACKEND=reference``. The functions have the signatures of
`mcodec.codec.kernels._native`; `mcodec.codec.kernels` documents them.
"""

from mcodec.codec.kernels.reference.delta import (
    count_above,
    count_classes,
    delta_lengths,
    max_exponent,
    merge_classes,
    merge_delta,
    pack_delta,
    split_classes,
)
from mcodec.codec.kernels.reference.floats import (
    ZERO_SCOPE,
    bytes_to_planes,
    error_stats,
    merge_bfp,
    merge_float,
    merge_symbols,
    planes_to_bytes,
    scope_max,
    split_bfp,
    split_float,
)
from mcodec.codec.kernels.reference.int8 import dequantize_int8, merge_int8, quantize_int8
from mcodec.codec.kernels.reference.merges import merge_all
from mcodec.codec.kernels.reference.residual import add_residual, subtract_base
from mcodec.codec.kernels.reference.sparse import (
    count_bits,
    gaps_to_plane,
    gather_bits,
    gather_elements,
    mask_elements,
    nonzero_plane,
    spread_bits,
    spread_elements,
)

__all__ = [
    "ZERO_SCOPE",
    "add_residual",
    "bytes_to_planes",
    "count_above",
    "count_bits",
    "count_classes",
    "delta_lengths",
    "dequantize_int8",
    "error_stats",
    "gaps_to_plane",
    "gather_bits",
    "gather_elements",
    "mask_elements",
    "max_exponent",
    "merge_all",
    "merge_bfp",
    "merge_classes",
    "merge_delta",
    "merge_float",
    "merge_int8",
    "merge_symbols",
    "nonzero_plane",
    "pack_delta",
    "planes_to_bytes",
    "quantize_int8",
    "scope_max",
    "split_bfp",
    "split_classes",
    "split_float",
    "spread_bits",
    "spread_elements",
    "subtract_base",
]
