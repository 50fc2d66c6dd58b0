"""Configurations: what each codec takes, and how people type it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcodec.codec.bfp import BfpCodec
from mcodec.codec.float import FloatCodec
from mcodec.codec.int8 import Int8Codec
from mcodec.codec.plan import codec_string, parse_codec
from mcodec.codec.planfile import (
    Plan,
    PlanFile,
    PlanHead,
    PlannedTask,
    PlanRule,
    parse_plan,
    render_plan,
)
from mcodec.codec.raw import RawCodec
from mcodec.codec.registry import CODECS, from_config
from mcodec.codec.scope import Scope
from mcodec.errors import CodecConfigError, UsageError
from mcodec.types import RunSpec, TensorSpec

GOOD: list[dict[str, Any]] = [
    {"id": "raw"},
    {"id": "float"},
    {"id": "float", "keep": 1},
    {"id": "float", "keep": 64},
    {"id": "bfp", "bits": 1},
    {"id": "bfp", "bits": 24, "rounding": "truncate", "scope": "axis:-64", "signs": "compact"},
    {"id": "bfp", "bits": 23, "reconstruct": "mid", "scope": "block:262144"},
    {"id": "bfp", "bits": 8, "step": 0.5},
    {"id": "bfp", "bits": 8, "step": 2.0**-126, "rounding": "truncate"},
    {"id": "int8"},
    {"id": "int8", "scope": "tensor"},
    {"id": "int8", "scope": "axis:-1"},
]
BAD: list[dict[str, Any]] = [
    {"id": "raw", "keep": 8},
    {"id": "float", "keep": 0},
    {"id": "float", "keep": 65},
    {"id": "float", "keep": True},
    {"id": "float", "keep": 16.0},
    {"id": "float", "keep": "16"},
    {"id": "float", "keep": None},
    {"id": "float", "bits": 8},
    {"id": "bfp"},
    {"id": "bfp", "bits": 0},
    {"id": "bfp", "bits": 25},
    {"id": "bfp", "bits": True},
    {"id": "bfp", "bits": 8, "rounding": "up"},
    {"id": "bfp", "bits": 8, "rounding": 1},
    {"id": "bfp", "bits": 8, "signs": ["full"]},
    {"id": "bfp", "bits": 24, "reconstruct": "mid"},
    {"id": "bfp", "bits": 8, "step": 0.5, "scope": "axis:0"},
    {"id": "bfp", "bits": 8, "step": 0},
    {"id": "bfp", "bits": 8, "step": -0.5},
    {"id": "bfp", "bits": 8, "step": 0.1},
    {"id": "bfp", "bits": 8, "step": True},
    {"id": "bfp", "bits": 8, "step": 2.0**-127},
    {"id": "bfp", "bits": 8, "step": 2.0**128},
    {"id": "bfp", "bits": 8, "step": float("inf")},
    {"id": "bfp", "bits": 8, "step": float("nan")},
    {"id": "bfp", "bits": 8, "step": 10**400},
    {"id": "bfp", "bits": 8, "step": None},
]
SCOPES: list[Any] = [
    *("", "axis", "axis:", "axis:64", "axis:-65", "axis:00", "axis:-0", "axis:1 ", "axis:+1"),
    *("block:0", "block:3", "block:-8", "block:524288", "Tensor", "tensor:0", 0, None, []),
]
BAD += [{"id": "bfp", "bits": 8, "scope": scope} for scope in SCOPES]
BAD += [{"id": "int8", "scope": scope} for scope in (*SCOPES, "block:8")]
BAD += [{"id": "int8", "bits": 8}, {"id": "int8", "axis": 0}]


@pytest.mark.parametrize("config", GOOD, ids=str)
def test_a_configuration_survives_its_codec(config: dict[str, Any]) -> None:
    codec = from_config(config)
    assert config.items() <= codec.config().items()
    assert from_config(codec.config()) == codec


@pytest.mark.parametrize("config", BAD, ids=lambda config: str(config)[:60])
def test_a_configuration_that_breaks_its_page(config: dict[str, Any]) -> None:
    with pytest.raises(CodecConfigError) as caught:
        from_config(config)
    assert caught.value.code == "codec_config"
    assert config["id"] in str(caught.value)


@pytest.mark.parametrize("name", ["Raw", "bfp2", "mcodec.codec.raw", "__class__", "raw\0"])
def test_an_unknown_codec(name: str) -> None:
    with pytest.raises(CodecConfigError, match="this mcodec knows: raw, float, bfp") as caught:
        from_config({"id": name})
    assert caught.value.code == "codec_unknown"


def test_every_entry_of_the_registry_is_what_it_says() -> None:
    options: dict[str, dict[str, Any]] = {"bfp": {"bits": 8}}
    for name, entry in CODECS.items():
        codec = from_config({"id": name, **options.get(name, {})})
        assert (codec.codec_id, type(codec).__name__) == (name, entry.name)


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("raw", RawCodec()),
        ("raw()", RawCodec()),
        ("float", FloatCodec()),
        ("float(keep=16)", FloatCodec(16)),
        ("bfp(bits=8)", BfpCodec(8)),
        ("  bfp ( bits = 8 , scope = axis:-1 ) ", BfpCodec(8, scope=Scope("axis", -1))),
        ("bfp(bits=8,step=0.25,)", BfpCodec(8, step=0.25)),
        ("bfp(bits=8,step=1)", BfpCodec(8, step=1.0)),
        ("int8", Int8Codec()),
        ("int8(scope=axis:-1)", Int8Codec(Scope("axis", -1))),
    ],
)
def test_codec_strings(text: str, codec: object) -> None:
    assert parse_codec(text) == codec


@pytest.mark.parametrize(
    "text",
    [
        *("", "(", ")", "bfp(", "bfp)", "bfp(bits)", "bfp(bits=)", "bfp(bits=8", "bfp(=8)"),
        *("bfp(bits=8))", "bfp(bits=8)x", "bfp bits=8", "bfp(bits=8 signs=full)", "raw,raw"),
        *("bfp(bits=8,bits=8)", "bfp(id=raw,bits=8)", "bfp(bits==8)", "8", "Raw", "bfp(bits=a=b)"),
        "raw(a=" * 40 + "raw" + ")" * 40,
    ],
)
def test_malformed_codec_strings(text: str) -> None:
    with pytest.raises(CodecConfigError, match="not of the form"):
        parse_codec(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bfp(bits=8,depth=2)", "has no option 'depth'; it has: bits, "),
        ("raw(keep=8)", "has no option 'keep'; it has: none"),
        ("float(keep=12.5)", "keep is an integer from 1 to 64, not 12.5"),
        ("float(keep=raw(x=1))", "keep is an integer"),
        ("bfp(bits=8,step=0.1)", "not 0.1; the nearest is 0.10000000149011612"),
        ("zfp", "unknown codec 'zfp'"),
        ("int8(axis=-1)", "codec int8 has no option 'axis'; it has: scope"),
        ("int8(scope=block:8)", "scope is tensor or axis:A (-64 to 63), not 'block:8'"),
    ],
)
def test_messages_say_what_to_do(text: str, message: str) -> None:
    with pytest.raises(CodecConfigError) as caught:
        parse_codec(text)
    assert message in str(caught.value)


def test_a_codec_refuses_runs_that_it_cannot_carry() -> None:
    shared: list[tuple[int, ...]] = [(1 << 18, 1), (3, 1)]
    cases: list[tuple[str, str, list[tuple[int, ...]], str]] = [
        ("float", "int32", [(2,)], "takes float16"),
        ("bfp(bits=8)", "complex64", [(2,)], "takes float16"),
        ("float(keep=17)", "bfloat16", [(2,)], "17"),
        ("bfp(bits=8,scope=axis:1)", "float32", [(2, 2), (2,)], "axis:1 needs that axis"),
        ("bfp(bits=8,scope=axis:-3)", "float32", [(2, 2)], "axis:-3 needs that axis"),
        ("bfp(bits=8,scope=axis:0)", "float32", [()], "axis:0 needs that axis"),
        ("bfp(bits=8,scope=axis:0)", "float32", [(1 << 25, 0), (1 << 26, 1)], "more scopes"),
        ("bfp(bits=8,scope=block:8)", "float32", shared, "at most one block"),
        ("int8", "int8", [(2,)], "codec int8 takes float16, bfloat16, float32, float64, not int8"),
        ("int8(scope=axis:1)", "float32", [(2, 2), (2,)], "axis:1 needs that axis"),
        ("int8(scope=axis:0)", "float32", [(1 << 25, 0), ((1 << 24) + 1, 1)], "more scopes"),
    ]
    for text, dtype, shapes, message in cases:
        with pytest.raises(CodecConfigError, match=message):
            parse_codec(text).check(RunSpec.of(dtype, shapes))
    parse_codec("bfp(bits=8)").check(RunSpec.of("float32", shared))
    parse_codec("float(keep=16)").check(RunSpec.of("bfloat16", shared))


def test_the_last_rule_of_a_plan_wins() -> None:
    plan = parse_plan(
        """
        [[tensor]]
        match = "*"
        codec = "float"
        [[tensor]]
        match = "B:*/kernel"
        codec = "bfp(bits=8)"
        [[tensor]]
        match = "B:head/*"
        codec = "raw"
        """,
        "plan.toml",
    )
    assert plan.codec("A", "x/kernel") == FloatCodec()
    assert plan.codec("B", "x/kernel") == BfpCodec(8)
    assert plan.codec("B", "head/kernel") == RawCodec()
    assert plan.codec("B", "HEAD/kernel") == BfpCodec(8)
    assert Plan().codec("A", "x") is None
    assert parse_plan("", "plan.toml").codec("A", "x") is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("tensor", ""),  # the parser says where itself
        ("[[tensors]]\nmatch='*'\ncodec='raw'", ":1:1"),
        ("\n[tensor]\nmatch='*'\ncodec='raw'", ":2:1"),
        ("[[tensor]]\nmatch='*'", ":1:1"),
        ("[[tensor]]\nmatch='*'\ncodec=8", ":3:7"),
        ("[[tensor]]\nmatch='*'\ncodec='raw'\nbits = 8", ":4:8"),
        ("[[tensor]]\nmatch='*'\ncodec='raw'\n[[tensor]]\ncodec  =   1.5\nmatch=''", ":5:12"),
        ("[plan]\ngoal='x'\nfile_bytes=1\n[[plan.task]]\nname='A'\nbytes='3'", ":6:7"),
        ('[[tensor]]\nmatch="""\n=\n\n"""\ncodec=[\n1,\n]', ":8:1"),
    ],
)
def test_a_file_that_is_no_plan(text: str, place: str) -> None:
    with pytest.raises(UsageError, match=rf"^plan\.toml{place}: not a plan"):
        parse_plan(text, "plan.toml")


def test_a_bad_codec_in_a_plan_names_the_plan_and_the_place() -> None:
    text = "[[tensor]]\nmatch='*'\ncodec='raw'\n\n[[tensor]]\nmatch='*'\ncodec = 'zfp'"
    with pytest.raises(CodecConfigError, match=r"^plan\.toml:7:9: unknown codec"):
        parse_plan(text, "plan.toml")


def test_a_plan_is_read_as_it_was_written() -> None:
    names = ["A:x", "B:w[0]*?", 'B:"quoted"\n', "B:[[]"]
    codec = parse_codec(f"bfp(bits=7,step={float(np.float32(0.1))!r},signs=compact)")
    rules = [
        PlanRule(name, codec_string(codec.config()), "float32[2, 3]", 10, 0.5, None, ["int8: no"])
        for name in names
    ]
    text = render_plan(PlanFile(PlanHead("--target-size 1M", 12, [PlannedTask("A", 3)]), rules))
    plan = parse_plan(text, "plan.toml")
    assert plan.file_bytes == 12
    assert list(plan.kinds) == names
    for name in names:
        task, _, tensor = name.partition(":")
        assert plan.codec(task, tensor) == codec
    assert plan.codec("B", "w00") is None
    assert plan.unused(names[1:]) == ["A:x"]
    tensors = {
        "A:x": TensorSpec("x", "float32", (2, 3)),
        "B:[[]": TensorSpec("[[]", "float32", (3, 2)),
        "C:more": TensorSpec("more", "uint8", ()),
    }
    assert plan.misfits(tensors) == [
        "B:w[0]*? is not there",
        'B:"quoted"\n is not there',
        "B:[[] is float32[3, 2], not float32[2, 3]",
        "C:more is not in the plan",
    ]


def test_the_last_rule_wins_also_over_one_that_names_a_tensor() -> None:
    rules = [("A:x", RawCodec()), ("A:*", FloatCodec()), ("A:y", RawCodec())]
    plan = Plan(rules)
    assert plan.codec("A", "x") == FloatCodec()
    assert plan.codec("A", "y") == RawCodec()
    assert plan.codec("B", "y") is None
    assert plan.unused(["A:y"]) == ["A:x"]
