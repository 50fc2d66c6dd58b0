"""Streams of codecs as tensors on a device, and bit-planes as the integers that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.codec.float_symbols import BITS, TOO_WIDE, first_exponent
from mcodec.codec.magnitudes import SYMBOL_BITS
from mcodec.codec.streams import as_bytes, as_plane, invalid
from mcodec.types import FLOATS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from mcodec.codec.float import FloatCodec
    from mcodec.codec.streams import Stream


def sent(stream: Stream | None, device: torch.device) -> torch.Tensor:
    """Return a stream's bytes on a device: uint8, shape (bytes,)."""
    import torch

    data = as_bytes(stream)
    # A copy: the stream's own memory is not to be written to, and may be freed while it is sent.
    return torch.tensor(data, device=device)


def bits(stream: Stream | None, n: int, device: torch.device) -> torch.Tensor:
    """Return a bit-plane as 0 and 1: int32, shape (n,)."""
    import torch

    plane = as_plane(stream, n)
    if plane is None:
        return torch.zeros(n, dtype=torch.int32, device=device)
    packed = torch.tensor(plane, device=device).int()
    shifts = torch.arange(8, dtype=torch.int32, device=device)
    return ((packed[:, None] >> shifts) & 1).reshape(-1)[:n]


def joined(planes: Sequence[Stream | None], n: int, device: torch.device) -> torch.Tensor:
    """Return the integers of planes from the top down: int32, shape (n,)."""
    import torch

    whole = torch.zeros(n, dtype=torch.int32, device=device)
    for plane in planes:
        whole = (whole << 1) | bits(plane, n, device)
    return whole


def magnitudes(
    symbols: bool, streams: Sequence[Stream | None], width: int, n: int, device: torch.device
) -> torch.Tensor:
    """Return the integers of codec bfp, of either mode: int32, shape (n,)."""
    if not symbols:
        return joined(streams, n, device)
    rest = width - min(SYMBOL_BITS, width)
    top = sent(streams[0], device).int()
    if width < SYMBOL_BITS and bool((top >> width).any()):
        raise invalid("a symbol is wider than its bits")
    return (top << rest) | joined(streams[1:], n, device)


def floats(
    codec: FloatCodec,
    dtype: str,
    mode: int,
    streams: Sequence[Stream | None],
    n: int,
    device: torch.device,
) -> torch.Tensor:
    """Return the patterns of codec float: int16, int32 or int64, shape (n,)."""
    import torch

    form, stored = FLOATS[dtype], codec.stored_mantissa(FLOATS[dtype])
    integers = {16: torch.int16, 32: torch.int32, 64: torch.int64}[form.width]
    wide = torch.int64 if form.width == 64 else torch.int32
    sign = bits(streams[0], n, device).to(wide) << (form.width - 1)
    if mode:
        symbols = sent(streams[1], device).to(wide)
        top = torch.where(symbols != 0, symbols + (first_exponent(mode) << BITS), 0)
        if bool((top >> form.exponent + BITS).any()):
            raise invalid(TOO_WIDE)
        return (sign | _below(top, streams[2:], form.mantissa - BITS, stored - BITS, n)).to(
            integers
        )
    first = 2 if form.exponent <= 8 else 3
    exponent = torch.zeros(n, dtype=wide, device=device)
    for stream in streams[1:first]:
        exponent = (exponent << 8) | sent(stream, device)
    if bool((exponent >> form.exponent).any()):
        raise invalid("an exponent is wider than its field")
    return (sign | _below(exponent, streams[first:], form.mantissa, stored, n)).to(integers)


def _below(
    top: torch.Tensor, planes: Sequence[Stream | None], field: int, stored: int, n: int
) -> torch.Tensor:
    """Put `stored` planes under the bits of `top`, at the top of a field of so many bits."""
    whole = top
    for plane in planes[:stored]:
        whole = (whole << 1) | bits(plane, n, top.device)
    return whole << (field - stored)
