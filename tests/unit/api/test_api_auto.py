"""What `pack --codec auto` finds and chooses, and what it says of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.api.families import find_families
from mcodec.errors import UsageError
from mcodec.types import TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mcodec.api.packreport import PackReport

SHAPE = (150, 200)  # a run of its own


def weights(seed: int, shape: tuple[int, ...] = SHAPE) -> NDArray[Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def keep(array: NDArray[Any], share: float, seed: int = 9) -> NDArray[Any]:
    """Set all but a share of the weights to zero."""
    chosen = np.random.default_rng(seed).random(array.shape) < share
    return np.where(chosen, array, np.float32(0))


def pack(folder: Path, models: dict[str, dict[str, Any]], **options: Any) -> PackReport:
    """Pack, and check that everything comes back."""
    path = folder / "x.mc"
    report = mcodec.pack(models, path, **options)
    with mcodec.open(path) as file:
        for name, model in models.items():
            task = file.task(name)
            assert {key: task[key].tobytes() for key in task} == {
                key: array.tobytes() for key, array in model.items()
            }
    return report


def codecs(report: PackReport) -> dict[str, str]:
    return {
        f"{row.task}:{name}": row.codec.partition("(")[0]
        for row in report.choices
        for name in row.tensors
    }


def test_what_is_sparse_is_stored_sparse_and_what_is_not_is_not(tmp_path: Path) -> None:
    model = {"dense": weights(0), "few": keep(weights(1), 0.999), "pruned": keep(weights(2), 0.2)}
    report = pack(tmp_path, {"A": model | {"small": keep(weights(3, (40, 40)), 0.1)}})
    assert codecs(report) == {
        "A:dense": "float",
        "A:few": "float",
        "A:pruned": "csr",
        "A:small": "csr",
    }
    (pruned,) = (row for row in report.choices if row.tensors == ("pruned",))
    assert set(pruned.costs) == {"float", "csr"}
    assert pruned.file_bytes < pruned.float_bytes / 2


def test_equal_tensors_are_stored_once_within_a_task_and_between_tasks(tmp_path: Path) -> None:
    shared = weights(0)
    one = {"a": shared, "b": shared.copy(), "own": weights(1)}
    report = pack(tmp_path, {"A": one, "B": {"other": shared.copy(), "own": weights(2)}})
    assert {name for name, codec in codecs(report).items() if codec == "alias"} == {
        "A:b",
        "B:other",
    }
    first, second = (cost.row for cost in report.tasks)
    assert first.shared_bytes == second.shared_bytes > 0
    assert report.file_bytes < 3.1 * shared.nbytes


def test_equal_is_not_tied(tmp_path: Path) -> None:
    """Arrays that happen to be equal leave as arrays of their own, tied ones as one."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"] = weights(0)
        file["equal"] = weights(0)
        file["tied"] = file["one"]
    mcodec.pack(tmp_path / "a.h5", tmp_path / "x.mc")
    mcodec.unpack(tmp_path / "x.mc", None, tmp_path / "back.h5")
    assert mcodec.diff(tmp_path / "a.h5", tmp_path / "back.h5").same
    with h5py.File(tmp_path / "back.h5") as file:
        assert file["one"] == file["tied"]  # one object
        assert file["one"] != file["equal"]
    with mcodec.open(tmp_path / "x.mc") as opened:
        task = opened.task()
        assert len({task.place(name) for name in task}) == 1


def test_a_few_equal_bytes_of_two_tasks_are_not_worth_a_run(tmp_path: Path) -> None:
    models = {
        name: {"step": np.zeros(4, np.float32), "w": weights(i)} for i, name in enumerate("AB")
    }
    report = pack(tmp_path, models)
    assert "alias" not in codecs(report).values()


@pytest.mark.parametrize("zero", [np.float32(0), np.float32(-0.0)])
def test_a_masked_network_is_told_from_its_base(tmp_path: Path, zero: np.float32) -> None:
    base = weights(0)
    masked = keep(base, 0.6)
    if np.signbit(zero):
        masked = base * (masked != 0)  # -0.0 where a negative weight is masked
    report = pack(tmp_path, {"base": {"w": base}, "v1": {"w": masked}}, optimize="file")
    assert codecs(report)["v1:w"] == "mask"
    assert report.tasks[1].row.stored_bytes < base.size / 8 + 200
    assert codecs(pack(tmp_path, {"base": {"w": base}, "v1": {"w": masked}}))["v1:w"] == "csr"


def test_the_first_task_may_be_the_masked_one(tmp_path: Path) -> None:
    base = weights(0)
    report = pack(tmp_path, {"A": {"w": keep(base, 0.5)}, "B": {"w": base}}, optimize="file")
    assert codecs(report) == {"A:w": "mask", "B:w": "float"}


def test_nested_masks_share_an_owner_map(tmp_path: Path) -> None:
    base = weights(0)
    models = {
        f"t{share}": {"w": keep(base, share)} for share in (0.2, 0.5, 0.8)
    }  # one order of weights
    report = pack(tmp_path, models | {"all": {"w": base}}, optimize="file")
    assert [row.codec for row in report.choices if row.task == "t0.5"] == ["mask(owner=2)"]
    with mcodec.open(tmp_path / "x.mc") as file:
        owners = [run for run in file.reader.manifest.runs if run.dtype == "uint8"]
    assert len(owners) == 1


def test_a_fine_tune_is_a_delta_in_the_file_and_alone_to_load(tmp_path: Path) -> None:
    base = weights(0)
    tuned = (base * (1 + 0.01 * weights(1))).astype(np.float32)
    models = {
        "base": {"w": base, "head": weights(2)},
        "v1": {"w": tuned, "head": weights(3, (10, 200))},
    }
    assert codecs(pack(tmp_path, models, optimize="file"))["v1:w"] == "delta"
    assert set(codecs(pack(tmp_path, models)).values()) == {"float"}


def test_networks_that_were_trained_apart_stand_alone(tmp_path: Path) -> None:
    report = pack(tmp_path, {"A": {"w": weights(0)}, "B": {"w": weights(1)}}, optimize="file")
    assert codecs(report) == {"A:w": "float", "B:w": "float"}


def specs(*names: str, shape: tuple[int, ...] = (4,)) -> list[TensorSpec]:
    return [TensorSpec(name, "float32", shape) for name in names]


def test_families_meet_by_name_then_by_place_and_are_one_deep() -> None:
    models = [
        specs("conv_1/w", "conv_2/w", "dense/w"),
        specs("conv_1/w", "conv_2/w", "dense/w", "new/w"),
        specs("conv_7/w", "conv_8/w", "dense/w"),
    ]
    places = [(task, index) for task, model in enumerate(models) for index in range(len(model))]
    assert find_families(models, set(places), set(places), {}) == {
        (1, 0): (0, 0),
        (1, 1): (0, 1),
        (1, 2): (0, 2),
        (2, 0): (0, 0),
        (2, 1): (0, 1),
        (2, 2): (0, 2),
    }


def test_a_tensor_that_only_a_later_task_brought_is_a_base_too() -> None:
    models = [specs("a"), specs("a", "block"), specs("a", "block")]
    places = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)]
    families = find_families(models, set(places), set(places), {})
    assert families[2, 1] == (1, 1)


def test_shapes_have_to_be_the_same() -> None:
    models = [specs("head", shape=(10, 4)), specs("head", shape=(20, 4))]
    assert find_families(models, {(0, 0), (1, 0)}, {(1, 0)}, {}) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimize": "speed"}, "optimize is load or file"),
        ({"optimize": "file", "codec": "float"}, "it goes with codec auto"),
        ({"optimize": "file", "layout": "progressive"}, "cannot be laid out progressive"),
        ({"codec": "csr(values=float)"}, "zeros, and csr pays from 3.1% on"),
        ({"codec": "mask(owner=1)"}, "owner maps are made by"),
        ({"meta": {"C": {"a": "1"}}}, "meta of 'C', and the tasks are A, B"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    base = weights(0)
    models = {"A": {"w": base}, "B": {"w": (base * np.float32(1.001)).astype(np.float32)}}
    with pytest.raises(UsageError, match=message):
        mcodec.pack(models, tmp_path / "x.mc", **options)
    assert not (tmp_path / "x.mc").exists()


def test_csr_of_a_dense_tensor_by_force(tmp_path: Path) -> None:
    pack(tmp_path, {"A": {"w": weights(0), "b": weights(1, (9,))}}, codec="csr", force=True)
    with mcodec.open(tmp_path / "x.mc") as file:
        found = {file.reader.codec(file.task().place(name)[0]).codec_id for name in ("w", "b")}
    assert found == {"csr", "float"}


def test_codecs_that_stand_on_another_task_by_plan(tmp_path: Path) -> None:
    base = weights(0)
    tuned = base + 0.001 * weights(1)
    plan = tmp_path / "plan.toml"
    rules = {
        "*:w": "delta(values=bfp(bits=4))",
        "*:v": "delta(values=bfp(bits=6))",
        "A:w": "bfp(bits=14)",
    }
    plan.write_text(
        "".join(
            f'[[tensor]]\nmatch = "{name}"\ncodec = "{codec}"\n' for name, codec in rules.items()
        )
    )
    models = {"A": {"w": base, "v": base[:100]}, "B": {"w": tuned, "extra": weights(2)}}
    report = mcodec.pack(models, tmp_path / "x.mc", plan=plan)
    assert report.warnings == ()
    with mcodec.open(tmp_path / "x.mc") as file:
        places = [file.task("A").place("w"), file.task("A").place("v"), file.task("B").place("w")]
        found = [file.reader.codec(run).codec_id for run, _ in places]
        error = np.abs(file.task("B")["w"] - tuned).max()
    assert found == ["bfp", "bfp", "delta"]  # the first task's tensors stand alone
    assert error < 0.001
    assert mcodec.verify(tmp_path / "x.mc", deep=True).differences == ()


def test_meta_is_kept_and_is_not_the_source_s(tmp_path: Path) -> None:
    pack(tmp_path, {"A": {"w": weights(0)}}, meta={"A": {"accuracy": "96.19"}})
    with mcodec.open(tmp_path / "x.mc") as file:
        assert file.task().meta() == {"accuracy": "96.19"}
        assert file.task().metadata() == {}
