"""The codecs that stand on other runs: configurations, roles, and what their encoders choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcodec.codec.base import View
from mcodec.codec.bfp import BfpCodec
from mcodec.codec.delta import DeltaCodec
from mcodec.codec.mask import MaskCodec
from mcodec.codec.plan import parse_codec
from mcodec.codec.registry import from_config
from mcodec.codec.scope import Scope
from mcodec.errors import CodecConfigError
from mcodec.types import RAW, ZSTD, RunSpec
from support import blocks, cases

BFP = {"id": "bfp", "bits": 6}
GOOD: list[dict[str, Any]] = [
    {"id": "delta"},
    {"id": "delta", "values": BFP},
    {"id": "delta", "values": {**BFP, "scope": "axis:0", "signs": "compact"}},
    {"id": "mask"},
    {"id": "mask", "zero": "signed"},
    {"id": "mask", "owner": 255},
    {"id": "mask", "owner": 1, "zero": "plain"},
]
BAD: list[dict[str, Any]] = [
    {"id": "delta", "base": 0},
    {"id": "delta", "values": None},
    {"id": "delta", "values": "bfp"},
    {"id": "delta", "values": [BFP]},
    {"id": "delta", "values": {}},
    {"id": "delta", "values": {"bits": 6}},
    {"id": "delta", "values": {"id": "float"}},
    {"id": "delta", "values": {"id": "delta", "values": BFP}},
    {"id": "delta", "values": {"id": ["bfp"], "bits": 6}},
    {"id": "delta", "values": {"id": "bfp"}},
    {"id": "delta", "values": {"id": "bfp", "bits": 25}},
    {"id": "delta", "values": {**BFP, "base": 0}},
    {"id": "mask", "owner": 0},
    {"id": "mask", "owner": 256},
    {"id": "mask", "owner": True},
    {"id": "mask", "owner": 1.0},
    {"id": "mask", "owner": None},
    {"id": "mask", "zero": "minus"},
    {"id": "mask", "zero": 0},
    {"id": "mask", "zeros": "plain"},
]


@pytest.mark.parametrize("config", GOOD, ids=str)
def test_a_configuration_survives_its_codec(config: dict[str, Any]) -> None:
    codec = from_config(config)
    assert from_config(codec.config()) == codec
    written = codec.config()
    assert all(written[key] == value for key, value in config.items() if key != "values")
    assert config.get("values", {}).items() <= written.get("values", {}).items()


@pytest.mark.parametrize("config", BAD, ids=str)
def test_a_configuration_that_breaks_its_page(config: dict[str, Any]) -> None:
    with pytest.raises(CodecConfigError) as caught:
        from_config(config)
    assert caught.value.code == "codec_config"


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("delta", DeltaCodec()),
        ("delta(values=bfp(bits=6,scope=axis:0))", DeltaCodec(BfpCodec(6, scope=Scope("axis", 0)))),
        ("mask", MaskCodec()),
        ("mask(owner=2,zero=signed)", MaskCodec(2, "signed")),
    ],
)
def test_codec_strings(text: str, codec: object) -> None:
    assert parse_codec(text) == codec


def test_a_message_says_what_values_are() -> None:
    with pytest.raises(CodecConfigError, match=r"values is a codec bfp, as values=bfp\(bits=6\)"):
        parse_codec("delta(values=float)")


def test_roles() -> None:
    assert DeltaCodec().roles("float16") == ("float16",)
    assert DeltaCodec(BfpCodec(6)).roles("float32") == ("float32",)
    assert MaskCodec().roles("int8") == ("int8",)
    assert MaskCodec(3).roles("int8") == ("int8", "uint8")


def test_what_a_run_can_be() -> None:
    lossy = DeltaCodec(BfpCodec(6, scope=Scope("axis", 1)))
    for codec, dtype, shape in (
        (DeltaCodec(), "int32", (3,)),
        (DeltaCodec(), "float8_e5m2", (3,)),
        (lossy, "float64", (3, 3)),
        (lossy, "float32", (3,)),
        (MaskCodec(), "complex128", (3,)),
        (MaskCodec(), "V3", (3,)),
        (MaskCodec(zero="signed"), "int8", (3,)),
        (MaskCodec(zero="signed"), "float8_e5m2", (3,)),
    ):
        with pytest.raises(CodecConfigError) as caught:
            codec.check(RunSpec.of(dtype, [shape]))
        assert caught.value.code == "codec_config"
        assert dtype in str(caught.value) or "axis" in str(caught.value)
    DeltaCodec().check(RunSpec.of("float64", [(3,)]))
    MaskCodec().check(RunSpec.of("V8", [()]))
    MaskCodec(1, "signed").check(RunSpec.of("bfloat16", [(0,)]))


def test_what_is_kept_and_counted() -> None:
    lossy = DeltaCodec(BfpCodec(6, signs="compact"))
    assert DeltaCodec().exact("float32")
    assert MaskCodec().exact("float32")
    assert MaskCodec(1).exact("float32")
    assert not lossy.exact("float32")
    assert (DeltaCodec().weight_bits, lossy.weight_bits, MaskCodec().weight_bits) == (None, 7, None)
    assert not any(codec.by_levels for codec in (DeltaCodec(), lossy, MaskCodec(), MaskCodec(1)))
    view = View(planes=2)
    assert [codec.level(view) for codec in (DeltaCodec(), lossy, MaskCodec())] == [None] * 3
    assert DeltaCodec(BfpCodec(6)).level(view) == 2


def test_modes_that_are_none() -> None:
    run = RunSpec.of("float32", [(20,)])
    assert DeltaCodec().block_streams(run, 0, 5) is None
    assert DeltaCodec(BfpCodec(6)).block_streams(run, 0, 2) is None
    assert MaskCodec().block_streams(run, 0, 1) is None
    assert MaskCodec(1).block_streams(run, 0, 0) == ()
    assert len(DeltaCodec().block_streams(RunSpec.of("float64", [(9,)]), 0, 4) or ()) == 80


def step_of(array: Any, relative: float, seed: int) -> Any:
    noise = np.random.default_rng(seed).standard_normal(array.shape)
    return (array.astype(np.float64) + relative * noise).astype(array.dtype)


def test_classes_are_taken_where_they_are_smaller() -> None:
    base = cases.weights("float32", (200, 200), 1)
    for values, modes in ((base, {0}), (step_of(base, 1e-3, 2), {2, 3, 4})):
        packed = blocks.encode(DeltaCodec(), [values], [base])
        assert packed.blocks[0][0] in modes
        taken = sum(len(stream.data) for stream in packed.blocks[0][1])
        assert taken < (0.8 * values.nbytes if values is not base else 1)


def test_raw_planes_are_not_broken_up_by_frames_that_save_little() -> None:
    base = cases.weights("bfloat16", (200, 200), 1)
    packed = blocks.encode(DeltaCodec(), [step_of(base, 1e-3, 2)], [base])
    mode, streams = packed.blocks[0]
    for stream in streams[1 << mode :]:
        assert stream.coder != ZSTD or len(stream.data) + 64 < stream.raw
    assert sum(stream.coder == RAW for stream in streams) >= 5


def test_a_residual_takes_fewer_bits_than_the_weights_alone() -> None:
    base = cases.weights("float32", (300, 300), 1)
    values = step_of(base, 0.05 * 0.07, 2)  # moved by 7 %
    errors = {}
    for name, bits, roles in (("alone", 10, []), ("residual", 7, [[base]])):
        codec = DeltaCodec(BfpCodec(bits)) if roles else BfpCodec(bits)
        packed = blocks.encode(codec, [values], *roles)
        (found,) = blocks.decode(packed)
        errors[name] = float(np.abs(found - values).max())
    assert errors["residual"] <= 1.01 * errors["alone"]
