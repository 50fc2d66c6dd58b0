"""A base under a mask, of its own or of owners, gives back every bit; anything else is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.codec import mask as masks
from mcodec.codec.base import NotCodableError
from mcodec.codec.mask import MaskCodec
from mcodec.errors import FormatError
from mcodec.types import FLOATS, Fill, RunSpec, dtype_name, itemsize
from support import blocks, cases, strategies
from support.cases import same_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = [name for name in (*cases.DTYPES, "V2", "V8") if itemsize(name) in (1, 2, 4, 8)]
ZEROS = st.sampled_from(("plain", "signed"))


def items(array: NDArray[Any]) -> list[bytes]:
    data, size = array.tobytes(), array.itemsize
    return [data[at : at + size] for at in range(0, len(data), size)]


def masked(base: NDArray[Any], bits: list[bool], *, signed: bool) -> NDArray[Any]:
    """Put zeros where the bits are clear; with `signed`, of the sign in the last byte."""
    rows = []
    for item, there in zip(items(base), bits, strict=True):
        zero = bytes(len(item) - 1) + bytes([item[-1] & 0x80 if signed else 0])
        rows.append(item if there else zero)
    name = dtype_name(base.dtype)
    assert name is not None
    return cases.from_bytes(name, b"".join(rows), base.shape)


def bits_of(data: st.DataObject, count: int) -> list[bool]:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    found: list[bool] = (rng.random(count) < data.draw(st.sampled_from((0, 0.1, 0.5, 1)))).tolist()
    return found


@given(dtype=st.sampled_from(DTYPES), zero=ZEROS, data=st.data())
def test_any_base_under_any_mask(dtype: str, zero: str, data: st.DataObject) -> None:
    zero = zero if dtype in FLOATS else "plain"
    bases = data.draw(st.lists(strategies.arrays(dtype), min_size=1, max_size=4))
    values = [masked(b, bits_of(data, b.size), signed=zero == "signed") for b in bases]
    packed = blocks.encode(MaskCodec(zero=zero), values, bases)
    for found, array in zip(blocks.decode(packed), values, strict=True):
        assert same_bits(found, array)
    if packed.blocks:  # a bit is clear wherever the zero is what is there, and so in gaps
        rows = zip(items(blocks.lay(packed.run, values)), items(packed.bases[0]), strict=True)
        set_bits = [v != masked_item(b, zero) for v, b in rows]
        whole = sum(bit << i for i, bit in enumerate(set_bits))
        expected = whole.to_bytes(-(-len(set_bits) // 8), "little")
        assert blocks.streams_of(packed) == {"mask": expected}


def masked_item(item: bytes, zero: str) -> bytes:
    return bytes(len(item) - 1) + bytes([item[-1] & 0x80 if zero == "signed" else 0])


@given(dtype=st.sampled_from(DTYPES), zero=ZEROS, owner=st.integers(1, 255), data=st.data())
def test_any_base_under_owners(dtype: str, zero: str, owner: int, data: st.DataObject) -> None:
    zero = zero if dtype in FLOATS else "plain"
    bases = data.draw(st.lists(strategies.arrays(dtype), min_size=1, max_size=4))
    near = st.sampled_from((0, 1, owner, owner - 1, min(255, owner + 1), 255))
    owners = [
        np.array([data.draw(near) for _ in range(b.size)], np.uint8).reshape(b.shape) for b in bases
    ]
    values = [
        masked(b, [1 <= o <= owner for o in own.reshape(-1).tolist()], signed=zero == "signed")
        for b, own in zip(bases, owners, strict=True)
    ]
    codec = MaskCodec(owner, zero)
    packed = blocks.encode(codec, values, bases, owners)
    assert all(streams == [] for _, streams in packed.blocks)
    for found, array in zip(blocks.decode(packed), values, strict=True):
        assert same_bits(found, array)


@given(dtype=st.sampled_from(DTYPES), data=st.data())
def test_what_fits_is_told(dtype: str, data: st.DataObject) -> None:
    base = data.draw(strategies.arrays(dtype)).reshape(-1)
    bits = bits_of(data, base.size)
    plain = masked(base, bits, signed=False)
    if dtype not in FLOATS:
        assert masks.zeros(plain, base) == ("plain",)
        return
    signed = masked(base, bits, signed=True)
    both = same_bits(plain, signed)
    assert masks.zeros(plain, base) == (("plain", "signed") if both else ("plain",))
    assert masks.zeros(signed, base) == (("plain", "signed") if both else ("signed",))


@given(dtype=st.sampled_from(DTYPES), data=st.data())
def test_anything_else_is_not_coded(dtype: str, data: st.DataObject) -> None:
    base = cases.noise(dtype, (data.draw(st.integers(1, 60)),), data.draw(st.integers(0, 2**32)))
    values = base.copy()
    place = data.draw(st.integers(0, base.size - 1))
    changed = values.view("u1").reshape(base.size, -1)
    changed[place, data.draw(st.integers(0, base.itemsize - 1))] ^= data.draw(st.integers(1, 255))
    item, under = items(values)[place], items(base)[place]
    known = ("plain", "signed") if dtype in FLOATS else ("plain",)
    kinds = [kind for kind in known if item == masked_item(under, kind)]
    assert masks.zeros(values, base) == tuple(kinds)
    for zero in known:
        if zero not in kinds:
            with pytest.raises(NotCodableError, match="not its base with some values set to zero"):
                blocks.encode(MaskCodec(zero=zero), [values], [base])
    owners = np.full(base.size, 3, np.uint8)
    with pytest.raises(NotCodableError):
        blocks.encode(MaskCodec(3), [values], [base], [owners])


def test_zeros_of_two_kinds_are_no_mask() -> None:
    base = np.array([1.0, -1.0, -2.0, 3.0], "<f4")
    values = np.array([1.0, 0.0, -0.0, 3.0], "<f4")
    assert masks.zeros(values, base) == ()
    assert masks.zeros(base * np.array([1, 0, 0, 1], "<f4"), base) == ("signed",)
    other = np.array([-0.0, -1.0, -2.0, 3.0], "<f4")  # a zero that no mask of this base makes
    assert masks.zeros(other, base) == ()


@pytest.mark.parametrize("size", cases.BLOCK_SIZES)
@pytest.mark.parametrize("owner", [None, 2])
def test_sizes_where_blocks_are_cut(size: int, owner: int | None) -> None:
    base = cases.noise("bfloat16", (size,), 1)
    owners = cases.noise("uint8", (size,), 2) % np.uint8(5)
    there = (owners >= 1) & (owners <= 2)
    values = np.where(there, base, base.dtype.type(0))
    values.view("u2")[there] = base.view("u2")[there]  # NaN payloads too
    roles = [[base]] if owner is None else [[base], [owners]]
    packed = blocks.encode(MaskCodec(owner), [values], *roles)
    assert len(packed.blocks) == -(-size // (1 << 18))
    assert same_bits(blocks.decode(packed)[0], values)


@pytest.mark.parametrize("n", [1, 7, 8, 9])
def test_bits_past_the_last_element_are_refused(n: int) -> None:
    run, codec = RunSpec.of("float32", [(n,)]), MaskCodec()
    base, out = cases.noise("float32", (n,)), np.empty(n, "<f4")
    full = bytes(n // 8) + bytes([(1 << n % 8) - 1] if n % 8 else [])
    codec.decode(run, 0, 0, [memoryview(full)], None, out, bases=[base])
    if n % 8:
        for stream in (memoryview(bytes(n // 8) + b"\xff"), Fill(0xFF, -(-n // 8))):
            with pytest.raises(FormatError, match="past its last element") as caught:
                codec.decode(run, 0, 0, [stream], None, out, bases=[base])
            assert caught.value.code == "stream_invalid"
