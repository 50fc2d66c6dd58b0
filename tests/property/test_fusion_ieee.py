"""Two tasks in IEEE fields (bit fusion as published first): bits, independence, dither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.errors import UsageError
from mcodec.types import FLOATS
from support import cases, strategies

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


def fuse(folder: Path, models: Mapping[str, Any], keeps: Mapping[str, int]) -> Path:
    """Pack models with so many bits of the pattern kept of each."""
    plan = folder / "plan.toml"
    plan.write_text(
        "".join(
            f'[[tensor]]\nmatch = "{task}:*"\ncodec = "float(keep={keep})"\n'
            for task, keep in keeps.items()
        )
    )
    mcodec.pack(models, folder / "x.mc", plan=plan, layout="interleaved", jobs=1)
    return folder / "x.mc"


def numbers(array: NDArray[Any]) -> list[int]:
    return [int(u) for u in array.reshape(-1).view(f"<u{array.itemsize}")]


def by_integers(dtype: str, a: list[int], b: list[int], n: int, m: int) -> list[int]:
    """Take A's sign, exponent and n bits, and B's first m below them, number by number."""
    form = FLOATS[dtype]
    room = form.mantissa - n
    found = []
    for one, two in zip(a, b, strict=True):
        kept = one // 2**room
        low = two % 2**form.mantissa // 2 ** (form.mantissa - m)  # all that is stored of B
        low = low * 2 ** (room - m) if m <= room else low // 2 ** (m - room)
        exponent = one // 2**form.mantissa % 2**form.exponent
        plain = exponent in (0, 2**form.exponent - 1)
        found.append(kept * 2**room + (0 if plain else low))
    return found


@given(data=st.data(), dtype=strategies.float_dtypes)
def test_dither_is_a_above_b(tmp_path: Path, data: st.DataObject, dtype: str) -> None:
    form = FLOATS[dtype]
    shape = data.draw(strategies.shapes(100, least_dims=2))
    a, b = (cases.noise(dtype, shape, data.draw(st.integers(0, 2**32))) for _ in "AB")
    n, m = (data.draw(st.integers(0, form.mantissa)) for _ in "AB")
    keeps = {"A": 1 + form.exponent + n, "B": 1 + form.exponent + m}
    path = fuse(tmp_path, {"A": {"w": a}, "B": {"w": b}}, keeps)
    with mcodec.open(path, jobs=1) as file:
        plain = numbers(file.task("A")["w"])
        assert plain == [u >> form.mantissa - n << form.mantissa - n for u in numbers(a)]
        if not file.reader.manifest.pairs or not m or n == form.mantissa:
            with pytest.raises(UsageError, match="no fused partner"):
                file.task("A", dither=True)
            return
        found = file.task("A", dither=True)["w"]
        assert numbers(found) == by_integers(dtype, numbers(a), numbers(b), n, m)
        with pytest.raises(UsageError, match="no fused partner"):
            file.task("B", dither=True)


def test_several_tensors_blocks_and_tasks(tmp_path: Path) -> None:
    shapes = {"wide": (600, 500), "small": (3, 5), "odd": (7, 9)}
    models = {
        task: {name: cases.weights("float32", shape, seed) for name, shape in shapes.items()}
        for seed, task in enumerate("ABC")
    }
    path = fuse(tmp_path, models, {"A": 20, "B": 18, "C": 12})
    with mcodec.open(path) as file:
        assert file.reader.levels is None
        for task, below, n, m in (("A", "B", 11, 9), ("B", "C", 9, 3)):
            dithered = file.task(task, dither=True)
            for name in shapes:
                ours, theirs = numbers(models[task][name]), numbers(models[below][name])
                expected = by_integers("float32", ours, theirs, n, m)
                assert numbers(dithered[name]) == expected
        part = file.task("A", dither=True).get_slice("wide")[300:302, 7:9]
        whole = file.task("A", dither=True)["wide"]
        assert cases.same_bits(part, whole[300:302, 7:9])


def test_the_exponent_must_be_whole(tmp_path: Path) -> None:
    models = {task: {"w": cases.weights("float32", (9, 9), seed)} for seed, task in enumerate("AB")}
    with mcodec.open(fuse(tmp_path, models, {"A": 8, "B": 20})) as file:
        assert file.reader.manifest.pairs
        with pytest.raises(UsageError, match="no fused partner"):
            file.task("A", dither=True)


def test_a_file_that_is_cut_off_has_no_dither(tmp_path: Path) -> None:
    models = {task: {"w": cases.weights("float32", (90, 90), i)} for i, task in enumerate("AB")}
    mcodec.pack(models, tmp_path / "p.mc", bits=[9, 8], layout="progressive")
    whole = (tmp_path / "p.mc").read_bytes()
    with mcodec.open(tmp_path / "p.mc") as file:
        assert file.task("A", dither=True)["w"].shape == (90, 90)
    (tmp_path / "p.mc").write_bytes(whole[:-300])
    with (
        mcodec.open(tmp_path / "p.mc", partial=True) as file,
        pytest.raises(UsageError, match="the file is cut off"),
    ):
        file.task("A", dither=True)


def test_noise_is_within_a_unit_and_keeps_the_sign(tmp_path: Path) -> None:
    models = {task: cases.network(seed) for seed, task in enumerate("AB", 1)}
    mcodec.pack(models, tmp_path / "x.mc", bits=[12, 11], fusion="v1")
    with mcodec.open(tmp_path / "x.mc") as file:
        masked, dithered = (dict(file.task("A", dither=flag)) for flag in (False, True))
    for name, array in models["A"].items():
        if array.dtype != np.float32 or array.ndim < 2:
            assert cases.same_bits(masked[name], array)
            assert cases.same_bits(dithered[name], array)
            continue
        cut = array.view("u4") >> 11 << 11
        assert masked[name].view("u4").tolist() == cut.tolist()
        unit = np.ldexp(np.float64(1), np.frexp(masked[name])[1] - 1 - 12)
        gap = np.abs(dithered[name].astype(np.float64)) - np.abs(masked[name])
        assert ((gap >= 0) & (gap < unit))[array != 0].all()
        assert gap.any()
        assert np.array_equal(np.signbit(dithered[name]), np.signbit(array))


@given(data=st.data(), dtype=strategies.float_dtypes)
def test_changing_b_changes_no_bit_of_a(tmp_path: Path, data: st.DataObject, dtype: str) -> None:
    form = FLOATS[dtype]
    shape = data.draw(strategies.shapes(100, least_dims=2))
    first, second, other = (
        cases.noise(dtype, shape, data.draw(st.integers(0, 2**32))) for _ in range(3)
    )
    bits = [data.draw(st.integers(1, form.mantissa)) for _ in "AB"]
    found = []
    for below in (second, other):
        models = {"A": {"w": first}, "B": {"w": below}}
        mcodec.pack(models, tmp_path / "x.mc", bits=bits, fusion="v1", jobs=1)
        with mcodec.open(tmp_path / "x.mc", jobs=1) as file:
            found.append((numbers(file.task("A")["w"]), numbers(file.task("B")["w"])))
    rooms = [form.mantissa - count for count in bits]
    assert found[0][0] == found[1][0] == [u >> rooms[0] << rooms[0] for u in numbers(first)]
    assert found[1][1] == [u >> rooms[1] << rooms[1] for u in numbers(other)]
