"""Streams coded without a search: they decode to what they were, and are hardly longer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mcodec import frames, stored
from mcodec.codec import coder
from mcodec.codec.float import FloatCodec
from mcodec.stored import reference
from mcodec.types import FILL, RAW, ZSTD, RunSpec

pytestmark = pytest.mark.skipif(
    stored._impl.__name__.endswith("reference"), reason="nothing is coded by compiled code"
)
Bytes = NDArray[np.uint8]


def skewed(size: int, skew: float, seed: int) -> Bytes:
    """Return bytes of geometric frequencies."""
    random = np.random.default_rng(seed)
    return np.minimum(random.geometric(skew, size) - 1, 255).astype(np.uint8)


def back(stream: Bytes, coded: tuple[int, int, bytes | None]) -> bytes:
    kind, fill, frame = coded
    if kind == FILL:
        return bytes([fill]) * stream.size
    return stream.tobytes() if frame is None else frames.decompress(frame, stream.size)


@given(
    size=st.one_of(
        st.integers(0, 600),
        st.sampled_from([8191, 8192, 16_383, 16_384, 16_385, 131_071, 131_072]).flatmap(
            lambda size: st.integers(size, size + 40)
        ),
        st.just(300_000),
    ),
    skew=st.floats(0.002, 0.999),
    seed=st.integers(0, 99),
    tail=st.integers(0, 3),
)
def test_streams_come_back(size: int, skew: float, seed: int, tail: int) -> None:
    stream = skewed(size, skew, seed)
    if tail:
        stream[size * tail // 4 :] = tail  # another kind of bytes begins
    (coded,) = stored.code([stream], 64)
    assert back(stream, coded) == stream.tobytes()
    if coded[2] is not None:
        assert coded[0] == ZSTD
        assert len(coded[2]) < size - 64
        whole = zstandard.ZstdDecompressor().decompress(coded[2], allow_extra_data=False)
        assert whole == stream.tobytes()


def test_noise_stays_and_one_byte_is_a_fill() -> None:
    noise = np.random.default_rng(1).integers(0, 256, 32_768, np.uint8)
    kinds = [kind for kind, _, _ in stored.code([noise, noise * 0 + 7, noise[:0], noise[:1]], 64)]
    assert kinds == [RAW, FILL, FILL, FILL]


@pytest.mark.parametrize("size", [4096, 131_072, 262_144])
@pytest.mark.parametrize("skew", [0.03, 0.1, 0.3, 0.6])
def test_codes_are_as_short_as_those_of_zstd(size: int, skew: float) -> None:
    stream = skewed(size, skew, 3)
    ((_, _, frame),) = stored.code([stream], 0)
    assert frame is not None
    assert len(frame) <= len(frames.compress(stream.data, 0)) * 1.005 + 16


def test_a_new_code_where_bytes_become_others() -> None:
    low, high = skewed(32_768, 0.3, 1), 255 - skewed(32_768, 0.3, 2)
    ((_, _, both),) = stored.code([np.concatenate([low, high])], 0)
    ((_, _, one), (_, _, two)) = stored.code([low, high], 0)
    assert both is not None
    assert one is not None
    assert two is not None
    assert len(both) <= len(one) + len(two) + 32


@given(seed=st.integers(0, 50), bits=st.integers(1, 3))
def test_what_symbols_take_apart(seed: int, bits: int) -> None:
    symbols = skewed(20_000, 0.02, seed)
    _, apart = stored.code_symbols(symbols, 64, bits)

    def entropy(values: NDArray[Any]) -> float:
        share = np.bincount(values) / values.size
        share = share[share > 0]
        return float(-(share * np.log2(share)).sum())

    planes = [entropy(symbols >> bit & 1) for bit in range(bits)]
    planes = [1.0 if one + 1 / 64 > 1 else one for one in planes]
    expected = (entropy(symbols >> bits) + sum(planes)) * symbols.size / 8
    assert apart == pytest.approx(expected, rel=2e-3, abs=2)


@given(
    first=st.sampled_from([0, 14, 70, 126]),
    seed=st.integers(0, 50),
    size=st.sampled_from([100, 101, 4096, 5003, 9000]),
    zeros=st.booleans(),
    low=st.booleans(),
)
def test_symbols_of_a_window(first: int, seed: int, size: int, zeros: bool, low: bool) -> None:
    random = np.random.default_rng(seed)
    exponents = random.integers(first + 1, first + 60, size).astype(np.uint8)
    exponents[50] = first + 60  # no earlier window has it
    mantissas = random.integers(0, 4, size).astype(np.uint8)
    if zeros:
        exponents[:50], mantissas[:50] = 0, 0
    if low:
        exponents[-1] = max(0, first - 1)
        mantissas[-1] = 1
    symbols = np.empty(size, np.uint8)
    planes = [np.packbits(mantissas >> bit & 1, bitorder="little") for bit in (1, 0)]
    for one in (stored, reference):
        symbols[:] = 0
        found = one.join(exponents, *planes, 63, 14, symbols)
        if low and first:
            assert found == -1
            continue
        assert found == first
        whole = (exponents.astype(int) - first) * 4 + mantissas
        if first:
            whole[exponents == 0] = 0
        assert np.array_equal(symbols, whole & 255)


def stored_bytes(values: NDArray[Any]) -> tuple[int, int]:
    """Return the bytes of a block, coded quickly and by a search of everything."""
    codec, run = FloatCodec(), RunSpec.of(values.dtype.name, [values.shape])
    found = []
    for search in (coder.search, lambda values: True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(coder, "search", search)
            mode, streams = codec.encode(run, 0, values, None, planes_only=False)
        out = np.empty_like(values)
        codec.decode(run, 0, mode, [coder.decode(stream) for stream in streams], None, out)
        assert out.tobytes() == values.tobytes()
        found.append(coder.stored(streams))
    return found[0], found[1]


def weights(size: int, dtype: str = "float32") -> NDArray[Any]:
    return (np.random.default_rng(5).standard_normal(size) * 0.02).astype(dtype)


ROWS = weights(64 * 512).reshape(64, 512)
BLOCKS: dict[str, NDArray[Any]] = {
    "weights": weights(1 << 17),
    "float16": weights(1 << 17, "float16"),
    "rows that come again": np.tile(ROWS, (4, 1)).reshape(-1),
    "rows that come again with other signs": (ROWS * np.array([[[1]], [[-1]], [[1]]])).reshape(-1),
    "some rows of zeros": np.where(np.arange(64)[:, None] % 5, ROWS, 0).reshape(-1),
    "integers": np.random.default_rng(6).integers(-99, 99, 1 << 16).astype(np.float32),
    "one number": np.full(70_000, 0.1, np.float32),
    "small": weights(3000),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_hardly_longer_than_what_a_search_finds(name: str) -> None:
    quick, searched = stored_bytes(BLOCKS[name].astype(BLOCKS[name].dtype))
    assert quick <= searched * 1.01 + 64


def test_the_low_bits_of_sums_come_again() -> None:
    """A row added to all rows of float16 numbers: the numbers are new, their last bits are not."""
    rough = weights(256 * 384, "float16").astype(np.float32).reshape(256, 384)
    quick, searched = stored_bytes((rough + weights(384) * 1e-3).reshape(-1))
    assert quick <= searched * 1.02 + 64
