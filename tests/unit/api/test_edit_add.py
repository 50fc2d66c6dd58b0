"""`add` and `replace`: what is stored once, what stands on what, and the tasks that were there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import mcodec
from mcodec.errors import CodecConfigError, FormatError, UnknownTaskError, UsageError
from support import cases
from support.forge import Forged
from support.stored import assert_sound, task_chunks

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Model = dict[str, NDArray[Any]]

LAYOUTS = ("task", "interleaved", "progressive")


def tuned(base: Model, names: tuple[str, ...] = ("body/kernel",)) -> Model:
    """Move every weight of some tensors by about one percent."""
    rng = np.random.default_rng(9)
    found = dict(base)
    for name in names:
        noise = rng.standard_normal(base[name].shape).astype(base[name].dtype)
        found[name] = base[name] * (1 + noise / 100)
    return found


def codecs(path: Path, task: str) -> dict[str, str]:
    """Return the ids of a task's codecs by tensor."""
    with mcodec.open(path) as file:
        return {name: file.task(task).codec(name).codec_id for name in file.task(task)}


def places(path: Path, task: str) -> dict[str, tuple[int, int]]:
    """Return where a task's tensors are."""
    with mcodec.open(path) as file:
        return {name: file.task(task).place(name) for name in file.task(task)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "family.mc"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bits", [None, 9])
def test_a_model_more(path: Path, layout: str, bits: int | None) -> None:
    models = {"A": cases.network(1), "B": cases.network(20), "C": cases.network(30)}
    first = {name: models[name] for name in "AB"}
    mcodec.pack(first, path, layout=layout, bits=bits, jobs=1)
    before, size = task_chunks(path), path.stat().st_size
    report = mcodec.add(path, "C", models["C"], bits=bits, jobs=1)
    assert (report.added, report.removed) == (("C",), ())
    assert (report.bytes_before, report.file_bytes) == (size, path.stat().st_size)
    after = task_chunks(path)
    assert {name: after[name] for name in before} == before
    assert [row.name for row in report.tasks] == ["A", "B", "C"]
    assert_sound(path)
    assert mcodec.verify(path, against=models, jobs=1).differences == ()
    whole = path.with_name("whole.mc")
    mcodec.pack(models, whole, layout=layout, bits=bits, jobs=1)
    with mcodec.open(path) as one, mcodec.open(whole) as other:
        assert one.reader.layout == layout
        for name in "ABC":
            cases.assert_same_model(one.task(name), other.task(name))
        assert len(one.reader.manifest.pairs) == len(other.reader.manifest.pairs)
    if layout == "task" and bits is None:  # nothing is shared, and nothing is fused
        assert path.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_there_is_not_stored_again(path: Path, layout: str) -> None:
    base = cases.network(1)
    mcodec.pack({"A": base, "B": cases.network(9)}, path, layout=layout, jobs=1)
    before = task_chunks(path)
    report = mcodec.add(path, "again", dict(reversed(base.items())), jobs=1)
    assert report.aliases == len(base)
    assert report.file_bytes < report.bytes_before + 500
    assert places(path, "again") == places(path, "A")
    assert {name: own for name, own in task_chunks(path).items() if name != "again"} == before
    assert_sound(path)


def test_parts_of_a_model_are_stored_once(path: Path) -> None:
    base = cases.network(1)
    mcodec.pack({"A": base}, path, jobs=1)
    report = mcodec.add(path, "B", tuned(base), jobs=1)
    ours, theirs = places(path, "B"), places(path, "A")
    assert {name for name in ours if ours[name] == theirs[name]} == set(base) - {"body/kernel"}
    assert report.aliases == len(base) - 1
    assert {choice.codec for choice in report.choices} == {"float", "alias"}
    assert_sound(path)
    mcodec.verify(path, against={"A": base, "B": tuned(base)}, jobs=1)


def test_few_small_tensors_of_a_large_run_are_not_worth_reading_it(path: Path) -> None:
    rng = np.random.default_rng(2)
    base = {f"w{i}": rng.standard_normal((40, 40)).astype(np.float32) for i in range(9)}
    mcodec.pack({"A": base}, path, jobs=1)
    one = {"w": base["w3"], "x": rng.standard_normal((40, 40)).astype(np.float32)}
    assert mcodec.add(path, "one", one, jobs=1).aliases == 0
    assert mcodec.add(path, "same", one, jobs=1).aliases == 2
    small = {"w": base["w4"], "y": rng.standard_normal((40, 40)).astype(np.float32)}
    assert mcodec.add(path, "small", small, optimize="file", jobs=1).aliases == 1
    assert_sound(path)


def test_equal_tensors_within_the_model_and_ties(path: Path, tmp_path: Path) -> None:
    base = cases.network(1)
    mcodec.pack({"A": base}, path, jobs=1)
    kernel, new = base["body/kernel"], cases.weights("float32", (150, 150), 77)
    mcodec.add(path, "B", {"x": kernel, "y": kernel, "new": new, "too": new}, jobs=1)
    place = places(path, "A")["body/kernel"]
    found = places(path, "B")
    assert found["x"] == found["y"] == place
    assert found["new"] == found["too"] != place
    torch = pytest.importorskip("torch")
    tied = torch.nn.Parameter(torch.tensor(kernel))
    torch.save({"head": tied, "embed": tied}, tmp_path / "tied.pt")
    mcodec.add(path, "C", tmp_path / "tied.pt", jobs=1)
    with mcodec.open(path) as file:
        assert file.task("C").ties == {1: 0}
        assert file.task("C").place("embed") == place
    assert_sound(path)
    assert mcodec.verify(path, against={"C": tmp_path / "tied.pt"}).differences == ()


def test_lossy_tensors_are_stored_once_where_codec_and_source_are_one(path: Path) -> None:
    base = {"w": cases.weights("float32", (150, 150), 1)}
    mcodec.pack({"A": base}, path, bits=9, jobs=1)
    assert mcodec.add(path, "same", base, bits=9, jobs=1).aliases == 1
    assert mcodec.add(path, "more", base, bits=10, jobs=1).aliases == 0
    assert mcodec.add(path, "all", base, jobs=1).aliases == 0
    with mcodec.open(path) as file:
        decoded = {"w": file.task("A")["w"]}
    assert mcodec.add(path, "decoded", decoded, bits=9, jobs=1).aliases == 0
    assert mcodec.add(path, "exact", decoded, jobs=1).aliases == 0
    models = {"A": base, "same": base, "more": base, "all": base}
    assert (
        mcodec.verify(path, against=models | {"decoded": decoded, "exact": decoded}).deep is False
    )
    assert_sound(path)


@pytest.mark.parametrize("layout", ["task", "interleaved"])
def test_deltas_and_masks_against_what_is_there(path: Path, layout: str) -> None:
    base = cases.network(1)
    keep = np.random.default_rng(1).random((160, 130)) < 0.4
    models = {
        "base": base,
        "tuned": tuned(base),
        "more": tuned(base, ("body/kernel", "tall/kernel")),
    }
    models["masked"] = base | {"body/kernel": np.where(keep, base["body/kernel"], np.float32(0))}
    mcodec.pack({"base": base}, path, layout=layout, jobs=1)
    for name in ("tuned", "masked", "more"):
        mcodec.add(path, name, models[name], optimize="file", jobs=1)
    assert codecs(path, "tuned")["body/kernel"] == "delta"
    assert codecs(path, "masked")["body/kernel"] == "mask"
    # tuned's own tensor is a delta itself: what it stands on is the base of the next one too
    assert codecs(path, "more")["tall/kernel"] == "delta"
    assert_sound(path)
    assert mcodec.verify(path, against=models, jobs=1).differences == ()
    whole = path.with_name("whole.mc")
    mcodec.pack(models, whole, layout=layout, optimize="file", jobs=1)
    assert path.stat().st_size < 1.01 * whole.stat().st_size


def test_deltas_against_what_has_become_hidden(path: Path) -> None:
    base = cases.network(1)
    mcodec.pack({"base": base, "tuned": tuned(base)}, path, optimize="file", jobs=1)
    mcodec.rm(path, "base")
    other = tuned(base, ("body/kernel", "body/bias"))
    mcodec.add(path, "other", other, optimize="file", jobs=1)
    assert codecs(path, "other")["body/kernel"] == "delta"
    report = mcodec.add(path, "base", base, jobs=1)
    assert report.aliases == len(base)
    assert_sound(path)
    against = {"base": base, "tuned": tuned(base), "other": other}
    assert mcodec.verify(path, against=against, jobs=1).differences == ()


def test_a_codec_that_was_asked_for_finds_its_base(path: Path) -> None:
    base = cases.network(1)
    mcodec.pack({"base": base}, path, bits=9, jobs=1)
    report = mcodec.add(path, "v1", tuned(base), codec="delta(values=bfp(bits=5))", jobs=1)
    assert codecs(path, "v1")["body/kernel"] == "delta"
    assert not report.warnings
    assert_sound(path)
    mcodec.verify(path, against={"v1": tuned(base)}, jobs=1)


@pytest.mark.parametrize("layout", ["task", "interleaved"])
def test_new_tensors_join_fused_groups(path: Path, layout: str) -> None:
    models = {name: cases.network(10 * seed) for seed, name in enumerate("ABC", 1)}
    models["C"]["extra"] = cases.weights("float32", (140, 140), 99)
    first = {name: models[name] for name in "AB"}
    mcodec.pack(first, path, bits=[9, 8], layout=layout, jobs=1)
    mcodec.add(path, "C", models["C"], bits=7, jobs=1)
    whole = path.with_name("whole.mc")
    mcodec.pack(models, whole, bits=[9, 8, 7], layout=layout, jobs=1)
    with mcodec.open(path) as one, mcodec.open(whole) as other:
        assert [len(pair) for pair in one.reader.manifest.pairs] == [
            len(pair) for pair in other.reader.manifest.pairs
        ]
        for task in "AB":
            ours, theirs = one.task(task, dither=True), other.task(task, dither=True)
            cases.assert_same_model(ours, theirs)
    assert_sound(path)
    before = task_chunks(path)
    mcodec.replace(path, "A", cases.network(88), bits=6, jobs=1)
    after = task_chunks(path)
    assert {name: after[name] for name in "BC"} == {name: before[name] for name in "BC"}
    with mcodec.open(path) as file:
        assert {len(pair) for pair in file.reader.manifest.pairs} == {3}
        order = [list(file.reader.manifest.pairs[0])]
        assert order == [sorted(order[0])]
    assert_sound(path)


def test_replace_keeps_the_place_and_drops_what_was_there(path: Path) -> None:
    models = {name: cases.network(10 * seed) for seed, name in enumerate("ABC", 1)}
    mcodec.pack(models, path, meta={"B": {"accuracy": "90"}, "C": {"accuracy": "91"}}, jobs=1)
    before = task_chunks(path)
    new = cases.network(77)
    report = mcodec.replace(path, "B", new, meta={"epochs": "3"}, jobs=1)
    assert (report.added, report.removed) == (("B",), ("B",))
    after = task_chunks(path)
    assert list(after) == ["A", "B", "C"]
    assert {name: after[name] for name in "AC"} == {name: before[name] for name in "AC"}
    assert [row.meta for row in report.tasks] == [{}, {"epochs": "3"}, {"accuracy": "91"}]
    assert_sound(path)
    whole = path.with_name("whole.mc")
    meta = {"B": {"epochs": "3"}, "C": {"accuracy": "91"}}
    mcodec.pack({"A": models["A"], "B": new, "C": models["C"]}, whole, meta=meta, jobs=1)
    assert path.read_bytes() == whole.read_bytes()
    mcodec.replace(path, "C", new, jobs=1)
    mcodec.rm(whole, "C")
    mcodec.add(whole, "C", new, jobs=1)
    assert path.read_bytes() == whole.read_bytes()


def test_replace_what_others_stand_on_and_the_only_task(path: Path) -> None:
    base = cases.network(1)
    models = {"base": base, "tuned": tuned(base)}
    mcodec.pack(models, path, optimize="file", jobs=1)
    before = task_chunks(path)
    report = mcodec.replace(path, "base", cases.network(60), jobs=1)
    assert report.hidden_bytes > 10_000
    assert task_chunks(path)["tuned"] == before["tuned"]
    assert_sound(path)
    models["base"] = cases.network(60)
    assert mcodec.verify(path, against=models, jobs=1).differences == ()
    mcodec.rm(path, "tuned")
    mcodec.replace(path, "base", base, jobs=1)
    mcodec.pack({"base": base}, path.with_name("whole.mc"), jobs=1)
    assert path.read_bytes() == path.with_name("whole.mc").read_bytes()


def test_files_with_skeletons_metadata_and_meta(path: Path, tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        save_file(cases.network(seed), tmp_path / f"{name}.safetensors", {"by": name})
    mcodec.pack([tmp_path / "a.safetensors"], path, jobs=1)
    mcodec.add(path, "B", tmp_path / "b.safetensors", meta={"epochs": "9"}, sandbox=True, jobs=1)
    mcodec.add(path, "C", tmp_path / "a.safetensors", jobs=1)
    with mcodec.open(path) as file:
        assert file.task("B").metadata() == {"by": "b"}
        assert file.task("B").meta() == {"epochs": "9"}
        assert file.task("C").format == "safetensors"
    assert_sound(path)
    for task, name in zip("ABC", "aba", strict=True):
        mcodec.unpack(path, task=task, out=tmp_path / "out.safetensors", jobs=1)
        assert (tmp_path / "out.safetensors").read_bytes() == (
            tmp_path / f"{name}.safetensors"
        ).read_bytes()


def test_a_plan_of_a_family_counts_for_the_new_task(path: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[[tensor]]\nmatch = "A:nosuch"\ncodec = "bfp(bits=3)"\n'
        '[[tensor]]\nmatch = "*:body/kernel"\ncodec = "bfp(bits=7)"\n'
        '[[tensor]]\nmatch = "B:tall/*"\ncodec = "bfp(bits=6)"\n'
        '[[tensor]]\nmatch = "B:lost"\ncodec = "bfp(bits=5)"\n'
        '[[tensor]]\nmatch = "C:gone"\ncodec = "float"\nmade_for = "float32[3]"\n'
    )
    mcodec.pack({"A": cases.network(1)}, path, jobs=1)
    report = mcodec.add(path, "B", cases.network(2), plan=plan, jobs=1)
    assert report.warnings == ("the plan's pattern 'B:lost' matches no tensor",)
    with mcodec.open(path) as file:
        bits = {name: getattr(file.task("B").codec(name), "bits", None) for name in file.task("B")}
    assert {name: count for name, count in bits.items() if count} == {
        "body/kernel": 7,
        "tall/kernel": 6,
    }


def test_what_cannot_be_added(path: Path) -> None:
    model = cases.network(1)
    mcodec.pack({"A": model}, path, layout="progressive", jobs=1)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="has a task 'A': replace it"):
        mcodec.add(path, "A", model)
    with pytest.raises(UnknownTaskError, match="no task 'B'"):
        mcodec.replace(path, "B", model)
    with pytest.raises(UsageError, match="not empty"):
        mcodec.add(path, "", model)
    with pytest.raises(UsageError, match="4096 bytes"):
        mcodec.add(path, "x" * 5000, model)
    with pytest.raises(UsageError, match="two tensors"):
        mcodec.add(path, "B", {1: [2.0], "1": [3.0]})  # type: ignore[dict-item]
    with pytest.raises(UsageError, match="neither a path nor"):
        mcodec.add(path, "B", 3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="relayout it first"):
        mcodec.add(path, "B", tuned(model), optimize="file", jobs=1)
    with pytest.raises(UsageError, match="is an input"):
        mcodec.add(path, "B", path)
    with pytest.raises(UsageError, match="bits for 2 tasks"):
        mcodec.add(path, "B", model, bits=[3, 4])
    with pytest.raises(UsageError, match="goes with codec auto"):
        mcodec.add(path, "B", model, codec="float", optimize="file")
    with pytest.raises(CodecConfigError, match="unknown codec"):
        mcodec.add(path, "B", model, codec="nosuch")
    assert path.read_bytes() == before


def test_damage_in_what_is_copied_is_found(path: Path) -> None:
    base = cases.network(1)
    mcodec.pack({"A": base, "B": cases.network(2)}, path, jobs=1)
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match="damaged"):
        mcodec.add(path, "C", base, jobs=1)
    with pytest.raises(FormatError, match="damaged"):
        mcodec.rename(path, {"A": "X"})
    assert path.read_bytes() == data
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_tensor_of_a_shared_run_is_told_by_its_values(path: Path) -> None:
    small = {f"w{i}": cases.weights("float32", (30, 30), i) for i in range(4)}
    mcodec.pack({"A": small}, path, jobs=1)
    other = {name: array.copy() for name, array in small.items()}
    other["w2"][5, 5] += 1
    assert mcodec.add(path, "B", other, jobs=1).aliases == 3
    mcodec.verify(path, against={"A": small, "B": other}, deep=True, jobs=1)
    forged = Forged.of(path.read_bytes())
    stored = [index for index, row in enumerate(forged.rows) if row["coder"] == 2]
    forged.damage(stored[0], 9, 0xFF)
    path.write_bytes(forged.build())
    with pytest.raises(FormatError):
        mcodec.add(path, "C", other, jobs=1)


def test_the_bytes_do_not_depend_on_threads(path: Path) -> None:
    base = cases.network(1)
    mcodec.pack({"A": base, "B": cases.network(2)}, path, bits=9, jobs=1)
    for jobs in (1, 3):
        for bits in (None, 9):
            out = path.with_name(f"{jobs}{bits}.mc")
            mcodec.add(path, "C", tuned(base), out=out, bits=bits, optimize="file", jobs=jobs)
    for bits in (None, 9):
        one, three = (path.with_name(f"{jobs}{bits}.mc").read_bytes() for jobs in (1, 3))
        assert one == three
