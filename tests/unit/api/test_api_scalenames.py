"""Scales of integers are known by their names, whoever quantised the model."""

from __future__ import annotations

import pytest

from mcodec.api.scalenames import scales_of
from mcodec.types import TensorSpec


def specs(*tensors: str) -> list[TensorSpec]:
    """Make tensors of ``name:dtype``."""
    pairs = (text.rsplit(":", 1) for text in tensors)
    return [TensorSpec(name, dtype, (4, 4)) for name, dtype in pairs]


@pytest.mark.parametrize(
    ("tensors", "scales"),
    [
        (["kernel:int8", "kernel_scale:float32", "bias:float32"], ["kernel_scale"]),
        (["a/kernel:int8", "a/kernel_scale:float32", "b/kernel_scale:float32"], ["a/kernel_scale"]),
        (["w:int8", "w.scale:float32"], ["w.scale"]),
        (["w:uint8", "w_scale:float16", "w_zero:float16"], ["w_scale", "w_zero"]),
        (["w:uint8", "w_zero_point:float32", "w_zeros.1:bfloat16"], ["w_zero_point", "w_zeros.1"]),
        (["w:float8_e4m3fn", "w_scale_inv:float32"], ["w_scale_inv"]),
        (["m_quantized:int8", "m_scale:float32", "n_scale:float32"], ["m_scale"]),
        (["l.weight_packed:int32", "l.weight_scale:bfloat16"], ["l.weight_scale"]),
        (["l.qweight:int32", "l.scales:float16", "l.qzeros:int32"], ["l.scales"]),
        (["l.weight:uint32", "l.scales:float16", "l.biases:float16"], ["l.scales", "l.biases"]),
        (["w:int8", "scale:float32"], ["scale"]),
        (["w:uint8", "w/absmax:float32", "w/quant_map:float32"], ["w/absmax"]),
        (
            ["x/vars/0:int8", "x/vars/1:float32", "x/vars/10:float32", "y/vars/1:float32"],
            ["x/vars/1", "x/vars/10"],
        ),
        (["w:float32", "w_scale:float32", "w.scale:float64"], []),
        (["w:bool", "w_scale:float32", "step:int32", "scale:float32"], []),
        (["w:int8", "w_scaled_scale:float32", "rescale:float32", "wscale:float32"], []),
        (["w:int8", "w_scale:int32"], []),
        (["a\nb:int8", "a\nb_scale:float32"], ["a\nb_scale"]),
        (["w:V18", "w_scale:float32"], []),
        ([], []),
    ],
)
def test_scales_by_name(tensors: list[str], scales: list[str]) -> None:
    assert scales_of(specs(*tensors)) == set(scales)
    assert scales_of(iter(specs(*tensors[::-1]))) == set(scales)
