"""Torch tensors as values of a mapping, every bit of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import mcodec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_every_dtype_that_torch_shares_with_us(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    bits = torch.arange(256, dtype=torch.uint8)
    wide = torch.arange(-32768, 32768, dtype=torch.int32).to(torch.int16)
    tensors = {
        "f32": torch.randn(3, 4, requires_grad=True),
        "turned": torch.randn(5, 7).T,
        "bf16": wide.view(torch.bfloat16),
        "e4m3": bits.view(torch.float8_e4m3fn),
        "e5m2": bits.view(torch.float8_e5m2),
        "i64": torch.tensor(7),
        "bool": torch.tensor([True, False]),
    }
    mcodec.pack({"A": tensors}, tmp_path / "t.mc")
    with mcodec.open(tmp_path / "t.mc") as file:
        task = file.task("A")
        for name, tensor in tensors.items():
            array = task[name]
            assert array.shape == tuple(tensor.shape)
            assert str(array.dtype) == str(tensor.dtype).removeprefix("torch.")
            plain = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
            assert array.tobytes() == plain.numpy().tobytes()
