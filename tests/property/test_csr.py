"""The codec csr keeps what its values' codec keeps, at the positions that its page gives.

Positions are written and read by `support.formula_csr`, which shares no code with the library; what
a lossy codec of values makes of an element is asked of that codec alone, whose own tests have a
formula.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.codec import coder
from mcodec.codec.base import CANONICAL, View
from mcodec.codec.csr import CsrCodec
from mcodec.codec.plan import parse_codec
from mcodec.errors import FormatError
from mcodec.types import BLOCK, FLOATS, Fill, RunSpec, TensorSpec, numpy_dtype
from support import cases, formula_csr, strategies
from support.cases import same_bits

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mcodec.codec.base import Codec

FORMATS = st.sampled_from(tuple(FLOATS))
BLOCKS = st.sampled_from((8, 64, BLOCK))
SHARES = st.sampled_from((0.0, 0.1, 0.5, 0.9, 0.99, 1.0)) | st.floats(0, 1)
VALUES = (
    *("bfp(bits=5)", "bfp(bits=11,scope=axis:0)", "bfp(bits=3,scope=axis:-1,signs=compact)"),
    *("bfp(bits=4,step=0.5)", "bfp(bits=9,signs=compact,reconstruct=mid)", "bfp(bits=24)"),
    *("int8", "int8(scope=axis:0)", "int8(scope=axis:-1)"),
)
PLAN = '[[tensor]]\nmatch = "*"\ncodec = "{codec}"\n'


def drawn(
    data: st.DataObject, dtype: str, *, least_dims: int = 0, finite: bool = False
) -> list[NDArray[Any]]:
    """Draw one to four sparse arrays."""
    shapes = data.draw(st.lists(strategies.shapes(400, least_dims), min_size=1, max_size=4))
    return [
        formula_csr.sparse(
            dtype, shape, data.draw(SHARES), data.draw(st.integers(0, 2**32)), finite=finite
        )
        for shape in shapes
    ]


def laid(
    arrays: list[NDArray[Any]], dtype: str, block: int = BLOCK
) -> tuple[RunSpec, NDArray[Any]]:
    """Lay arrays into a run of blocks that may be shorter than a file's; gaps are zeros."""
    run = replace(RunSpec.of(dtype, [array.shape for array in arrays]), block=block)
    whole = np.zeros(run.elements, numpy_dtype(dtype))
    for start, array in zip(run.starts, arrays, strict=True):
        whole[start : start + array.size] = array.reshape(-1)
    return run, whole


def prepared(codec: Codec, run: RunSpec, whole: NDArray[Any]) -> Any:
    """Return the head of a run."""
    codec.check(run)
    surveys = []
    for start, size, shape in zip(run.starts, run.sizes, run.shapes, strict=True):
        member = whole[start : start + size]
        blocks = [member[at : at + BLOCK] for at in range(0, size, BLOCK)]
        surveys.append(codec.survey(TensorSpec("w", run.dtype, shape), blocks))
    head, coded = codec.encode_head(run, surveys)
    if codec.head_streams(run):
        streams: list[Any] = [coder.decode(stream) for stream in coded]
        return codec.decode_head(run, streams)
    return head


def coded_and_back(
    codec: Codec, run: RunSpec, whole: NDArray[Any], view: View = CANONICAL, *, planes: bool = False
) -> NDArray[Any]:
    """Encode and decode a run block by block; check positions and lengths on the way."""
    head = prepared(codec, run, whole)
    out = np.full(run.elements, 1, whole.dtype)
    for block in range(run.blocks):
        first, last = run.span(block)
        mode, coded = codec.encode(run, block, whole[first:last], head, planes_only=planes)
        streams = [coder.decode(stream) for stream in coded]
        if isinstance(codec, CsrCodec):
            check_streams(codec, run, block, mode, streams, whole[first:last])
        codec.decode(run, block, mode, streams, head, out[first:last], view)
    return out


def check_streams(
    codec: CsrCodec, run: RunSpec, block: int, mode: int, streams: list[Any], values: NDArray[Any]
) -> None:
    """Read the positions by the formula, and compare every length with what the page says."""
    there = np.flatnonzero(values.view(f"<u{values.itemsize}")).tolist()
    assert formula_csr.read(list(map(bytes, streams)), values.size, mode >> 4) == there
    count = len(there)
    most = codec.block_streams(run, block, mode)
    exact = codec.counted_streams(run, block, mode, streams[:1])
    assert most is not None
    for widest, spec, stream in zip(most, exact, streams, strict=True):
        length = len(bytes(stream))
        assert (widest.name, widest.level, widest.counted) == (spec.name, spec.level, spec.counted)
        assert length <= spec.length <= widest.length
        assert spec.variable or length == widest.length
        if spec.counted:
            whole_bytes = spec.name.startswith(("exponent", "symbols", "codes"))
            assert length == spec.length == (count if whole_bytes else -(-count // 8))


@given(dtype=FORMATS, keep=st.booleans(), planes=st.booleans(), data=st.data())
def test_any_pattern_survives(dtype: str, keep: bool, planes: bool, data: st.DataObject) -> None:
    run, whole = laid(drawn(data, dtype), dtype, data.draw(BLOCKS))
    bits = FLOATS[dtype].width if keep else data.draw(st.integers(1, FLOATS[dtype].width))
    codec = parse_codec(f"csr(values=float(keep={bits}))")
    found = coded_and_back(codec, run, whole, planes=planes)
    unsigned = f"<u{whole.itemsize}"
    dropped = FLOATS[dtype].width - bits
    kept = whole.view(unsigned) >> dropped << dropped
    assert found.view(unsigned).tolist() == kept.tolist()


@given(dtype=FORMATS, values=st.sampled_from(VALUES), planes=st.booleans(), data=st.data())
def test_values_decode_as_they_do_alone(
    dtype: str, values: str, planes: bool, data: st.DataObject
) -> None:
    arrays = drawn(data, dtype, least_dims=1, finite=True)
    if dtype == "float64":  # no float32 is a scale of the largest
        arrays = [np.where(np.abs(array) < 2.0**100, array, 2.0**99) for array in arrays]
    run, whole = laid(arrays, dtype, data.draw(BLOCKS))
    view = CANONICAL
    if data.draw(st.booleans()):
        view = View(data.draw(st.integers(0, 12)), data.draw(st.sampled_from((None, False, True))))
    alone = coded_and_back(parse_codec(values), run, whole, view)
    found = coded_and_back(parse_codec(f"csr(values={values})"), run, whole, view, planes=planes)
    assert same_bits(found, alone)
    assert not found.view(f"<u{whole.itemsize}")[whole.view(f"<u{whole.itemsize}") == 0].any()


@given(
    dtype=FORMATS,
    values=st.sampled_from(("float", *VALUES)),
    form=st.sampled_from(formula_csr.FORMS),
    data=st.data(),
)
def test_every_form_is_read(dtype: str, values: str, form: int, data: st.DataObject) -> None:
    # What is stored may decode to zero: positions of zeros are put among the others.
    array = formula_csr.sparse(
        dtype,
        (data.draw(st.integers(1, 4000)),),
        data.draw(SHARES),
        data.draw(st.integers(0, 2**32)),
        finite=True,
    )
    if dtype == "float64":
        array = np.where(np.abs(array) < 2.0**100, array, 2.0**99)
    run, whole = laid([array], dtype)
    codec, alone = parse_codec(f"csr(values={values})"), parse_codec(values)
    head = prepared(codec, run, whole)
    also = data.draw(st.sets(st.integers(0, whole.size - 1), max_size=4))
    there = sorted({*np.flatnonzero(whole.view(f"<u{whole.itemsize}")).tolist(), *also})
    packed = RunSpec.of(dtype, [(len(there),)])
    inner, own = alone, head
    if "axis" in values:  # the head of each element
        own = head[there]
    mode, coded = inner.encode(packed, 0, whole[there], own, planes_only=False)
    streams: list[Any] = [memoryview(s) for s in formula_csr.write(there, whole.size, form)]
    streams += [coder.decode(stream) for stream in coded]
    found = np.full(whole.size, 1, whole.dtype)
    codec.decode(run, 0, form << 4 | mode, streams, head, found)
    assert same_bits(found, coded_and_back(alone, run, whole))


@given(
    dtype=FORMATS, layout=st.sampled_from(("task", "interleaved", "progressive")), data=st.data()
)
def test_whole_files(tmp_path: Path, dtype: str, layout: str, data: st.DataObject) -> None:
    models = {name: {f"t{i}": array for i, array in enumerate(drawn(data, dtype))} for name in "AB"}
    plan, path = tmp_path / "plan.toml", tmp_path / "sparse.mc"
    plan.write_text(PLAN.format(codec="csr"))
    mcodec.pack(models, path, plan=plan, layout=layout, force=True, jobs=1)
    assert mcodec.verify(path, deep=True, against=models, jobs=1).differences == ()
    other = tmp_path / "other.mc"
    for again in ("progressive", "task"):
        mcodec.relayout(path, other, again)
        with mcodec.open(other, jobs=1) as file:
            for name, model in models.items():
                cases.assert_same_model(file.task(name), model)


@given(values=st.sampled_from(VALUES), data=st.data())
def test_modes_change_with_the_layout(tmp_path: Path, values: str, data: st.DataObject) -> None:
    if "compact" in values:
        values = values.replace(",signs=compact", "")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    array = (rng.standard_normal((40, 50)) * 0.01).astype(np.float32)
    array[rng.random(array.shape) < data.draw(SHARES)] = 0
    plan, path, other = (tmp_path / name for name in ("plan.toml", "sparse.mc", "other.mc"))
    plan.write_text(PLAN.format(codec=f"csr(values={values})"))
    mcodec.pack({"A": {"w": array}}, path, plan=plan, force=True, jobs=1)
    mcodec.relayout(path, other, "progressive")
    mcodec.relayout(other, tmp_path / "back.mc", "task")
    assert (tmp_path / "back.mc").read_bytes() == path.read_bytes()
    with mcodec.open(path) as one, mcodec.open(other) as two:
        assert same_bits(one.task()["w"], two.task()["w"])
    mcodec.verify(other, deep=True)


@pytest.mark.parametrize("size", cases.BLOCK_SIZES)
@pytest.mark.parametrize("values", ["float", "bfp(bits=7,scope=axis:0)", "int8(scope=axis:0)"])
def test_blocks_at_their_borders(size: int, values: str) -> None:
    width = {(1 << 19) + 5: 11, (1 << 18) + 1: 13}.get(size, 1)  # rows that lie in two blocks
    array = cases.weights("float32", (size // width, width), 5)
    kept = np.zeros(array.size, bool)
    for border in (0, BLOCK, 2 * BLOCK):
        kept[max(0, border - 3) : border + 2] = True
    kept[::977] = True
    array.reshape(-1)[~kept] = 0
    run, whole = laid([array], "float32")
    found = coded_and_back(parse_codec(f"csr(values={values})"), run, whole)
    assert same_bits(found, coded_and_back(parse_codec(values), run, whole))


@given(values=st.sampled_from(("float", *VALUES)), data=st.data())
def test_any_bytes_are_refused_or_decoded(values: str, data: st.DataObject) -> None:
    codec = parse_codec(f"csr(values={values})")
    run, whole = laid(drawn(data, "float32", least_dims=1, finite=True), "float32")
    head = prepared(codec, run, whole)
    inner = data.draw(st.sampled_from((0, 1)))
    mode = data.draw(st.sampled_from(formula_csr.FORMS)) << 4 | inner
    if not run.blocks or codec.block_streams(run, 0, mode) is None:
        return
    out = np.empty(run.span(0)[1], np.float32)
    streams: list[Any] = []

    def attempt() -> str:
        first = codec.block_streams(run, 0, mode)
        assert first is not None
        streams.append(some(first[0].length, first[0].variable, data))
        try:
            for spec in codec.counted_streams(run, 0, mode, streams)[1:]:
                shorter = spec.variable and not spec.counted
                streams.append(some(spec.length, shorter, data))
            codec.decode(run, 0, mode, streams, head, out)
        except FormatError as error:
            return error.code
        return "sound"

    code = attempt()
    assert code in ("sound", "stream_invalid")
    if code == "sound":
        there = formula_csr.read(list(map(bytes, streams)), out.size, mode >> 4)
        unsigned = out.view(np.uint32)
        unsigned[there] = 0
        assert not unsigned.any()


def some(length: int, shorter: bool, data: st.DataObject) -> Any:
    """Draw a stream of a length, or of less."""
    size = data.draw(st.integers(0, length)) if shorter else length
    if data.draw(st.booleans()):
        return Fill(data.draw(st.sampled_from((0, 1, 254, 255))), size)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    few = data.draw(st.sampled_from((2, 16, 256)))
    return memoryview(rng.integers(0, few, size, np.uint8).tobytes())
