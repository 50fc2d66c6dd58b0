"""Which tensors are weights: what may be pruned and quantised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mcodec.api.sources import ArraySource
from mcodec.api.weights import choose_weights

if TYPE_CHECKING:
    from collections.abc import Mapping


def source(shapes: Mapping[str, tuple[int, ...]], dtype: str = "float32") -> ArraySource:
    return ArraySource({name: np.zeros(shape, dtype) for name, shape in shapes.items()})


def names(model: ArraySource, **patterns: Any) -> list[str]:
    return [model.tensors[index].name for index in choose_weights(model, **patterns)]


@pytest.mark.parametrize(
    "name",
    [
        "dense/kernel:0",
        "conv.weight",
        "layers/dense/vars/0",
        "embeddings",
        "bias_net.0.weight",
        "scaled.weight",
        "a\nb",
        "",
    ],
)
def test_weights(name: str) -> None:
    assert names(source({name: (2, 3)})) == [name]
    assert names(source({name: (6,)})) == []
    assert names(source({name: ()})) == []


@pytest.mark.parametrize(
    "name",
    [
        "bias",
        "attention/query/bias:0",
        "encoder.in_proj_bias",
        "lstm.bias_ih_l0_reverse",
        "relative_position_bias_table",
        "relative_attention_bias.weight",
        "norm/gamma:0",
        "norm/beta",
        "bn.running_mean",
        "bn/moving_variance:0",
        "optimizer/vars/3",
        "optimizer_weights/adam/m/kernel:0",
        "optimizer_state_dict.state.0.exp_avg",
    ],
)
def test_what_is_no_weight(name: str) -> None:
    assert names(source({name: (2, 3)})) == []


@pytest.mark.parametrize("dtype", ["int8", "int32", "bool", "complex64", "uint8"])
def test_only_floats(dtype: str) -> None:
    assert names(source({"w": (2, 3)}, dtype)) == []


def test_a_layer_of_keras_3_numbers_its_variables() -> None:
    model = source(
        {
            "layers/attention/query/vars/0": (12, 2, 3),
            "layers/attention/query/vars/1": (2, 3),  # a bias
            "layers/gru/cell/vars/0": (12, 18),
            "layers/gru/cell/vars/1": (6, 18),
            "layers/gru/cell/vars/2": (2, 18),  # two biases
            "layers/separable/vars/0": (3, 3, 8, 1),
            "layers/separable/vars/1": (1, 1, 8, 16),
            "layers/rnn/vars/0": (2, 18),
            "layers/rnn/vars/1": (18, 18),
            "layers/rnn/vars/2": (18, 18),
        }
    )
    weights = names(model)
    assert "layers/attention/query/vars/1" not in weights
    assert "layers/gru/cell/vars/2" not in weights
    assert len(weights) == len(model.tensors) - 2


def test_scales_of_integers() -> None:
    model = ArraySource(
        {
            "layers/einsum/vars/0": np.zeros((7, 3, 5), np.int8),
            "layers/einsum/vars/1": np.zeros((3, 5), np.float32),
            "layers/einsum/vars/2": np.zeros((1, 3, 5), np.float32),
            "layers/dense/vars/0": np.zeros((7, 3), np.float32),
        }
    )
    assert names(model) == ["layers/dense/vars/0"]
    model = ArraySource(
        {"w": np.zeros((4, 4), np.int8), "w.scale": np.ones((4, 1)), "v": np.eye(2)}
    )
    assert names(model) == ["v"]


def test_patterns() -> None:
    model = source({"a/kernel": (2, 2), "b/kernel": (2, 2), "b/other": (2, 2), "b/bias": (2, 2)})
    warnings: list[str] = []
    assert names(model, include=["b/*"]) == ["b/kernel", "b/other"]
    assert names(model, exclude=["b/*"]) == ["a/kernel"]
    assert names(model, include=["*/kernel"], exclude=["a*", "c*"], warn=warnings.append) == [
        "b/kernel"
    ]
    assert warnings == ["the pattern 'c*' matches no weight"]
    assert names(model, include=["b/bias"], warn=warnings.append) == []
    assert len(warnings) == 2


def test_an_array_of_two_names_is_one() -> None:
    model = source({"embed.weight": (4, 4), "head.weight": (4, 4), "w": (2, 2), "w.bias": (2, 2)})
    model.same_as = {1: 0, 3: 2}
    assert names(model) == ["embed.weight"]  # the other is a bias, too
    assert names(model, include=["head*"]) == ["embed.weight"]
    assert names(model, exclude=["head*"]) == []
