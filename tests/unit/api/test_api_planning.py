"""What is coded how, and how tensors are laid into runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.api.planning import Options, bits_by_task, choose
from mcodec.codec.bfp import BfpCodec
from mcodec.codec.float import FloatCodec
from mcodec.codec.plan import parse_codec
from mcodec.codec.planfile import parse_plan
from mcodec.codec.raw import RawCodec
from mcodec.errors import CodecConfigError, UsageError
from mcodec.types import TensorSpec
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

    from mcodec.codec.base import Codec

BFP12 = BfpCodec(12)


def chosen(name: str, dtype: str, shape: tuple[int, ...], **options: Any) -> Codec:
    bits = options.pop("bits", 12)
    return choose(0, "A", TensorSpec(name, dtype, shape), Options((bits,), **options))


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "expected"),
    [
        ("w", "float32", (3, 4), BFP12),
        ("w", "float64", (1, 1), BFP12),
        ("w", "float16", (3, 4), BFP12),
        ("w", "bfloat16", (2, 3, 4), BFP12),
        ("w", "float32", (0, 4), BFP12),
        ("b", "float32", (4,), FloatCodec()),
        ("s", "float32", (), FloatCodec()),
        ("i", "int8", (3, 4), RawCodec()),
        ("c", "complex64", (3, 4), RawCodec()),
        ("f", "float8_e4m3fn", (3, 4), RawCodec()),
        ("optimizer_weights/m", "float32", (3, 4), FloatCodec()),
        ("optimizer/adam/w", "float32", (3, 4), FloatCodec()),
        ("optimizer_state.0.exp_avg", "float32", (3, 4), FloatCodec()),
        ("metrics/m", "float32", (3, 4), FloatCodec()),
        ("model/optimizer/w", "float32", (3, 4), BFP12),
        ("optimizers/w", "float32", (3, 4), BFP12),
    ],
)
def test_what_bits_hold_for(name: str, dtype: str, shape: tuple[int, ...], expected: Codec) -> None:
    assert chosen(name, dtype, shape) == expected


@pytest.mark.parametrize(("bits", "coded"), [(14, True), (15, False), (24, False)])
def test_bits_have_to_be_fewer_than_the_dtype_has(bits: int, coded: bool) -> None:
    found = chosen("w", "float16", (3, 4), bits=bits)
    assert found == (BfpCodec(bits) if coded else FloatCodec())


def test_a_codec_holds_for_what_bits_leave() -> None:
    assert chosen("w", "float32", (3, 4), codec=RawCodec()) == BFP12
    assert chosen("w", "float32", (3, 4), bits=None, codec=BfpCodec(3)) == BfpCodec(3)
    assert chosen("b", "float32", (4,), codec=RawCodec()) == RawCodec()
    assert chosen("b", "float32", (4,), codec=BfpCodec(3)) == FloatCodec()
    assert chosen("b", "float32", (4,), codec=FloatCodec(16)) == FloatCodec()
    assert chosen("i", "int64", (4, 4), bits=None, codec=FloatCodec()) == RawCodec()


def test_a_plan_is_followed_as_written() -> None:
    plan = parse_plan('[[tensor]]\nmatch = "A:*"\ncodec = "bfp(bits=2)"', "p")
    for name, shape in (("optimizer/w", (2, 2)), ("b", (2,)), ("s", ())):
        assert chosen(name, "float32", shape, plan=plan) == BfpCodec(2)


def test_what_is_lossless() -> None:
    answers = {"raw": True, "float": True, "float(keep=16)": False, "bfp(bits=24)": False}
    answers["float(keep=32)"] = True
    assert {text: parse_codec(text).exact("float32") for text in answers} == answers


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (None, (None, None, None)),
        (12, (12, 12, 12)),
        ([12, 11, 1], (12, 11, 1)),
        ((24, 1, 1), (24, 1, 1)),
        ({"B": 4}, (None, 4, None)),
        ({}, (None, None, None)),
    ],
)
def test_bits_by_task(bits: Any, expected: tuple[int | None, ...]) -> None:
    assert bits_by_task(bits, "ABC") == expected


@pytest.mark.parametrize(
    "bits", [0, 25, -1, 12.0, True, "12", [12], [12, 11, 0], [1, 2, 3, 4], {"X": 8}, {"A": 0}]
)
def test_bits_that_cannot_be(bits: Any) -> None:
    with pytest.raises(UsageError):
        bits_by_task(bits, "ABC")


def pack(folder: Path, *models: dict[str, Any], **options: Any) -> Any:
    path = folder / "x.mc"
    report = mcodec.pack(dict(zip("ABC", models, strict=False)), path, jobs=1, **options)
    with mcodec.open(path) as file:
        return report, file.reader


def test_nan_falls_to_lossless_with_a_warning(tmp_path: Path) -> None:
    good = cases.weights("float32", (9, 9))
    bad = good.copy()
    bad[3, 3] = np.nan
    report, reader = pack(tmp_path, {"good": good, "bad": bad}, {"good": good, "bad": good}, bits=8)
    assert report.warnings == (
        "task 'A': tensor 'bad' is stored lossless: it holds NaN or infinity",
    )
    codecs = [reader.manifest.codecs[run.codec]["id"] for run in reader.manifest.runs]
    assert codecs == ["bfp", "float", "bfp", "bfp"]
    assert reader.manifest.pairs == [[0, 2]]  # bad has no partner of its kind
    with mcodec.open(tmp_path / "x.mc") as file:
        assert cases.same_bits(file.task("A")["bad"], bad)


def test_a_codec_that_does_not_fit_names_the_tensor(tmp_path: Path) -> None:
    for codec, message in (
        ("bfp(bits=8,scope=axis:2)", "tensor 'w': scope axis:2"),
        ("float(keep=64)", "tensor 'w': codec float"),
    ):
        with pytest.raises(CodecConfigError, match=message):
            pack(tmp_path, {"w": cases.weights("float32", (3, 3))}, codec=codec)
    plan = tmp_path / "plan.toml"
    plan.write_text('[[tensor]]\nmatch = "*"\ncodec = "bfp(bits=8)"')
    with pytest.raises(CodecConfigError, match="tensor 'n': codec bfp takes float16"):
        pack(tmp_path, {"n": np.arange(3)}, plan=plan)


def test_small_tensors_share_runs_in_model_order(tmp_path: Path) -> None:
    model = {
        "a": cases.weights("float32", (3,)),
        "big": cases.weights("float32", (16_384,)),
        "i": np.arange(4, dtype=np.int32),
        "b": cases.weights("float32", (5,)),
        "j": np.arange(1, 5, dtype=np.int32),
        "c": cases.weights("float32", (2, 2)),
    }
    _, reader = pack(tmp_path, model)
    shapes = [run.shapes for run in reader.runs]
    assert shapes == [((3,), (5,), (2, 2)), ((16_384,),), ((4,), (4,))]
    places = {t.name: (t.run, t.member) for t in reader.manifest.tasks[0].tensors}
    assert places == {
        "a": (0, 0),
        "big": (1, 0),
        "i": (2, 0),
        "b": (0, 1),
        "j": (2, 1),
        "c": (0, 2),
    }


def test_fused_tensors_lie_in_runs_of_one_geometry(tmp_path: Path) -> None:
    first, second = cases.network(1), cases.network(2)
    second["extra"] = cases.weights("float32", (4, 4))
    second["head/kernel"] = cases.weights("float32", (130, 2))
    report, reader = pack(tmp_path, first, second, bits=[12, 11])
    assert report.layout == "interleaved"
    assert report.fused == len(reader.manifest.pairs) > 0
    for pair in reader.manifest.pairs:
        runs = [reader.runs[run] for run in pair]
        assert runs[0] == runs[1]
        codecs = [reader.manifest.runs[run].codec for run in pair]
        configs = [reader.manifest.codecs[codec] for codec in codecs]
        assert configs[0]["id"] == configs[1]["id"] != "raw"


def test_codec_configurations_are_stored_once(tmp_path: Path) -> None:
    _, reader = pack(tmp_path, cases.network(1), cases.network(2), bits=8)
    assert sorted(config["id"] for config in reader.manifest.codecs) == ["bfp", "float", "raw"]


def test_scales_of_integers_are_never_lossy(tmp_path: Path) -> None:
    scale = cases.weights(
        "float32", (1, 64)
    )  # of an EinsumDense, Keras gives it several dimensions
    model = {"kernel": np.ones((40, 64), np.int8), "kernel_scale": scale}
    for options in ({"bits": 4}, {"codec": "bfp(bits=4)"}, {"codec": "int8"}):
        pack(tmp_path, model, **options)
        with mcodec.open(tmp_path / "x.mc") as file:
            assert cases.same_bits(file.task()["kernel_scale"], scale)


def test_many_small_tensors_of_one_name_lie_together(tmp_path: Path) -> None:
    model = {
        f"{layer}.{leaf}": scale * cases.weights("float32", (3000 + layer,))
        for layer in range(11)
        for leaf, scale in (("gamma", 2), ("beta", 3))
    }
    model["few.bias"] = cases.weights("float32", (5,))
    _, reader = pack(tmp_path, model)
    leaves = [set[str]() for _ in reader.runs]
    for tensor in reader.manifest.tasks[0].tensors:
        leaves[tensor.run].add(tensor.name.rpartition(".")[2])
    assert leaves == [{"gamma"}, {"beta"}, {"bias"}]
