"""Planes put together on a device, with PyTorch's own operations: the same bits as the kernels.

What goes over the bus is planes, not floats. All arithmetic is exact in float32, but for one
rounding at the end; blocks for which that does not hold, and codecs that are not here (csr, delta,
mask), are decoded on the CPU and sent as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from mcodec.api.ahead import ahead
from mcodec.api.load import Decoders
from mcodec.api.naming import named
from mcodec.codec.bfp import BfpCodec
from mcodec.codec.exponents import ZERO_SCOPE, checked
from mcodec.codec.float import FloatCodec
from mcodec.codec.int8 import Int8Codec
from mcodec.codec.int8_codes import BYTES
from mcodec.codec.magnitudes import SYMBOLS
from mcodec.codec.raw import RawCodec
from mcodec.codec.scales import LARGEST, MAGNITUDE_BITS
from mcodec.codec.streams import invalid
from mcodec.torch import fields, tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from mcodec.api.decode import RunDecoder
    from mcodec.api.task import Task
    from mcodec.codec.scope import Scope
    from mcodec.codec.streams import Stream
    from mcodec.types import RunSpec

    _Last = dict[tuple[int, int, torch.device], torch.Tensor]

_LEAST: Final = -126  # exponents of float32's normal numbers
_MOST: Final = 128  # and one more than the last


class Blocks(Protocol):
    """Where blocks come from: `mcodec.api.resident.Resident`, or a file."""

    def decoder(self, run: int) -> RunDecoder:
        """Return the decoder of a run."""
        ...

    def streams(self, run: int, block: int) -> tuple[int, Sequence[Stream | None]]:
        """Return the mode and the streams of a block."""
        ...

    def block(self, run: int, block: int, out: NDArray[Any]) -> None:
        """Decode a block on the CPU."""
        ...


class _Read:
    """Blocks that are read when they are wanted."""

    def __init__(self, task: Task) -> None:
        self._made = Decoders(task.file.reader, task.view)

    def decoder(self, run: int) -> RunDecoder:
        return self._made[run]

    def streams(self, run: int, block: int) -> tuple[int, Sequence[Stream | None]]:
        return self._made[run].streams(block)

    def block(self, run: int, block: int, out: NDArray[Any]) -> None:
        self._made[run].block(block, out)


def decode_into(
    task: Task, pairs: Sequence[tuple[str, torch.Tensor]], kept: Blocks | None = None
) -> None:
    """Decode tensors of a task into tensors on a device, in place.

    Parameters
    ----------
    task, pairs
        The task, and its tensors' names, each with the tensor of PyTorch.
    kept
        Where their blocks are in memory already.

    Raises
    ------
    FormatError
        The bytes in the file are damaged; what the tensors hold is then undefined.
    """
    import torch

    blocks = kept or _Read(task)
    wanted = {} if kept else places_of(task, pairs)
    last: _Last = {}
    with torch.inference_mode(), ahead(task.file.reader, wanted, task.view):
        for name, tensor in sorted(pairs, key=lambda pair: task.place(pair[0])):
            with named(name):
                _decode(task, name, tensor, blocks, last)


def places_of(task: Task, pairs: Sequence[tuple[str, torch.Tensor]]) -> dict[tuple[int, int], str]:
    """Return the run and block of all that holds tensors of a task, each with the name of one."""
    runs = task.file.reader.runs
    found = {}
    for name, _ in pairs:
        run, member = task.place(name)
        found.update({(run, block): name for block in runs[run].blocks_of(member)})
    return found


def _decode(task: Task, name: str, tensor: torch.Tensor, blocks: Blocks, last: _Last) -> None:
    """Decode one tensor; `last` has the block that was decoded last, for its next members."""
    import torch

    spec = task.spec(name)
    dtype = tensors.torch_dtype(spec)
    straight = tensor.is_contiguous() and tensor.dtype == dtype
    made = tensor if straight else torch.empty(spec.shape, dtype=dtype, device=tensor.device)
    run, member = task.place(name)
    of_run = task.file.reader.runs[run]
    start, size = of_run.starts[member], of_run.sizes[member]
    line = made.detach().reshape(-1)
    for block in of_run.blocks_of(member):
        low, high = of_run.span(block)
        first, stop = max(low, start), min(high, start + size)
        key = run, block, tensor.device
        if key not in last:
            last.clear()
            last[key] = decode_block(blocks, run, block, dtype, tensor.device)
        line[first - start : stop - start] = last[key][first - low : stop - low]
    if not straight:
        tensor.copy_(made)


def decode_block(
    blocks: Blocks, run: int, block: int, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Return a block, shape (elements,), on a device.

    Raises
    ------
    FormatError
        Its bytes are damaged.
    """
    import torch

    decoder = blocks.decoder(run)
    if decoder.canonical:
        mode, streams = blocks.streams(run, block)
        with decoder.place(f"block {block}"):
            found = _on_device(decoder, block, mode, streams, dtype, device)
        if found is not None:
            return found
    start, stop = decoder.spec.span(block)
    made = torch.empty(stop - start, dtype=dtype)
    array = tensors.flat(made, decoder.spec.dtype)
    assert array is not None
    blocks.block(run, block, array)
    return made.to(device)


def _on_device(
    decoder: RunDecoder,
    block: int,
    mode: int,
    streams: Sequence[Stream | None],
    dtype: torch.dtype,
    device: torch.device,
) -> torch.Tensor | None:
    """Return a block from its streams; None where that takes the CPU."""
    codec, spec = decoder.codec, decoder.spec
    start, stop = spec.span(block)
    if isinstance(codec, RawCodec) and spec.dtype not in ("bool", "complex64", "complex128"):
        return fields.sent(streams[0], device).view(dtype)
    if isinstance(codec, FloatCodec):
        return fields.floats(codec, spec.dtype, mode, streams, stop - start, device).view(dtype)
    if isinstance(codec, BfpCodec) and codec.signs == "full" and spec.dtype != "float64":
        return _bfp(codec, decoder, block, mode, streams, dtype, device)
    if isinstance(codec, Int8Codec) and spec.dtype != "float64":
        return _int8(codec, decoder, block, mode, streams, dtype, device)
    return None


def _bfp(
    codec: BfpCodec,
    decoder: RunDecoder,
    block: int,
    mode: int,
    streams: Sequence[Stream | None],
    dtype: torch.dtype,
    device: torch.device,
) -> torch.Tensor | None:
    import numpy as np
    import torch

    spec = decoder.spec
    first, last = spec.span(block)
    rest, head = list(streams), decoder.head
    if codec.scope.kind == "block":
        head = checked(spec.dtype, rest.pop(0))
    middle = codec.reconstruct == "mid"
    below = codec.bits + middle
    used = head[head != ZERO_SCOPE]
    if used.size and (int(used.min()) - below < _LEAST or int(used.max()) > _MOST):
        return None  # subnormal numbers, which are not exact in float32
    units = np.ldexp(np.float32(1), np.where(head == ZERO_SCOPE, 0, head - below))
    units = np.where(head == ZERO_SCOPE, np.float32(0), units.astype(np.float32))
    if codec.step is not None:
        unit = np.float32(codec.step) * np.float32(0.5 if middle else 1)
        if unit < 2.0**_LEAST:
            return None
        units = np.full(sum(map(codec.scope.count, spec.shapes)), unit)
    sign, *planes = rest
    whole = fields.magnitudes(mode == SYMBOLS, planes, codec.bits, last - first, device)
    if middle:
        whole = torch.where(whole != 0, 2 * whole + 1, whole)
    negative = fields.bits(sign, last - first, device)
    return _scaled(codec.scope, spec, block, whole, negative, units, dtype)


def _int8(
    codec: Int8Codec,
    decoder: RunDecoder,
    block: int,
    mode: int,
    streams: Sequence[Stream | None],
    dtype: torch.dtype,
    device: torch.device,
) -> torch.Tensor:
    first, last = decoder.spec.span(block)
    if mode == BYTES:
        codes = fields.sent(streams[0], device).int()
        negative, whole = codes >> MAGNITUDE_BITS, codes & LARGEST
    else:
        negative = fields.bits(streams[0], last - first, device)
        whole = fields.joined(streams[1:], last - first, device)
    if bool(((negative != 0) & (whole == 0)).any()):
        raise invalid("a code has a sign and no magnitude")
    return _scaled(codec.scope, decoder.spec, block, whole, negative, decoder.head, dtype)


def _scaled(
    scope: Scope,
    spec: RunSpec,
    block: int,
    whole: torch.Tensor,
    negative: torch.Tensor,
    units: NDArray[np.float32],
    dtype: torch.dtype,
) -> torch.Tensor:
    """Multiply integers with the units of their scopes; gaps between members become zero."""
    import torch

    found = torch.zeros(whole.numel(), dtype=dtype, device=whole.device)
    most = torch.finfo(dtype).max
    if scope.kind == "tensor" and not units.size:
        return found
    for start, stop, scopes, own in scope.parts(spec, block, units):
        assert own is not None
        table = torch.tensor(own, device=whole.device)  # a copy: it may be the stream's own bytes
        index = torch.arange(stop - start, device=whole.device)
        of_each = table[(index + scopes.first) // scopes.inner % scopes.count]
        values = (whole[start:stop].float() * of_each).clamp(max=most)
        found[start:stop] = torch.where(negative[start:stop] != 0, -values, values).to(dtype)
    return found
