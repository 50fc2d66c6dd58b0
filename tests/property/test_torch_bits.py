"""Any family, any codec, any order of switches: the model always is the task, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from support import strategies, torch_models

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

DTYPES = ("float32", "float16", "bfloat16", "float64", "int8", "uint16", "bool", "complex64")
CODECS = (
    None,
    "raw",
    "float",
    "float(keep=9)",
    "bfp(bits=6)",
    "bfp(bits=5,scope=block:16,reconstruct=mid)",
    "bfp(bits=3,step=0.25,signs=compact)",
    "int8",
)


@st.composite
def families(draw: st.DrawFn) -> dict[str, dict[str, NDArray[Any]]]:
    """Draw tasks of one geometry: tensors that all share, that some share, and finite or not."""
    kinds = draw(st.lists(st.tuples(st.sampled_from(DTYPES), strategies.shapes()), max_size=5))
    tasks: dict[str, dict[str, NDArray[Any]]] = {name: {} for name in "ABC"}
    for number, (dtype, shape) in enumerate(kinds):
        floats = dtype in ("float32", "float16", "bfloat16", "float64")
        base: NDArray[Any] | None = None
        for arrays in tasks.values():
            if base is None or draw(st.booleans()):
                if floats and draw(st.booleans()):
                    base = draw(strategies.finite(dtype, shape))
                else:
                    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
                    from support.cases import noise

                    base = noise(dtype, shape, int(rng.integers(1 << 30)))
            arrays[f"w{number}"] = base
    return tasks


@given(
    models=families(),
    codec=st.sampled_from(CODECS),
    resident=st.sampled_from(("file", "planes", "weights")),
    order=st.lists(st.tuples(st.sampled_from("ABC"), st.booleans()), max_size=8),
)
def test_any_family(
    tmp_path: Path,
    models: dict[str, dict[str, NDArray[Any]]],
    codec: str | None,
    resident: str,
    order: list[tuple[str, bool]],
) -> None:
    path = tmp_path / "x.mc"
    plan = tmp_path / "plan.toml"
    # A plan, since a codec that cannot take a tensor is then no error where another can.
    plan.write_text("" if codec is None else f'[[tensor]]\nmatch = "*"\ncodec = "{codec}"')
    try:
        mcodec.pack(models, path, plan=plan if codec else None, jobs=1)
    except mcodec.errors.McodecError:  # of dtypes that it does not take
        mcodec.pack(models, path, jobs=1)
    with mcodec.open(path, jobs=1) as file:
        bits = {name: torch_models.bits_of(file.task(name).load()) for name in file.tasks}
    model = torch_models.holder(models["A"], zero=True)
    with mcodec.torch.TaskSwitcher(
        model, path, resident=resident, rename=torch_models.key, jobs=1
    ) as tasks:
        for name, force in order:
            tasks.switch(name, force=force)
            assert torch_models.bits(model) == bits[name]
            loaded = mcodec.torch.load_file(path, name, jobs=1)
            found = {torch_models.key(k): torch_models.raw(v) for k, v in loaded.items()}
            assert found == bits[name]
