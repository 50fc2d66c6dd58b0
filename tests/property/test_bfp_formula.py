"""Block floating point decodes to exactly what whole-number arithmetic gives.

The formula in `support.formula` shares no code with the library: every float there is an integer
times a power of two.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.types import FLOATS, numpy_dtype
from support import cases, formula, strategies

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FORMATS = st.sampled_from(tuple(FLOATS))
BITS = st.integers(1, 24)
ROUNDINGS = st.sampled_from(("nearest", "truncate"))
PLAN = """
[[tensor]]
match = "*"
codec = "{codec}"
"""


def pack(folder: Path, arrays: dict[str, NDArray[Any]], codec: str, layout: str = "task") -> Path:
    """Pack with one codec for every tensor, vectors and scalars too."""
    plan, path = folder / "plan.toml", folder / "coded.mc"
    plan.write_text(PLAN.format(codec=codec))
    mcodec.pack({"A": arrays}, path, plan=plan, layout=layout, jobs=1)
    return path


def check(
    folder: Path,
    arrays: dict[str, NDArray[Any]],
    bits: int,
    *,
    rounding: str = "nearest",
    scope: str = "tensor",
    step: float | None = None,
    signs: str = "full",
    reconstruct: str = "low",
    planes: int | None = None,
    midpoint: bool | None = None,
) -> None:
    """Pack, decode, and compare every pattern with the formula; verify digests as well."""
    unit = "" if step is None else f",step={step!r}"
    codec = f"bfp(bits={bits},rounding={rounding},scope={scope},signs={signs}{unit},"
    path = pack(folder, arrays, codec + f"reconstruct={reconstruct})")
    mcodec.verify(path, deep=True, against={"A": arrays}, jobs=1)
    kept = bits if planes is None else max(1, min(planes, bits))
    mid = reconstruct == "mid" if kept == bits else True
    mid = (mid if midpoint is None else midpoint) and kept < 24
    with mcodec.open(path, jobs=1) as file:
        task = file.task(planes=planes, midpoint=midpoint)
        for name, array in arrays.items():
            dtype = task.spec(name).dtype
            coded = formula.encode(
                dtype, array, bits, scope, truncate=rounding == "truncate", step=step
            )
            expected = formula.decode(
                dtype, coded, bits, planes=kept, mid=mid, compact=signs == "compact", step=step
            )
            found = task[name].reshape(-1).view(f"<u{FLOATS[dtype].width // 8}")
            assert found.tolist() == expected, name


@given(dtype=FORMATS, bits=BITS, rounding=ROUNDINGS, data=st.data())
def test_tensor_scope(
    tmp_path: Path, dtype: str, bits: int, rounding: str, data: st.DataObject
) -> None:
    shapes = data.draw(st.lists(strategies.shapes(60), min_size=1, max_size=4))
    arrays = {f"t{i}": data.draw(strategies.finite(dtype, s)) for i, s in enumerate(shapes)}
    check(tmp_path, arrays, bits, rounding=rounding)


@given(dtype=FORMATS, bits=BITS, rounding=ROUNDINGS, data=st.data())
def test_axis_scope(
    tmp_path: Path, dtype: str, bits: int, rounding: str, data: st.DataObject
) -> None:
    shapes = data.draw(st.lists(strategies.shapes(80, least_dims=2), min_size=1, max_size=3))
    arrays = {f"t{i}": data.draw(strategies.finite(dtype, s)) for i, s in enumerate(shapes)}
    axis = data.draw(st.sampled_from((-2, -1, 0, 1)))
    check(tmp_path, arrays, bits, rounding=rounding, scope=f"axis:{axis}")


@given(dtype=FORMATS, bits=BITS, rounding=ROUNDINGS, log=st.integers(0, 5), data=st.data())
def test_block_scope(
    tmp_path: Path, dtype: str, bits: int, rounding: str, log: int, data: st.DataObject
) -> None:
    shapes = data.draw(st.lists(strategies.shapes(80), min_size=1, max_size=3))
    arrays = {f"t{i}": data.draw(strategies.finite(dtype, s)) for i, s in enumerate(shapes)}
    check(tmp_path, arrays, bits, rounding=rounding, scope=f"block:{1 << log}")


@given(
    dtype=FORMATS,
    bits=BITS,
    step=st.floats(2.0**-126, 2.0**100, width=32),
    signs=st.sampled_from(("full", "compact")),
    data=st.data(),
)
def test_step(
    tmp_path: Path, dtype: str, bits: int, step: float, signs: str, data: st.DataObject
) -> None:
    array = data.draw(strategies.finite(dtype, data.draw(strategies.shapes(60))))
    if data.draw(st.booleans()):  # where integers are neither all zero nor all the largest
        spread = np.random.default_rng(data.draw(st.integers(0, 99))).standard_normal(array.shape)
        with np.errstate(over="ignore"):
            near = (np.asarray(spread) * step * 2.0 ** data.draw(st.integers(-1, bits))).astype(
                numpy_dtype(dtype)
            )
        array = np.where(np.isfinite(near), near, numpy_dtype(dtype).type(0))
    check(tmp_path, {"w": array}, bits, step=step, signs=signs)


@given(dtype=FORMATS, bits=st.integers(1, 23), rounding=ROUNDINGS, data=st.data())
def test_compact_signs_and_middle_reconstruction(
    tmp_path: Path, dtype: str, bits: int, rounding: str, data: st.DataObject
) -> None:
    array = data.draw(strategies.finite(dtype, data.draw(strategies.shapes(120))))
    check(
        tmp_path,
        {"w": array, "v": array[:3] if array.ndim else array},
        bits,
        rounding=rounding,
        signs=data.draw(st.sampled_from(("full", "compact"))),
        reconstruct=data.draw(st.sampled_from(("low", "mid"))),
    )


@given(
    dtype=FORMATS,
    bits=BITS,
    planes=st.integers(1, 25),
    midpoint=st.sampled_from((None, False, True)),
    signs=st.sampled_from(("full", "compact")),
    data=st.data(),
)
def test_derived_planes(
    tmp_path: Path,
    dtype: str,
    bits: int,
    planes: int,
    midpoint: bool | None,
    signs: str,
    data: st.DataObject,
) -> None:
    array = data.draw(strategies.finite(dtype, data.draw(strategies.shapes(120))))
    check(tmp_path, {"w": array}, bits, planes=planes, midpoint=midpoint, signs=signs)


@pytest.mark.parametrize("rounding", ["nearest", "truncate"])
@pytest.mark.parametrize("dtype", list(FLOATS))
def test_every_number_of_bits(tmp_path: Path, dtype: str, rounding: str) -> None:
    # 24 tensors, each under its own codec, from a plan of 24 rules.
    array = cases.weights(dtype, (9, 23), seed=1)
    rules = [
        f'[[tensor]]\nmatch = "A:{bits}"\ncodec = "bfp(bits={bits},rounding={rounding})"'
        for bits in range(1, 25)
    ]
    plan, path = tmp_path / "plan.toml", tmp_path / "bits.mc"
    plan.write_text("\n".join(rules))
    mcodec.pack({"A": {str(bits): array for bits in range(1, 25)}}, path, plan=plan, jobs=1)
    with mcodec.open(path) as file:
        for name, found in file.task().items():
            bits = int(name)
            coded = formula.encode(
                dtype, array, bits, "tensor", truncate=rounding == "truncate", step=None
            )
            patterns = found.reshape(-1).view(f"<u{FLOATS[dtype].width // 8}").tolist()
            assert patterns == formula.decode(dtype, coded, bits), bits


@pytest.mark.parametrize("dtype", list(FLOATS))
@pytest.mark.parametrize("bits", [1, 8, 12, 24])
def test_the_extremes_of_a_dtype(tmp_path: Path, dtype: str, bits: int) -> None:
    form = FLOATS[dtype]
    infinity = ((1 << form.exponent) - 1) << form.mantissa
    ends = [0, 1, 2, 3, (1 << form.mantissa) - 1, 1 << form.mantissa, infinity - 2, infinity - 1]
    both = ends + [pattern | 1 << (form.width - 1) for pattern in ends]
    array = np.array(both, f"<u{form.width // 8}").view(numpy_dtype(dtype))
    arrays = {
        "all": array,
        "tiny": array[array < numpy_dtype(dtype).type(1e-4)][:3],
        "zero": array[:1],
    }
    arrays |= {f"one{i}": array[i : i + 1] for i in range(len(both))}
    for reconstruct in ("low", "mid") if bits < 24 else ("low",):
        check(tmp_path, arrays, bits, reconstruct=reconstruct)


@pytest.mark.parametrize("scope", ["tensor", "axis:0", "axis:1", "block:64", "block:262144"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_tensor_of_several_blocks(tmp_path: Path, dtype: str, scope: str) -> None:
    array = cases.weights(dtype, (513, 515), seed=3)
    array[::7] *= 16  # so that the scopes differ
    path = pack(tmp_path, {"w": array}, f"bfp(bits=6,scope={scope})")
    mcodec.verify(path, deep=True, against={"A": {"w": array}}, jobs=1)
    with mcodec.open(path, jobs=1) as file:
        found = file.task()["w"].astype(np.float64).reshape(-1)
    of = formula.scopes_of(scope, array.shape)
    exact = np.abs(array.astype(np.float64)).reshape(-1)
    largest = np.zeros(of.max() + 1)
    np.maximum.at(largest, of, exact)
    unit = 2.0 ** (np.frexp(largest)[1][of] - 6.0)  # powers of two: every product below is exact
    expected = np.minimum(np.rint(exact / unit), 63) * unit
    assert np.array_equal(np.abs(found), expected)
    assert np.array_equal(np.signbit(found), np.signbit(array.reshape(-1)))


@given(dtype=FORMATS, bits=BITS, data=st.data())
def test_certificates_are_exact(tmp_path: Path, dtype: str, bits: int, data: st.DataObject) -> None:
    array = data.draw(strategies.finite(dtype, data.draw(strategies.shapes(100))))
    path = pack(tmp_path, {"w": array, "v": array.reshape(-1)[:5]}, f"bfp(bits={bits})")
    with mcodec.open(path) as file:
        decoded = file.task()["w"]
        run = file.reader.manifest.runs[0]
    assert run.errors is not None
    source = array.astype(np.float64).reshape(-1)
    difference = [
        Fraction(float(a)) - Fraction(float(b))
        for a, b in zip(source, decoded.astype(np.float64).reshape(-1), strict=True)
    ]
    certificate = run.errors[0]
    if certificate is None:  # a sum of float64 squares that is infinite
        assert dtype == "float64"
        return
    largest = max(map(abs, difference), default=Fraction(0))
    assert certificate[0] == float(largest)
    noise = float(sum(d * d for d in difference))
    signal = float(sum(Fraction(float(a)) ** 2 for a in source))
    assert certificate[1] == pytest.approx(noise, rel=1e-12, abs=1e-300)
    assert certificate[2] == pytest.approx(signal, rel=1e-12, abs=1e-300)
