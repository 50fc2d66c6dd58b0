"""Runs through a codec alone, block by block, as the container would carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mcodec.codec import coder
from mcodec.codec.base import CANONICAL
from mcodec.types import RunSpec, TensorSpec, dtype_name, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mcodec.codec.base import Codec, Coded, View

    Arrays = Sequence[NDArray[Any]]


class Packed(NamedTuple):
    """A run after its codec: its geometry, the streams of its head, and its blocks."""

    codec: Codec
    run: RunSpec
    head: list[Any]
    blocks: list[Coded]
    bases: list[NDArray[Any]]  # one a role, of the whole run


def lay(run: RunSpec, arrays: Arrays, dtype: str | None = None) -> NDArray[Any]:
    """Lay the members of a run one after another, gaps zero."""
    values = np.zeros(run.elements, numpy_dtype(dtype or run.dtype))
    for start, size, array in zip(run.starts, run.sizes, arrays, strict=True):
        values[start : start + size] = array.reshape(-1)
    return values


def cut(run: RunSpec, values: NDArray[Any]) -> list[NDArray[Any]]:
    """Take the members of a run apart again."""
    return [
        values[start : start + size].reshape(shape)
        for start, size, shape in zip(run.starts, run.sizes, run.shapes, strict=True)
    ]


def split(array: NDArray[Any], size: int) -> list[NDArray[Any]]:
    """Cut an array into the blocks that a survey sees."""
    flat = array.reshape(-1)
    return [flat[at : at + size] for at in range(0, flat.size, size)]


def encode(codec: Codec, arrays: Arrays, *bases: Arrays) -> Packed:
    """Encode arrays of one dtype as one run; `bases` has the arrays of each role."""
    dtype = dtype_name(arrays[0].dtype)
    assert dtype is not None
    run = RunSpec.of(dtype, [array.shape for array in arrays])
    codec.check(run)
    surveys = []
    for member, array in enumerate(arrays):
        tensor = TensorSpec("w", dtype, array.shape)
        below = [split(role[member], run.block) for role in bases]
        surveys.append(codec.survey(tensor, split(array, run.block), below))
    head, streams = codec.encode_head(run, surveys)
    values = lay(run, arrays)
    under = [lay(run, role, own) for role, own in zip(bases, codec.roles(dtype), strict=True)]
    blocks = []
    for block in range(run.blocks):
        part = slice(*run.span(block))
        here = [role[part] for role in under]
        coded = codec.encode(run, block, values[part], head, planes_only=False, bases=here)
        check_lengths(codec, run, block, coded)
        blocks.append(coded)
    return Packed(codec, run, [coder.decode(stream) for stream in streams], blocks, under)


def check_lengths(codec: Codec, run: RunSpec, block: int, coded: Coded) -> None:
    """Check that a block's streams are as long as the codec says, counted ones to the byte."""
    mode, streams = coded
    specs = codec.block_streams(run, block, mode)
    assert specs is not None
    exact = codec.counted_streams(run, block, mode, [coder.decode(s) for s in streams])
    for spec, most, stream in zip(exact, specs, streams, strict=True):
        assert (spec.name, spec.level, spec.counted) == (most.name, most.level, most.counted)
        assert stream.raw <= most.length
        if spec.counted or not spec.variable:
            assert stream.raw == spec.length, spec.name


def decode(packed: Packed, view: View = CANONICAL) -> list[NDArray[Any]]:
    """Decode a run, and return its members; gaps must be zero."""
    codec, run = packed.codec, packed.run
    head = codec.decode_head(run, packed.head)
    out = np.empty(run.elements, numpy_dtype(run.dtype))
    out.view("u1")[:] = 0xAA
    for block, (mode, coded) in enumerate(packed.blocks):
        part = slice(*run.span(block))
        streams = [coder.decode(stream) for stream in coded]
        here = [role[part] for role in packed.bases]
        codec.decode(run, block, mode, streams, head, out[part], view, bases=here)
    found = cut(run, out)
    assert lay(run, found).tobytes() == out.tobytes()
    return found


def streams_of(packed: Packed, block: int = 0) -> dict[str, bytes]:
    """Return the streams of a block by name."""
    mode, coded = packed.blocks[block]
    specs = packed.codec.block_streams(packed.run, block, mode) or ()
    return {
        spec.name: bytes(coder.decode(stream)) for spec, stream in zip(specs, coded, strict=True)
    }
