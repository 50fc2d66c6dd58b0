"""The codec int8 gives exactly the integers, scales and values of its page.

The formula in `support.formula_int8` shares no code with the library.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.codec.base import View
from mcodec.codec.int8 import Int8Codec
from mcodec.codec.scales import find_scales
from mcodec.codec.scope import TENSOR
from mcodec.errors import FormatError
from mcodec.types import FLOATS, Fill, RunSpec, TensorSpec, numpy_dtype
from support import cases, formula_int8, strategies

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mcodec.codec.streams import Stream

FORMATS = st.sampled_from(tuple(FLOATS))
PLAN = '[[tensor]]\nmatch = "*"\ncodec = "int8(scope={scope})"\n'


def pack(
    folder: Path, arrays: dict[str, NDArray[Any]], scope: str, layout: str = "task"
) -> tuple[Path, mcodec.PackReport]:
    """Pack every tensor, vectors and scalars too."""
    plan, path = folder / "plan.toml", folder / f"{layout}.mc"
    plan.write_text(PLAN.format(scope=scope))
    return path, mcodec.pack({"A": arrays}, path, plan=plan, layout=layout, jobs=1)


def too_large(dtype: str, array: NDArray[Any]) -> bool:
    """Whether a scale would be no float32."""
    return dtype == "float64" and bool((np.abs(array) / 127 >= 2.0**128 - 2.0**103).any())


def check(
    folder: Path,
    arrays: dict[str, NDArray[Any]],
    scope: str,
    *,
    layout: str = "task",
    planes: int | None = None,
    midpoint: bool | None = None,
) -> None:
    """Pack, decode, and compare every pattern and every integer with the formula."""
    path, _ = pack(folder, arrays, scope, layout)
    mcodec.verify(path, deep=True, against={"A": arrays}, jobs=1)
    with mcodec.open(path, jobs=1) as file:
        task = file.task(planes=planes, midpoint=midpoint)
        for name, array in arrays.items():
            dtype = task.spec(name).dtype
            if too_large(dtype, array):
                continue
            coded = formula_int8.encode(dtype, array, scope)
            expected = formula_int8.decode(
                dtype,
                coded,
                np.signbit(array).reshape(-1).tolist(),
                planes=7 if planes is None else min(7, planes),
                mid=midpoint is not False,
            )
            found = task[name].reshape(-1).view(f"<u{FLOATS[dtype].width // 8}")
            assert found.tolist() == expected, name


@given(dtype=FORMATS, layout=st.sampled_from(("task", "progressive")), data=st.data())
def test_one_scale(tmp_path: Path, dtype: str, layout: str, data: st.DataObject) -> None:
    shapes = data.draw(st.lists(strategies.shapes(60), min_size=1, max_size=4))
    arrays = {f"t{i}": data.draw(strategies.finite(dtype, s)) for i, s in enumerate(shapes)}
    check(tmp_path, arrays, "tensor", layout=layout)


@given(dtype=FORMATS, data=st.data())
def test_a_scale_for_each_channel(tmp_path: Path, dtype: str, data: st.DataObject) -> None:
    shapes = data.draw(st.lists(strategies.shapes(80, least_dims=2), min_size=1, max_size=3))
    arrays = {f"t{i}": data.draw(strategies.finite(dtype, s)) for i, s in enumerate(shapes)}
    check(tmp_path, arrays, f"axis:{data.draw(st.sampled_from((-2, -1, 0, 1)))}")


@given(
    dtype=FORMATS,
    layout=st.sampled_from(("task", "progressive")),
    planes=st.integers(0, 9),
    midpoint=st.sampled_from((None, False, True)),
    data=st.data(),
)
def test_derived_planes(
    tmp_path: Path,
    dtype: str,
    layout: str,
    planes: int,
    midpoint: bool | None,
    data: st.DataObject,
) -> None:
    array = data.draw(strategies.finite(dtype, data.draw(strategies.shapes(120))))
    arrays = {"w": array, "v": array.reshape(-1)[:3]}
    check(tmp_path, arrays, "tensor", layout=layout, planes=planes, midpoint=midpoint)


@pytest.mark.parametrize("dtype", list(FLOATS))
def test_the_extremes_of_a_dtype(tmp_path: Path, dtype: str) -> None:
    form = FLOATS[dtype]
    infinity = ((1 << form.exponent) - 1) << form.mantissa
    ends = [0, 1, 2, 3, (1 << form.mantissa) - 1, 1 << form.mantissa, infinity - 2, infinity - 1]
    both = ends + [pattern | 1 << (form.width - 1) for pattern in ends]
    array = np.array(both, f"<u{form.width // 8}").view(numpy_dtype(dtype))
    arrays = {"all": array, "zero": array[[0, 8]]}
    arrays |= {f"one{i}": array[i : i + 1] for i in range(len(both))}
    check(tmp_path, arrays, "tensor")


@given(dtype=FORMATS, data=st.data())
def test_an_error_is_half_a_scale(dtype: str, data: st.DataObject) -> None:
    array = data.draw(strategies.finite(dtype, data.draw(strategies.shapes(100)))).reshape(-1)
    if too_large(dtype, array):
        return
    if np.abs(array).max(initial=0).astype(np.float64) > np.finfo(np.float32).max:
        return  # of float64: a product past float32 becomes its largest number, whatever it is
    run = RunSpec.of(dtype, [array.shape])
    codec = Int8Codec()
    scales = find_scales(TensorSpec("w", dtype, array.shape), [array], TENSOR)
    decoded, _ = coded(codec, run, array, scales)
    with np.errstate(over="ignore"):
        wide = np.abs(array.astype(np.float64) - decoded.astype(np.float64))
    unit = float(scales[0]) if scales.size else 1.0
    ulp = 2.0 ** -min(FLOATS[dtype].mantissa, 23)  # what rounding a product adds at the most
    least = 2.0 ** (2 - (1 << FLOATS[dtype].exponent - 1) - FLOATS[dtype].mantissa)
    assert (wide <= unit * (0.5 + 128 * ulp) + least).all()
    assert ((array != 0) | (decoded.view(f"u{array.itemsize}") == 0)).all()


def coded(
    codec: Int8Codec, run: RunSpec, array: NDArray[Any], scales: NDArray[np.float32]
) -> tuple[NDArray[Any], int]:
    """Encode one block and decode it; return that and the mode."""
    from mcodec.codec import coder

    mode, streams = codec.encode(run, 0, array, scales, planes_only=False)
    out = np.full_like(array, 3)
    if out.size:
        codec.decode(run, 0, mode, [coder.decode(s) for s in streams], scales, out)
    return out, mode


@pytest.mark.parametrize("scope", ["tensor", "axis:0", "axis:1"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_tensor_of_several_blocks(tmp_path: Path, dtype: str, scope: str) -> None:
    array = cases.weights(dtype, (513, 515), seed=3)
    array[::7] *= 16  # so that the scales differ
    path, _ = pack(tmp_path, {"w": array}, scope)
    mcodec.verify(path, deep=True, against={"A": {"w": array}}, jobs=1)
    exact = array.astype(np.float64)
    axes = {"tensor": None, "axis:0": 1, "axis:1": 0}[scope]
    with mcodec.open(path, jobs=2) as file:
        task = file.task()
        found = task["w"]
        part = task.get_slice("w")[500:, 3:]
    scale = (np.abs(exact).max(axes, keepdims=True) / 127).astype(np.float32)
    integers = np.clip(np.rint(exact / scale.astype(np.float64)), -127, 127)
    expected = (integers.astype(np.float32) * scale).astype(numpy_dtype(dtype)) + numpy_dtype(
        dtype
    ).type(0)  # no minus of a zero
    assert cases.same_bits(found, expected)
    assert cases.same_bits(part, expected[500:, 3:])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_number_falls_to_lossless(tmp_path: Path, bad: float) -> None:
    arrays = {"w": cases.weights("float32", (30, 40)), "v": cases.weights("float64", (30, 40))}
    arrays["w"][3, 5] = bad
    arrays["v"][29, 39] = 1e300  # its scale would be no float32
    path, report = pack(tmp_path, arrays, "axis:0")
    assert [w.partition(":")[0] for w in report.warnings] == ["task 'A'", "task 'A'"]
    assert "'w' is stored lossless: it holds NaN or infinity" in report.warnings[0]
    assert "'v' is stored lossless: its largest magnitude is too large" in report.warnings[1]
    with mcodec.open(path) as file:
        for name, array in arrays.items():
            assert cases.same_bits(file.task()[name], array)


def test_what_is_smaller_is_stored() -> None:
    run = RunSpec.of("float32", [(4096,)])
    scales = np.ones(1, np.float32)
    rng = np.random.default_rng(1)
    bell = np.clip(rng.standard_normal(4096) * 5, -127, 127).astype(np.float32)
    assert coded(Int8Codec(), run, bell, scales)[1] == 1
    # So wide a bell is nearly as small in planes, and these are read in half the time.
    wide = np.clip(rng.standard_normal(4096) * 40, -127, 127).astype(np.float32)
    assert coded(Int8Codec(), run, wide, scales)[1] == 0
    # One plane of eight has an order that bytes do not show.
    halves = np.where(np.arange(4096) < 2048, 64, 0) + rng.integers(0, 64, 4096)
    signed = (halves * np.where(rng.random(4096) < 0.5, -1, 1)).astype(np.float32)
    assert coded(Int8Codec(), run, signed, scales)[1] == 0


@pytest.mark.parametrize("scope", ["tensor", "axis:-1"])
def test_layouts_give_each_other_back(tmp_path: Path, scope: str) -> None:
    arrays = {"w": cases.weights("float32", (64, 300)), "v": cases.weights("float16", (7, 9))}
    for layout in ("task", "progressive"):
        pack(tmp_path, arrays, scope, layout)
    task, progressive = tmp_path / "task.mc", tmp_path / "progressive.mc"
    mcodec.relayout(task, tmp_path / "there.mc", layout="progressive")
    mcodec.relayout(tmp_path / "there.mc", tmp_path / "back.mc", layout="task")
    assert (tmp_path / "there.mc").read_bytes() == progressive.read_bytes()
    assert (tmp_path / "back.mc").read_bytes() == task.read_bytes()
    data = progressive.read_bytes()
    (tmp_path / "cut.mc").write_bytes(data[: len(data) // 2])
    with mcodec.open(tmp_path / "cut.mc", partial=True) as cut, mcodec.open(progressive) as whole:
        levels = cut.reader.levels
        assert levels in range(1, 7)
        for name in arrays:
            assert cases.same_bits(cut.task()[name], whole.task(planes=levels)[name])


@st.composite
def streams(draw: st.DrawFn, run: RunSpec, mode: int) -> list[Stream | None]:
    """Draw streams of any bytes, of the lengths that a file is checked for."""
    found: list[Stream | None] = []
    for spec in Int8Codec().block_streams(run, 0, mode) or ():
        if draw(st.booleans()):
            found.append(Fill(draw(st.integers(0, 255)), spec.length))
        else:
            found.append(memoryview(draw(st.binary(min_size=spec.length, max_size=spec.length))))
    return found


@given(dtype=FORMATS, mode=st.sampled_from((0, 1)), size=st.integers(1, 40), data=st.data())
def test_bytes_of_strangers(dtype: str, mode: int, size: int, data: st.DataObject) -> None:
    run = RunSpec.of(dtype, [(size,), (3,)])
    codec = Int8Codec()
    head = data.draw(st.binary(min_size=8, max_size=8))
    drawn = data.draw(streams(run, mode))
    planes = data.draw(st.none() | st.integers(0, 7))
    if planes is not None and mode == 0:
        drawn[planes + 1 :] = [None] * (7 - planes)
    out = np.full(run.elements, 7, numpy_dtype(dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            scales = codec.decode_head(run, [memoryview(head)])
            codec.decode(run, 0, mode, drawn, scales, out, View(planes))
        except FormatError as error:
            if error.code != "stream_invalid":
                raise
            return
    numbers = np.frombuffer(head, "<f4")
    assert (np.isfinite(numbers) & (numbers >= np.float32(2.0**-126))).all()
    assert np.isfinite(out.astype(np.float64)).all()
    assert not out[size : run.starts[1]].view(np.uint8).any()
