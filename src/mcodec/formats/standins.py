"""Stand-ins: how a format holds tensors of dtypes that it has no name for.

A tensor of such a dtype becomes bytes: ``uint8`` with one more axis, the last one, of the dtype's
size. The file says beside the tensors what they really are: JSON, names to dtypes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.errors import FormatError, one_line
from mcodec.types import TensorSpec, itemsize

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

DTYPES_KEY: Final = "mcodec.dtypes"
DTYPES_FILE: Final = f"{DTYPES_KEY}.json"  # in an archive
_BYTE: Final = "uint8"


def stand_ins(
    specs: Sequence[TensorSpec], held: Container[str]
) -> tuple[list[TensorSpec], dict[str, str]]:
    """Replace tensors whose dtypes a format does not hold.

    Parameters
    ----------
    specs : sequence of TensorSpec
    held : container of str
        The dtypes that the format has.

    Returns
    -------
    list of TensorSpec
        As the file will have them, in the same order; bytes and their order stay the same.
    dict of str to str
        The real dtype of each that was replaced.
    """
    named = {spec.name: spec.dtype for spec in specs if spec.dtype not in held}
    return [_bytes_of(spec) if spec.name in named else spec for spec in specs], named


def _bytes_of(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(spec.name, _BYTE, (*spec.shape, itemsize(spec.dtype)))


def read_dtypes(text: str | bytes) -> dict[str, str]:
    """Read what `stand_ins` returned from its JSON.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is no object of strings.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        message = f"{DTYPES_KEY} is invalid ({one_line(error)})"
        raise FormatError(message, code="source_invalid") from error


def real_spec(spec: TensorSpec, dtype: str) -> TensorSpec:
    """Return the tensor that a stand-in stands for.

    Raises
    ------
    FormatError
        ``source_invalid`` if it does not have the bytes for it, ``dtype_unknown``.
    """
    if spec.dtype != _BYTE or not spec.shape or spec.shape[-1] != itemsize(dtype):
        raise FormatError(f"tensor {spec.name!r} cannot be {dtype[:40]!r}", code="source_invalid")
    return TensorSpec(spec.name, dtype, spec.shape[:-1])
