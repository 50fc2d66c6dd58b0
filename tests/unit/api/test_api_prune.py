"""`prune`: what goes, what stays, in which files, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mcodec
from mcodec.api import cuts
from mcodec.errors import CodecConfigError, FormatError, InputOutputError, UsageError
from support import cases
from support.command import leftovers
from support.models import arrays, dump

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def network() -> dict[str, NDArray[Any]]:
    return {
        **cases.network(3),
        "gru/bias": cases.weights("float32", (2, 9), 8),
        "optimizer/vars/1": cases.weights("float32", (9, 9), 9),
        "table": np.arange(12).reshape(3, 4),
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.h5"
    with h5py.File(path, "w") as file:
        for name, array in network().items():
            file[name] = array
        file.attrs["layer_names"] = np.array([b"stem", b"body"])
        file["text"] = "a string is no tensor"
    return path


def kernels(found: dict[str, NDArray[Any]]) -> set[str]:
    """Return the tensors that are no longer what they were, and check that they are sparse."""
    changed = {n for n, a in network().items() if not cases.same_bits(found[n], a)}
    for name in changed:
        size = found[name].size
        assert np.count_nonzero(found[name]) == size - round(0.9 * size), name
    return changed


def test_the_same_format_out_and_all_else_as_it_was(source: Path, tmp_path: Path) -> None:
    report = mcodec.prune(source, tmp_path / "out.h5", 0.9, jobs=2)
    expected = {"stem/kernel", "body/kernel", "head/kernel", "tall/kernel"}
    assert kernels(arrays(tmp_path / "out.h5")) == expected
    assert {one.spec.name for one in report.tensors} == expected
    assert (report.format, report.checked, report.notes) == ("hdf5", True, ())
    assert report.untouched == len(network()) - 4
    assert report.file_bytes == (tmp_path / "out.h5").stat().st_size
    assert report.source_bytes == sum(array.nbytes for array in network().values())
    assert report.nonzero_before == report.weights
    assert report.nonzero_after == sum(one.nonzero_after for one in report.tensors)
    before, after = dump(source), dump(tmp_path / "out.h5")
    assert before.keys() == after.keys()
    apart = {key for key in before if before[key] != after[key]}
    assert apart == {f"/{name} data" for name in expected}


@pytest.mark.parametrize("name", ["out.safetensors", "out.npz", "out.npy", "folder"])
def test_other_formats(source: Path, tmp_path: Path, name: str) -> None:
    if name == "out.npy":
        with pytest.raises(UsageError):
            mcodec.prune(source, tmp_path / name, 0.9)
        return
    to = None if "." in name else "npz"
    mcodec.prune(source, tmp_path / name, 0.9, to=to, check=False)
    assert len(kernels(arrays(tmp_path / name))) == 4


def test_into_a_container_and_out_of_it(source: Path, tmp_path: Path) -> None:
    report = mcodec.prune(source, tmp_path / "x.mc", 0.9)
    assert (report.format, report.checked) == ("mc", False)
    assert report.file_bytes == (tmp_path / "x.mc").stat().st_size
    assert report.file_bytes < 0.4 * report.source_bytes
    with mcodec.open(tmp_path / "x.mc") as file:
        assert file.tasks == ("A",)
        assert len(kernels(dict(file.task()))) == 4
    mcodec.prune(source, tmp_path / "twin.h5", 0.9)
    assert mcodec.diff(tmp_path / "x.mc", tmp_path / "twin.h5").same
    mcodec.unpack(tmp_path / "x.mc", out=tmp_path / "back.h5")
    assert dump(tmp_path / "back.h5") == dump(tmp_path / "twin.h5")


def test_one_task_of_several(tmp_path: Path) -> None:
    mcodec.pack({"one": network(), "two": cases.network(7)}, tmp_path / "x.mc")
    with pytest.raises(UsageError, match="several tasks"):
        mcodec.prune(tmp_path / "x.mc", tmp_path / "y.npz", 0.9)
    mcodec.prune(tmp_path / "x.mc", tmp_path / "y.mc", 0.9, task="one", jobs=1)
    with mcodec.open(tmp_path / "y.mc") as file:
        assert file.tasks == ("one",)
        assert len(kernels(dict(file.task("one")))) == 4
    mcodec.prune(tmp_path / "x.mc", tmp_path / "y", 0.9, task="one")
    assert len(kernels(load_file(tmp_path / "y"))) == 4  # arrays are written as safetensors


def test_codecs_of_a_container(tmp_path: Path) -> None:
    model = {"w": cases.weights("float32", (300, 200))}
    sizes = {
        codec: mcodec.prune(model, tmp_path / "x.mc", 0.9, codec=codec).file_bytes
        for codec in (None, "auto", "csr", "raw")
    }
    assert sizes[None] == sizes["auto"] <= sizes["csr"] < sizes["raw"]
    with pytest.raises(CodecConfigError):
        mcodec.prune(model, tmp_path / "x.mc", 0.9, codec="nope")
    with pytest.raises(UsageError, match=r"codec is for a \.mc file"):
        mcodec.prune(model, tmp_path / "x.npz", 0.9, codec="float")


def test_sparsities() -> None:
    """The product is rounded to nearest, ties to even; the earlier of two equals goes."""
    for sparsity, gone in ((0.0, 0), (0.25, 2), (0.15, 2), (0.05, 0), (0.999, 10), (1.0, 10)):
        ones = np.ones((2, 5), np.float32)
        found = _pruned(ones, sparsity)
        assert found.tolist() == np.where(np.arange(10) < gone, 0, 1).reshape(2, 5).tolist()


def _pruned(array: NDArray[Any], sparsity: float) -> NDArray[Any]:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        mcodec.prune({"w": array}, Path(folder) / "x.npz", sparsity, jobs=1)
        return arrays(Path(folder) / "x.npz")["w"]


def test_zeros_count_and_lose_their_sign() -> None:
    array = np.array([[-0.0, 3, -0.0, 2], [np.nan, 1, -np.inf, 1e-45]], np.float32)
    found = _pruned(array, 0.5)
    expected = np.array([[0, 3, 0, 2], [np.nan, 0, -np.inf, 0]], np.float32)
    assert cases.same_bits(found, expected)
    assert cases.same_bits(_pruned(array, 0.125).reshape(-1)[:3], np.array([0, 3, -0.0], "f4"))
    everything = _pruned(array, 1)
    assert np.isnan(everything).sum() == 1
    assert np.count_nonzero(everything) == 1


def test_empty_and_large(tmp_path: Path) -> None:
    shape = (700, 400)  # more than a block
    model = {"none": np.zeros((0, 3), np.float32), "w": cases.weights("float32", shape)}
    report = mcodec.prune(model, tmp_path / "x.npz", 0.5)
    found = arrays(tmp_path / "x.npz")
    assert found["none"].shape == (0, 3)
    cut = np.sort(np.abs(model["w"]), axis=None)[140_000]
    assert cases.same_bits(
        found["w"], np.where(np.abs(model["w"]) < cut, np.float32(0), model["w"])
    )
    assert report.nonzero_after == 140_000


def test_patterns(source: Path, tmp_path: Path) -> None:
    report = mcodec.prune(
        source, tmp_path / "x.npz", 0.9, include=["*/kernel"], exclude=["stem/*", "nope"]
    )
    assert kernels(arrays(tmp_path / "x.npz")) == {"body/kernel", "head/kernel", "tall/kernel"}
    assert report.notes == ("the pattern 'nope' matches no weight",)
    nothing = mcodec.prune({"b": np.ones(3)}, tmp_path / "x.npz", 0.9)
    assert (nothing.tensors, nothing.weights) == ((), 0)
    assert "no tensor is a weight" in nothing.notes[0]


def test_tied_weights_stay_one_array(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "tied.h5", "w") as file:
        file["embed/kernel"] = cases.weights("float32", (30, 20))
        file["head/kernel"] = file["embed/kernel"]
    report = mcodec.prune(tmp_path / "tied.h5", tmp_path / "out.h5", 0.5)
    assert (len(report.tensors), report.untouched) == (1, 0)
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["embed/kernel"] == file["head/kernel"]
        assert np.count_nonzero(file["head/kernel"][()]) == 300


@pytest.mark.parametrize("sparsity", [-0.1, 1.1, float("nan")])
def test_sparsities_that_cannot_be(tmp_path: Path, sparsity: float) -> None:
    with pytest.raises(UsageError, match="sparsity"):
        mcodec.prune({"w": np.ones((2, 2))}, tmp_path / "x.npz", sparsity)
    assert not list(tmp_path.iterdir())


def test_what_is_quantised_is_refused(tmp_path: Path) -> None:
    kernel = np.ones((4, 4), np.int8)
    save_file({"w": kernel, "w.scale": np.ones(4, np.float32)}, tmp_path / "q.safetensors")
    with pytest.raises(UsageError, match=r"quantised already \(tensor 'w' is int8\)"):
        mcodec.prune(tmp_path / "q.safetensors", tmp_path / "x.npz", 0.5)
    assert not (tmp_path / "x.npz").exists()
    report = mcodec.prune(tmp_path / "q.safetensors", tmp_path / "x.npz", 0.5, force=True)
    assert "was quantised already" in report.notes[-1]


def test_dequantised_values_are_refused(tmp_path: Path) -> None:
    weights = np.rint(cases.weights("float32", (64, 64), scale=20)) * np.float32(0.01)
    with pytest.raises(UsageError, match="'w' are whole multiples of one step"):
        mcodec.prune({"w": weights}, tmp_path / "x.npz", 0.5)
    mcodec.prune({"w": weights}, tmp_path / "x.npz", 0.5, force=True)
    mcodec.prune({"w": weights}, tmp_path / "x.npz", 0.5, exclude=["w"])


def test_nothing_is_left_behind(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="input as well as the output"):
        mcodec.prune(source, source, 0.5)
    with pytest.raises(UsageError, match=r"no \.mc file"):
        mcodec.prune(source, tmp_path / "x.h5", 0.5, task="A")
    with pytest.raises(InputOutputError):
        mcodec.prune(source, tmp_path / "nosuch" / "x.h5", 0.5)
    with pytest.raises(UsageError):
        mcodec.prune(source, tmp_path / "x.keras", 0.5)
    (tmp_path / "cut.h5").write_bytes(source.read_bytes()[:-2000])
    with pytest.raises(FormatError):
        mcodec.prune(tmp_path / "cut.h5", tmp_path / "x.h5", 0.5)
    assert not (tmp_path / "x.h5").exists()
    assert not leftovers(tmp_path)


def test_a_tensor_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuts, "_first_pass", lambda *_: (np.zeros(4, np.int64), 0, 0))
    with pytest.raises(InputOutputError, match=r"tensor 'w': .*changed while it was read"):
        mcodec.prune({"w": cases.weights("float32", (9, 9))}, tmp_path / "x.npz", 0.5)


def test_progress_comes_to_its_end(source: Path, tmp_path: Path) -> None:
    for name in ("x.h5", "x.mc"):
        seen: list[tuple[int, int]] = []
        mcodec.prune(source, tmp_path / name, 0.5, progress=lambda *p, s=seen: s.append(p))
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1][0] == seen[-1][1]


def test_the_same_bytes_with_any_number_of_threads(source: Path, tmp_path: Path) -> None:
    for name in ("x.safetensors", "x.mc"):
        mcodec.prune(source, tmp_path / name, 0.7, jobs=1)
        one = (tmp_path / name).read_bytes()
        mcodec.prune(source, tmp_path / name, 0.7, jobs=3)
        assert (tmp_path / name).read_bytes() == one


def test_in_a_sandbox(source: Path, tmp_path: Path) -> None:
    mcodec.prune(source, tmp_path / "x.npz", 0.9, sandbox=True)
    assert len(kernels(arrays(tmp_path / "x.npz"))) == 4
