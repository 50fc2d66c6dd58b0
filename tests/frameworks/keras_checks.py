"""Checks of `mcodec.keras` with real models; run as a script, for Keras chooses a backend once.

    python keras_checks.py FOLDER [PATH …]

Each check gets a folder of its own under FOLDER; PATHs are put behind the interpreter's own, for an
environment that has no mcodec. Prints ``OK`` and the name of each check that held.
"""

from __future__ import annotations

import sys

sys.path += sys.argv[2:]

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

import mcodec
import mcodec.keras

layers = keras.layers


def dense() -> Any:
    return keras.Sequential([keras.Input((6,)), layers.Dense(5, "relu"), layers.Dense(3)])


def convolution() -> Any:
    return keras.Sequential([
        keras.Input((6, 6, 2)), layers.Conv2D(3, 3), layers.BatchNormalization(),
        layers.DepthwiseConv2D(2), layers.Flatten(), layers.Dropout(0.5), layers.Dense(2),
    ])  # fmt: skip


def nested() -> Any:
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(6), layers.LayerNormalization()])
    x = keras.Input((6,))
    return keras.Model(x, layers.Dense(2)(layers.Add()([inner(x), layers.Dense(6)(x)])))


def shared() -> Any:
    one, a, b = layers.Dense(4), keras.Input((6,)), keras.Input((6,))
    return keras.Model([a, b], layers.Dense(2)(layers.Concatenate()([one(a), one(b)])))


MODELS = (dense, convolution, nested, shared)
FILES = ("x.keras", "x.weights.h5", "x.h5", "x.weights.json")


def inputs(model: Any) -> Any:
    random = np.random.default_rng(5)
    made = [random.normal(size=(2, *one.shape[1:])).astype("float32") for one in model.inputs]
    return made[0] if len(made) == 1 else made


def stir(model: Any, seed: int) -> Any:
    """Give every weight a value that no initializer gives it."""
    random = np.random.default_rng(seed)
    model.set_weights(
        [random.uniform(0.5, 2, w.shape).astype(w.dtype) for w in model.get_weights()]
    )
    return model


def save(model: Any, path: Path) -> Path:
    if path.name.endswith((".weights.h5", ".weights.json")):
        sharded = {"max_shard_size": 2.2e-7} if path.suffix == ".json" else {}
        model.save_weights(path, **sharded)
        return path
    model.save(path)
    return path


def values(variables: Any) -> list[bytes]:
    return [keras.ops.convert_to_numpy(one).tobytes() for one in variables]


def same(ours: Any, theirs: Any) -> None:
    assert values(ours.weights) == values(theirs.weights)
    x = inputs(theirs)
    a, b = (keras.ops.convert_to_numpy(one(x)) for one in (ours, theirs))
    assert a.tobytes() == b.tobytes()


def refused(kind: type[Exception], model: Any, path: Path, *words: str, **options: Any) -> None:
    """Check that loading fails with these words in one line, and leaves the model alone."""
    before = values(model.variables) if isinstance(model, keras.Model) and model.built else []
    line = ""
    try:
        mcodec.keras.load_weights(model, path, **options)
    except kind as error:
        found: Exception = error
        line = str(error)
    assert line, "it was loaded"
    assert isinstance(found, mcodec.errors.McodecError)
    assert "\n" not in line
    assert all(word in line for word in words), line
    assert not before or values(model.variables) == before


def check_files_of_keras(folder: Path) -> None:
    tempfile.tempdir = str(folder / "temporary")
    Path(tempfile.tempdir).mkdir()
    for make in MODELS:
        for name in FILES:
            place = folder / f"{make.__name__} {name}"
            both = [stir(make(), seed) for seed in (1, 2)]
            paths = []
            for model, task in zip(both, "AB", strict=True):
                (place / task).mkdir(parents=True)
                paths.append(save(model, place / task / name))
            mcodec.pack(paths, place / "fused.mc", jobs=1)
            third = make()
            for model, task in zip(both, "AB", strict=True):
                mcodec.keras.load_weights(third, place / "fused.mc", task, jobs=1)
                same(third, model)
    assert not list(Path(tempfile.tempdir).iterdir())
    tempfile.tempdir = None


def check_a_file_that_was_converted(folder: Path) -> None:
    for name in ("x.keras", "x.h5"):
        model = stir(convolution(), 1)
        mcodec.convert(save(model, folder / name), folder / "x.safetensors")
        mcodec.pack(folder / "x.safetensors", folder / "x.mc", jobs=1)
        other = convolution()
        mcodec.keras.load_weights(other, str(folder / "x.mc"))
        same(other, model)


def check_optimizer_state(folder: Path) -> None:
    trained, other = dense(), dense()
    for model in (trained, other):
        model.compile("adam", "mse")
        model.fit(np.ones((4, 6)), np.zeros((4, 3)), epochs=1 + (model is trained), verbose=0)
    mcodec.pack(save(trained, folder / "x.weights.h5"), folder / "x.mc", jobs=1)
    mcodec.keras.load_weights(other, folder / "x.mc")
    same(other, trained)
    state = [values(model.optimizer.variables) for model in (trained, other)]
    assert state[0] == state[1]
    assert len(state[0]) > 8


def check_fewer_planes(folder: Path) -> None:
    model, other = stir(dense(), 1), dense()
    mcodec.pack(save(model, folder / "x.h5"), folder / "x.mc", bits=12, jobs=1)
    mcodec.keras.load_weights(other, folder / "x.mc", planes=4)
    pairs = zip(other.get_weights(), model.get_weights(), strict=True)
    assert all(0 < np.abs(a - b).max() < 0.3 for a, b in pairs if a.ndim > 1)


def named() -> Any:
    return keras.Sequential(
        [
            keras.Input((6,), name="in"), layers.Dense(5, name="first"), layers.Dropout(0.5),
            layers.BatchNormalization(name="norm"), layers.Dense(3, name="last"),
        ],
        name="net",
    )  # fmt: skip


def arrays(model: Any) -> dict[str, Any]:
    return {one.path: keras.ops.convert_to_numpy(one) for one in model.weights}


def check_names_of_variables(folder: Path) -> None:
    both, third = [stir(named(), seed) for seed in (1, 2)], named()
    tasks = dict(zip("AB", map(arrays, both), strict=True))
    mcodec.pack(tasks, folder / "x.mc", jobs=1)
    for model, task in zip(both, "AB", strict=True):
        mcodec.keras.load_weights(third, folder / "x.mc", task)
        same(third, model)
    for suffix in ("safetensors", "npz", "h5"):  # no file of Keras, but its names
        mcodec.unpack(folder / "x.mc", "B", folder / f"x.{suffix}")
        mcodec.pack(folder / f"x.{suffix}", folder / "y.mc", jobs=1)
        mcodec.keras.load_weights(stir(third, 3), folder / "y.mc")
        same(third, both[1])


def check_names_that_differ(folder: Path) -> None:
    right = arrays(stir(named(), 1))
    kernel = "net/last/kernel"
    wrong: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
        "missing": ({k: v for k, v in right.items() if k != kernel}, ("lacks", kernel)),
        "extra": ({**right, "more": np.ones(3)}, ("the model has no more",)),
        "shape": ({**right, kernel: right[kernel][:-1]}, (kernel, "[4, 3]", "[5, 3]")),
        "none": ({"w": np.ones(3)}, ("lacks", "net/first/kernel", "and 3 more", "has no w")),
    }
    for name, (tensors, words) in wrong.items():
        mcodec.pack({"A": tensors}, folder / f"{name}.mc", jobs=1)
        refused(mcodec.errors.UsageError, named(), folder / f"{name}.mc", "task 'A'", *words)
    import h5py

    with h5py.File(folder / "plain.h5", "w") as file:
        file["a/b"] = np.ones(3)
    mcodec.pack(folder / "plain.h5", folder / "plain.mc", jobs=1)
    refused(mcodec.errors.UsageError, named(), folder / "plain.mc", "the model has no a/b")


def check_another_architecture(folder: Path) -> None:
    def wider() -> Any:  # the first layer fits
        return keras.Sequential([keras.Input((6,)), layers.Dense(5, "relu"), layers.Dense(4)])

    for name in FILES:
        (folder / name).mkdir()
        path = save(stir(wider(), 1), folder / name / name)
        mcodec.pack(path, folder / "x.mc", jobs=1)
        refused(mcodec.errors.UsageError, dense(), folder / "x.mc", "Keras cannot load it")
        other = stir(wider(), 2)
        mcodec.keras.load_weights(other, folder / "x.mc")
        same(other, stir(wider(), 1))


def check_damage(folder: Path) -> None:
    model = named()
    mcodec.pack({"A": {**arrays(model), "net/last/bias": np.full(3, 7, np.int64)}}, folder / "x.mc")
    with mcodec.open(folder / "x.mc") as file:  # in what is read last
        run = file.task().place("net/last/bias")[0]
        row = next(row for row in file.reader.rows(run, 0) if row.stored)
    data = bytearray((folder / "x.mc").read_bytes())
    data[row.offset] ^= 1
    (folder / "x.mc").write_bytes(data)
    refused(mcodec.errors.FormatError, stir(model, 4), folder / "x.mc", "net/last/bias")


def check_what_is_no_built_model(folder: Path) -> None:
    mcodec.pack({"A": {"w": np.ones(3)}, "B": {"w": np.ones(3)}}, folder / "x.mc", jobs=1)
    unbuilt = keras.Sequential([layers.Dense(3)])
    for thing, word in ((unbuilt, "is not built"), (layers.Dense(3), "no keras.Model"), (3, "int")):
        refused(mcodec.errors.UsageError, thing, folder / "x.mc", word, task="A")
    refused(mcodec.errors.UsageError, dense(), folder / "x.mc", "choose one: 'A', 'B'")
    refused(mcodec.errors.UnknownTaskError, dense(), folder / "x.mc", "no task 'C'", task="C")
    refused(mcodec.errors.InputOutputError, dense(), folder / "absent.mc", "absent.mc")


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            (Path(sys.argv[1]) / name).mkdir()
            check(Path(sys.argv[1]) / name)
            print("OK", name)
