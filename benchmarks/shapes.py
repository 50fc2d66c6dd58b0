"""The networks of papers 001 and 003: shapes by loops, and weights as training leaves them.

    python benchmarks/shapes.py

prints what they count to. DenseNets are Keras' (`keras.applications`) with a head of 10 classes,
kernels in HWIO; ResNet18 is PyTorch's with a 3x3 stem, kernels in OIHW. Weights are normal numbers
of He's standard deviation, seeded; none of these networks has published weights for these data.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Shapes = dict[str, tuple[int, ...]]

DENSE_BLOCKS: Final = {"DenseNet121": (6, 12, 24, 16), "DenseNet201": (6, 12, 48, 32)}
GROWTH: Final = 32
KERAS_NORM: Final = ("gamma", "beta", "moving_mean", "moving_variance")
TORCH_NORM: Final = ("weight", "bias", "running_mean", "running_var")

# What the shapes have to count to: kernels (dense ones too), trainable, all that Keras keeps.
DENSENET_COUNTS: Final = {
    "DenseNet121": (6_880_448, 6_964_106, 7_047_754),
    "DenseNet201": (17_883_072, 18_112_138, 18_341_194),
}
RESNET_CONV: Final = 11_159_232
RESNET_TRAINABLE: Final = {10: 11_173_962, 100: 11_220_132}


def densenet(name: str, classes: int = 10) -> Shapes:
    """Return names and shapes of a DenseNet in Keras' order.

    Parameters
    ----------
    name
        A key of `DENSE_BLOCKS`.
    classes
        Outputs of the head.
    """
    shapes: Shapes = {}

    def convolution(layer: str, side: int, inputs: int, outputs: int) -> None:
        shapes[f"{layer}/kernel"] = (side, side, inputs, outputs)

    def norm(layer: str, channels: int) -> None:
        shapes.update({f"{layer}/{kind}": (channels,) for kind in KERAS_NORM})

    channels = 2 * GROWTH
    convolution("conv1_conv", 7, 3, channels)
    norm("conv1_bn", channels)
    for stage, layers in enumerate(DENSE_BLOCKS[name], start=2):
        for layer in range(1, layers + 1):
            block = f"conv{stage}_block{layer}"
            norm(f"{block}_0_bn", channels)
            convolution(f"{block}_1_conv", 1, channels, 4 * GROWTH)
            norm(f"{block}_1_bn", 4 * GROWTH)
            convolution(f"{block}_2_conv", 3, 4 * GROWTH, GROWTH)
            channels += GROWTH
        if stage <= len(DENSE_BLOCKS[name]):
            norm(f"pool{stage}_bn", channels)
            convolution(f"pool{stage}_conv", 1, channels, channels // 2)
            channels //= 2
    norm("bn", channels)
    shapes |= {"predictions/kernel": (channels, classes), "predictions/bias": (classes,)}
    return shapes


def resnet18(classes: int) -> Shapes:
    """Return names and shapes of a ResNet18 with a 3x3 stem, in PyTorch's order."""
    shapes: Shapes = {}

    def convolution(layer: str, side: int, inputs: int, outputs: int) -> None:
        shapes[f"{layer}.weight"] = (outputs, inputs, side, side)

    def norm(layer: str, channels: int) -> None:
        shapes.update({f"{layer}.{kind}": (channels,) for kind in TORCH_NORM})

    convolution("conv1", 3, 3, 64)
    norm("bn1", 64)
    inputs = 64
    for stage, outputs in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            for number, before in ((1, inputs), (2, outputs)):
                convolution(f"{name}.conv{number}", 3, before, outputs)
                norm(f"{name}.bn{number}", outputs)
            if inputs != outputs:
                convolution(f"{name}.downsample.0", 1, inputs, outputs)
                norm(f"{name}.downsample.1", outputs)
            inputs = outputs
    shapes |= {"fc.weight": (classes, inputs), "fc.bias": (classes,)}
    return shapes


def is_kernel(shape: tuple[int, ...]) -> bool:
    """Whether a tensor is a kernel: what is pruned, and what tasks share."""
    return len(shape) > 1


def weights(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Return float32 weights; the same ones for a name, a shape and a seed, in any network."""
    return {name: _values(name, shape, seed) for name, shape in shapes.items()}


def _values(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), *shape])
    kind = name.replace(".", "/").rpartition("/")[2]
    if is_kernel(shape):
        outputs = shape[0] if kind == "weight" else shape[-1]
        values = rng.standard_normal(shape) * math.sqrt(2 * outputs / math.prod(shape))
    elif kind in ("moving_variance", "running_var"):
        values = rng.lognormal(-1.0, 0.8, shape)
    elif kind in ("gamma", "weight"):
        values = np.abs(rng.normal(0.9, 0.25, shape))
    elif kind in ("moving_mean", "running_mean"):
        values = rng.normal(-0.1, 0.4, shape)
    else:
        values = rng.normal(-0.05, 0.2, shape)
    return values.astype(np.float32)


def _size(shapes: Mapping[str, tuple[int, ...]], names: Iterator[str] | None = None) -> int:
    return sum(math.prod(shapes[name]) for name in names or shapes)


def check() -> Iterator[str]:
    """Compare all counts with those that they have to be, and say what they are.

    Raises
    ------
    SystemExit
        A count is another one.
    """
    for name, expected in DENSENET_COUNTS.items():
        shapes = densenet(name)
        kernels = _size(shapes, (n for n, shape in shapes.items() if is_kernel(shape)))
        trainable = _size(shapes, (n for n in shapes if "/moving_" not in n))
        found = (kernels, trainable, _size(shapes))
        if found != expected:
            raise SystemExit(f"{name} counts {found}, not {expected}")
        yield f"{name}: {len(shapes)} tensors, kernels, trainable, all: {found}"
    for classes, total in RESNET_TRAINABLE.items():
        shapes = resnet18(classes)
        conv = _size(shapes, (n for n, shape in shapes.items() if len(shape) == 4))
        trainable = _size(shapes, (n for n in shapes if ".running_" not in n))
        if (conv, trainable) != (RESNET_CONV, total):
            raise SystemExit(f"ResNet18 of {classes} counts {conv}, {trainable}")
        yield f"ResNet18 of {classes}: {len(shapes)} tensors; convolutions, trainable {conv, total}"


if __name__ == "__main__":
    print(*check(), sep="\n")
