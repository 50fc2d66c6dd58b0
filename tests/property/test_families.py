"""Families of networks, of any kind of kinship, come back bit for bit (design, section 4).

What a family is made of is drawn: layers that stay, are fine-tuned, masked, pruned, replaced by
another shape, dropped or added, in any dtype. Whatever `auto` finds, every task is what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

DTYPES = ("float32", "float16", "bfloat16", "float64", "int8")
SHAPES = ((), (0,), (7,), (130, 127), (16_384,), (33,), (128, 128), (3, 3, 8, 16))
KINSHIPS = (
    "same",
    "tuned",
    "masked",
    "signed",
    "nested",
    "pruned",
    "new",
    "wild",
    "reshaped",
    "gone",
)


def weights(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Make weights of any dtype."""
    if dtype == "int8":
        return rng.integers(-128, 128, shape, np.int8)
    return (rng.normal(size=shape) * 0.05).astype(numpy_dtype(dtype))


def tuned(rng: np.random.Generator, base: NDArray[Any]) -> NDArray[Any]:
    """Move every weight by some percent."""
    found: NDArray[Any] = (base + base * np.asarray(rng.normal(size=base.shape) * 0.02)).astype(
        base.dtype
    )
    return found


def masked(share: NDArray[Any] | float, base: NDArray[Any], keep: float) -> NDArray[Any]:
    """Keep the weights whose share is below."""
    return np.where(share < keep, base, np.zeros((), base.dtype))


def nested(rng: np.random.Generator, base: NDArray[Any]) -> NDArray[Any]:
    """Mask so that the masks of all variants are cuts of one order."""
    order = np.random.default_rng(1).random(base.shape)
    return masked(order, base, rng.choice([0.2, 0.5, 0.8]))


def wild(rng: np.random.Generator, base: NDArray[Any]) -> NDArray[Any]:
    """Make any bits: NaN with payloads, infinities, subnormals, -0.0."""
    return np.frombuffer(rng.bytes(base.nbytes), base.dtype).reshape(base.shape)


KIN: dict[str, Callable[[np.random.Generator, NDArray[Any]], NDArray[Any] | None]] = {
    "same": lambda rng, base: base.copy(),
    "gone": lambda rng, base: None,
    "tuned": tuned,
    "masked": lambda rng, base: masked(rng.random(base.shape), base, 0.5),
    "signed": lambda rng, base: np.asarray(
        base * (rng.random(base.shape) < 0.7).astype(base.dtype)
    ),
    "nested": nested,
    "pruned": lambda rng, base: masked(rng.random(base.shape), tuned(rng, base), 0.1),
    "wild": wild,
    "reshaped": lambda rng, base: weights(rng, base.dtype.name, (*base.shape, 3)),
    "new": lambda rng, base: weights(rng, base.dtype.name, base.shape),
}


@st.composite
def families(draw: st.DrawFn) -> dict[str, dict[str, NDArray[Any]]]:
    """Draw a base and some variants."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from(DTYPES))
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4))
    base = {f"layer_{i}/w": weights(rng, dtype, shape) for i, shape in enumerate(shapes)}
    family = {"base": base}
    for number in range(draw(st.integers(1, 3))):
        renamed = 5 * draw(st.booleans())  # Keras numbers layers anew in every process
        variant = {}
        for i, (name, array) in enumerate(base.items()):
            found = KIN[draw(st.sampled_from(sorted(KIN)))](rng, array)
            if found is not None:
                variant[f"layer_{i + renamed}/w" if renamed else name] = found
        family[f"v{number}"] = variant
    return family


@given(families(), st.sampled_from(["load", "file"]))
@pytest.mark.parametrize("layout", ["task", "interleaved"])
def test_every_task_of_a_family_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    layout: str,
    family: dict[str, dict[str, NDArray[Any]]],
    optimize: str,
) -> None:
    path: Path = tmp_path_factory.mktemp("family") / "family.mc"
    report = mcodec.pack(family, path, optimize=optimize, layout=layout, jobs=1)
    assert report.optimize == optimize
    assert mcodec.verify(path, deep=True).differences == ()
    with mcodec.open(path, jobs=1) as file:
        for name, model in family.items():
            task = file.task(name)
            assert list(task) == list(model)
            for key, array in model.items():
                assert task[key].shape == array.shape
                assert task[key].dtype == array.dtype
                assert task[key].tobytes() == array.tobytes()
                assert task.get_slice(key)[...].tobytes() == array.tobytes()


def test_the_same_bytes_for_any_number_of_threads(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    base = {f"w{i}": weights(rng, "float32", (200, 200)) for i in range(9)}
    kinds = [kinship for kinship in KIN if kinship != "gone"]
    family: dict[str, dict[str, NDArray[Any]]] = {"base": base}
    for number in (1, 2):
        family[f"v{number}"] = {}
        for kinship, (name, array) in zip(kinds, base.items(), strict=True):
            found = KIN[kinship](rng, array)
            assert found is not None
            family[f"v{number}"][name] = found
    for optimize in ("load", "file"):
        for jobs in (1, 3):
            mcodec.pack(family, tmp_path / f"{jobs}.mc", optimize=optimize, jobs=jobs)
        assert (tmp_path / "1.mc").read_bytes() == (tmp_path / "3.mc").read_bytes()
