from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_Bytes = npt.NDArray[np.uint8]
_Buffer = _Bytes | memoryview
_Patterns = npt.NDArray[np.unsignedinteger[Any]]
_Exponents = npt.NDArray[np.int16]

def split_float(
    dtype: str,
    values: _Patterns,
    sign: _Bytes,
    exponent: Sequence[_Bytes],
    planes: Sequence[_Bytes],
) -> None: ...
def merge_float(
    dtype: str,
    out: _Patterns,
    sign: _Buffer | None,
    exponent: Sequence[_Buffer | int],
    planes: Sequence[_Buffer | None],
    mask: _Buffer | None,
) -> None: ...
def merge_symbols(
    dtype: str,
    out: _Patterns,
    sign: _Buffer | None,
    symbols: _Buffer,
    first: int,
    planes: Sequence[_Buffer | None],
    mask: _Buffer | None,
) -> bool: ...
def split_bfp(
    dtype: str,
    values: _Patterns,
    bits: int,
    truncate: bool,
    scopes: tuple[int, int, int],
    exponents: _Exponents | None,
    step: float | None,
    sign: _Bytes,
    planes: Sequence[_Bytes],
) -> None: ...
def merge_bfp(
    dtype: str,
    out: _Patterns,
    bits: int,
    mid: bool,
    scopes: tuple[int, int, int],
    exponents: _Exponents | None,
    step: float | None,
    sign: _Buffer | None,
    planes: Sequence[_Buffer | None],
    symbols: _Buffer | None,
) -> None: ...
def merge_all(calls: Sequence[tuple[str, tuple[Any, ...]]], near: Sequence[bool]) -> list[bool]: ...
def planes_to_bytes(planes: Sequence[_Bytes | None], out: _Bytes) -> None: ...
def bytes_to_planes(values: _Bytes, planes: Sequence[_Bytes]) -> None: ...
def scope_max(
    dtype: str,
    values: _Patterns,
    scopes: tuple[int, int, int],
    maxima: npt.NDArray[np.uint64],
) -> None: ...
def error_stats(
    dtype: str, source: _Patterns, decoded: _Patterns
) -> tuple[float, float, float]: ...
def count_bits(plane: _Bytes) -> int: ...
def nonzero_plane(values: _Patterns, out: _Bytes) -> None: ...
def gather_bits(mask: _Bytes, plane: _Bytes, out: _Bytes) -> None: ...
def spread_bits(mask: _Bytes, packed: _Bytes, out: _Bytes) -> None: ...
def gather_elements(mask: _Bytes, values: _Patterns, out: _Patterns) -> None: ...
def spread_elements(mask: _Bytes, packed: _Patterns, out: _Patterns) -> None: ...
def mask_elements(mask: _Bytes, base: _Patterns, out: _Patterns, signed: bool) -> None: ...
def gaps_to_plane(high: _Bytes, low: Sequence[_Bytes | None], out: _Bytes, n: int) -> int: ...
def quantize_int8(
    dtype: str,
    values: _Patterns,
    scopes: tuple[int, int, int],
    scales: npt.NDArray[np.float32],
    out: _Bytes,
) -> None: ...
def dequantize_int8(
    dtype: str,
    out: _Patterns,
    scopes: tuple[int, int, int],
    scales: npt.NDArray[np.float32],
    codes: _Buffer,
    mask: _Buffer | None,
) -> bool: ...
def merge_int8(
    dtype: str,
    out: _Patterns,
    scopes: tuple[int, int, int],
    scales: npt.NDArray[np.float32],
    planes: Sequence[_Buffer | None],
    mask: _Buffer | None,
) -> bool: ...
def delta_lengths(base: _Patterns, values: _Patterns, out: _Bytes) -> None: ...
def pack_delta(
    base: _Patterns, values: _Patterns, lengths: _Bytes, packed: Sequence[_Bytes]
) -> None: ...
def merge_delta(
    base: _Patterns, lengths: _Bytes, packed: Sequence[_Bytes], out: _Patterns
) -> None: ...
def count_above(lengths: _Bytes, most: int) -> list[int]: ...
def max_exponent(dtype: str, base: _Patterns) -> int: ...
def count_classes(dtype: str, base: _Patterns, emax: int, count: int) -> list[int]: ...
def split_classes(
    dtype: str, base: _Patterns, emax: int, lengths: _Bytes, streams: Sequence[_Bytes]
) -> None: ...
def merge_classes(
    dtype: str, base: _Patterns, emax: int, streams: Sequence[_Bytes], out: _Bytes
) -> None: ...
def subtract_base(
    dtype: str, base: _Patterns, values: _Patterns, out: npt.NDArray[np.float64]
) -> None: ...
def add_residual(
    dtype: str, base: _Patterns, residual: npt.NDArray[np.float32], out: _Patterns
) -> None: ...
def use(target: str) -> bool: ...
def target() -> str: ...
def targets() -> tuple[str, ...]: ...
