"""Invalid vectors: the manifest's types, limits, codecs, runs, tasks and pairs (rules 6 to 12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectors.cases import Invalid
from vectors.family import Family
from vectors.invalid_front import plain
from vectors.models import float_, raw
from vectors.writer import FILL, Draft

if TYPE_CHECKING:
    from collections.abc import Iterator

GONE = object()
HEX = "0" * 64


def base() -> Draft:
    """Make a file of two tasks, a skeleton and a pair; run 0 raw, 1 and 2 float, 3 the skeleton."""
    family = Family(coding="raw")
    family.add(raw("uint8", 1, [([3], b"abc"), ([2], b"de")]))
    for value in (0x3F800000, 0xBF800000):
        family.add(float_("float32", [([2, 2], [value] * 4)]))
    family.add(raw("uint8", 1, [([2], b"{}")]))
    family.task("A", {"w": (0, 0), "k": 1}, skeleton=3).task("B", {"v": (0, 1), "k": 2})
    family.pairs = [[1, 2]]
    return family.draft()


def changed(path: list[Any], value: object) -> bytes:
    """Build `base` with one place of its manifest changed."""
    draft = base()
    place: Any = draft.manifest
    for step in path[:-1]:
        place = place[step]
    if value is GONE:
        del place[path[-1]]
    elif path[-1] == "+":
        place.append(value)
    else:
        place[path[-1]] = value
    return draft.build()


# (name, what is broken, path into the manifest, value)
TYPES: list[tuple[str, str, list[Any], object]] = [
    ("codecs-missing", "no codecs", ["codecs"], GONE),
    ("runs-object", "runs are an object", ["runs"], {}),
    ("tasks-null", "tasks are null", ["tasks"], None),
    ("pairs-object", "pairs are an object", ["pairs"], {}),
    ("pair-one", "a pair of one run", ["pairs", 0], [1]),
    ("codec-no-id", "a codec without an id", ["codecs", 0], {}),
    ("codec-id-number", "a codec's id is a number", ["codecs", 0, "id"], 0),
    ("run-five", "a run of five items", ["runs", 0, 5], GONE),
    ("run-seven", "a run of seven items", ["runs", 0, "+"], None),
    ("run-codec-bool", "true is no integer", ["runs", 1, 0], True),
    ("run-codec-float", "1.0 is no integer", ["runs", 1, 0], 1.0),
    ("run-dtype-null", "a dtype is null", ["runs", 0, 1], None),
    ("run-members-number", "members are numbers", ["runs", 0, 2], [3, 2]),
    ("run-dimension-negative", "a dimension below zero", ["runs", 0, 2, 0], [-3]),
    ("run-dimension-float", "a dimension of 3.0", ["runs", 0, 2, 0], [3.0]),
    ("run-digest-null", "no digest", ["runs", 0, 3], None),
    ("run-errors-number", "errors are a number", ["runs", 0, 5], 0),
    ("task-array", "a task is an array", ["tasks", 0], []),
    ("task-no-name", "a task without a name", ["tasks", 0, "name"], GONE),
    ("task-no-tensors", "a task without tensors", ["tasks", 0, "tensors"], GONE),
    ("task-tensor-two", "a tensor of two items", ["tasks", 0, "tensors", 0], ["w", 0]),
    ("task-tensor-name", "a tensor's name is a number", ["tasks", 0, "tensors", 0, 0], 1),
    ("task-metadata-number", "metadata that is no string", ["tasks", 0, "metadata"], {"a": 1}),
    ("task-metadata-array", "metadata is an array", ["tasks", 0, "metadata"], []),
    ("task-format-number", "a format is a number", ["tasks", 0, "format"], 1),
    ("task-format-null", "a format is null", ["tasks", 0, "format"], None),
    ("task-meta-number", "kept words that are none", ["tasks", 0, "meta"], {"a": 1}),
    ("task-meta-null", "kept words are null", ["tasks", 0, "meta"], None),
    ("task-ties-null", "ties are null", ["tasks", 0, "ties"], None),
    ("task-ties-object", "ties are an object", ["tasks", 0, "ties"], {"1": 0}),
    ("task-ties-flat", "a tie is a number", ["tasks", 0, "ties"], [1, 0]),
    ("task-ties-three", "a tie of three tensors", ["tasks", 0, "ties"], [[2, 1, 0]]),
    ("task-ties-true", "true is no integer", ["tasks", 0, "ties"], [[True, 0]]),
    ("task-skeleton-null", "a skeleton is null", ["tasks", 0, "skeleton"], None),
    ("task-skeleton-text", "a skeleton is a string", ["tasks", 0, "skeleton"], "3"),
]
CONFIGS: list[tuple[str, str, dict[str, Any]]] = [
    ("raw-key", "raw has no keys", {"id": "raw", "level": 1}),
    ("float-key", "an unknown key", {"id": "float", "Keep": 8}),
    ("float-keep-0", "no bits", {"id": "float", "keep": 0}),
    ("float-keep-33", "more bits than the dtype has", {"id": "float", "keep": 33}),
    ("float-keep-true", "true is no integer", {"id": "float", "keep": True}),
    ("float-keep-fraction", "8.0 is no integer", {"id": "float", "keep": 8.0}),
    ("float-keep-null", "null is no integer", {"id": "float", "keep": None}),
    ("bfp-key", "an unknown key", {"id": "bfp", "bits": 8, "x": 1}),
    ("bfp-no-bits", "bits are missing", {"id": "bfp"}),
    ("bfp-bits-0", "no bits", {"id": "bfp", "bits": 0}),
    ("bfp-bits-25", "too many bits", {"id": "bfp", "bits": 25}),
    ("bfp-rounding", "an unknown rounding", {"id": "bfp", "bits": 8, "rounding": "up"}),
    ("bfp-signs", "unknown signs", {"id": "bfp", "bits": 8, "signs": "none"}),
    ("bfp-reconstruct", "an unknown way", {"id": "bfp", "bits": 8, "reconstruct": "high"}),
    ("bfp-mid-24", "mid of 24 bits", {"id": "bfp", "bits": 24, "reconstruct": "mid"}),
    ("bfp-scope", "an unknown scope", {"id": "bfp", "bits": 8, "scope": "row"}),
    ("bfp-scope-null", "a scope is null", {"id": "bfp", "bits": 8, "scope": None}),
    ("bfp-axis-text", "an axis without a number", {"id": "bfp", "bits": 8, "scope": "axis:"}),
    ("bfp-axis-zeros", "an axis with a leading zero", {"id": "bfp", "bits": 8, "scope": "axis:01"}),
    ("bfp-axis-64", "an axis above 63", {"id": "bfp", "bits": 8, "scope": "axis:64"}),
    ("bfp-axis-2", "an axis that a member has not", {"id": "bfp", "bits": 8, "scope": "axis:2"}),
    ("bfp-axis-low", "the same, from the end", {"id": "bfp", "bits": 8, "scope": "axis:-3"}),
    ("bfp-block-3", "no power of two", {"id": "bfp", "bits": 8, "scope": "block:3"}),
    ("bfp-block-0", "blocks of nothing", {"id": "bfp", "bits": 8, "scope": "block:0"}),
    ("bfp-block-long", "blocks above 2^18", {"id": "bfp", "bits": 8, "scope": "block:524288"}),
    ("bfp-step-0", "a step of zero", {"id": "bfp", "bits": 8, "step": 0}),
    ("bfp-step-negative", "a step below zero", {"id": "bfp", "bits": 8, "step": -0.5}),
    ("bfp-step-subnormal", "a subnormal step", {"id": "bfp", "bits": 8, "step": 2.0**-127}),
    ("bfp-step-large", "a step above float32", {"id": "bfp", "bits": 8, "step": 2.0**128}),
    ("bfp-step-huge", "a step above float64", {"id": "bfp", "bits": 8, "step": 10**400}),
    ("bfp-step-wide", "a step that is no float32", {"id": "bfp", "bits": 8, "step": 0.1}),
    ("bfp-step-text", "a step is a string", {"id": "bfp", "bits": 8, "step": "0.5"}),
    ("bfp-step-true", "true is no number", {"id": "bfp", "bits": 8, "step": True}),
    ("bfp-step-null", "null is no number", {"id": "bfp", "bits": 8, "step": None}),
    (
        "bfp-step-scope",
        "a step and scopes",
        {"id": "bfp", "bits": 8, "step": 0.5, "scope": "axis:0"},
    ),
]
RUNS: list[tuple[str, str, str, list[Any], object]] = [
    ("codec-range", "manifest_reference", "a codec that is not there", ["runs", 0, 0], 2),
    ("codec-negative", "manifest_reference", "codec -1", ["runs", 0, 0], -1),
    ("dtype-name", "dtype_unknown", "an unknown dtype", ["runs", 0, 1], "float128"),
    ("dtype-v0", "dtype_unknown", "elements of no bytes", ["runs", 0, 1], "V0"),
    ("dtype-v01", "dtype_unknown", "a leading zero", ["runs", 0, 1], "V01"),
    ("dtype-v65537", "dtype_unknown", "elements too long", ["runs", 0, 1], "V65537"),
    ("float-of-int", "codec_config", "a dtype that float does not take", ["runs", 1, 1], "int32"),
    ("dimensions-65", "limit_exceeded", "65 dimensions", ["runs", 0, 2, 0], [1] * 65),
    ("dimension-long", "limit_exceeded", "a dimension of 2^48", ["runs", 0, 2, 0], [2**48]),
    ("dimension-huge", "limit_exceeded", "a dimension of 2^64", ["runs", 0, 2, 0], [2**64]),
    ("dimension-long-empty", "limit_exceeded", "beside a 0", ["runs", 0, 2, 0], [0, 2**48]),
    ("product-long", "limit_exceeded", "a product of 2^48", ["runs", 0, 2, 0], [2**24, 2**24]),
    (
        "product-long-empty",
        "limit_exceeded",
        "the nonzero dimensions give 2^50",
        ["runs", 0, 2, 0],
        [2**25, 0, 2**25],
    ),
    ("count-long", "limit_exceeded", "an N of 2^48", ["runs", 0, 2], [[2**47], [2**47]]),
    ("digest-upper", "manifest_invalid", "an upper-case digest", ["runs", 0, 3], "A" * 64),
    ("digest-short", "manifest_invalid", "63 digits", ["runs", 0, 3], HEX[:-1]),
    ("source-alone", "manifest_invalid", "a source without errors", ["runs", 0, 4], HEX),
    ("errors-alone", "manifest_invalid", "errors without a source", ["runs", 0, 5], [None, None]),
    (
        "source-short",
        "manifest_invalid",
        "63 digits",
        ["runs", 0, slice(4, 6)],
        [HEX[1:], [None] * 2],
    ),
    (
        "errors-count",
        "manifest_invalid",
        "an item too few",
        ["runs", 0, slice(4, 6)],
        [HEX, [None]],
    ),
    (
        "errors-two",
        "manifest_invalid",
        "two numbers",
        ["runs", 0, slice(4, 6)],
        [HEX, [None, [0, 0]]],
    ),
    (
        "errors-negative",
        "manifest_invalid",
        "an error below zero",
        ["runs", 0, slice(4, 6)],
        [HEX, [None, [0, -1e-9, 0]]],
    ),
]
TASKS: list[tuple[str, str, str, list[Any], object]] = [
    ("name-empty", "manifest_invalid", "an empty name", ["tasks", 0, "name"], ""),
    ("name-twice", "manifest_invalid", "a name twice", ["tasks", 1, "name"], "A"),
    ("name-long", "limit_exceeded", "4,097 bytes", ["tasks", 0, "name"], "ü" * 2048 + "x"),
    ("tensor-twice", "manifest_invalid", "a name twice", ["tasks", 0, "tensors", 1, 0], "w"),
    ("tensor-long", "limit_exceeded", "4,097 bytes", ["tasks", 0, "tensors", 0, 0], "x" * 4097),
    (
        "tensor-run",
        "manifest_reference",
        "a run that is not there",
        ["tasks", 0, "tensors", 0, 1],
        4,
    ),
    ("tensor-member", "manifest_reference", "no such member", ["tasks", 0, "tensors", 0, 2], 2),
    ("skeleton-run", "manifest_reference", "a run that is not there", ["tasks", 0, "skeleton"], 4),
    ("skeleton-members", "manifest_reference", "of two members", ["tasks", 0, "skeleton"], 0),
    ("skeleton-dtype", "manifest_reference", "of float32", ["tasks", 0, "skeleton"], 1),
    ("skeleton-shape", "manifest_reference", "of two dimensions", ["runs", 3, 2, 0], [1, 2]),
    ("pair-run", "manifest_reference", "a run that is not there", ["pairs", 0, 1], 4),
    ("tensor-run-negative", "manifest_reference", "run -1", ["tasks", 0, "tensors", 0, 1], -1),
    (
        "tensor-member-negative",
        "manifest_reference",
        "member -1",
        ["tasks", 0, "tensors", 0, 2],
        -1,
    ),
    ("skeleton-negative", "manifest_reference", "run -1", ["tasks", 0, "skeleton"], -1),
    ("pair-negative", "manifest_reference", "run -2", ["pairs", 0, 1], -2),
    ("pair-itself", "manifest_reference", "a run and itself", ["pairs", 0, 1], 1),
    ("pair-twice", "manifest_reference", "a run in two pairs", ["pairs", "+"], [2, 1]),
    ("pair-codec", "manifest_reference", "other members, dtype and codec", ["pairs", 0, 1], 0),
    ("pair-shape", "manifest_reference", "other shapes", ["runs", 2, 2, 0], [4]),
]


TIES: list[tuple[str, str, list[list[int]]]] = [
    ("itself", "a tensor with itself", [[1, 1]]),
    ("order", "the earlier first", [[0, 1]]),
    ("range", "a tensor that is not there", [[4, 0]]),
    ("negative", "tensor -4", [[1, -4]]),
    ("negative-later", "tensor -1", [[-1, 0]]),
    ("member", "another member of the run", [[3, 0]]),
    ("twice", "a later one twice", [[2, 0], [2, 1]]),
    ("again", "the same tie twice", [[1, 0], [1, 0]]),
    ("chain", "a later one as an earlier one", [[1, 0], [2, 1]]),
    ("chain-last", "the same in the other order", [[2, 1], [1, 0]]),
]


def tied(ties: list[list[int]]) -> dict[str, Any]:
    """Give a task of three names of one member and one of another."""
    tensors = [["w", 0, 0], ["v", 0, 0], ["u", 0, 0], ["b", 0, 1]]
    return {"name": "A", "tensors": tensors, "ties": ties}


def table_cases() -> Iterator[Invalid]:
    """One place of a sound manifest changed."""
    for name, text, path, value in TYPES:
        yield Invalid(f"type-{name}", "manifest_invalid", text, changed(path, value))
    yield Invalid(
        "codec-unknown", "codec_unknown", "an unknown codec", changed(["codecs", 0], {"id": "rle"})
    )
    for name, text, config in CONFIGS:
        place = 0 if config["id"] == "raw" else 1
        yield Invalid(f"config-{name}", "codec_config", text, changed(["codecs", place], config))
    for kind, table in (("run", RUNS), ("task", TASKS)):
        for name, code, text, path, value in table:
            yield Invalid(f"{kind}-{name}", code, text, changed(path, value))
    for name, text, ties in TIES:
        data = changed(["tasks", 0], tied(ties))
        yield Invalid(f"task-ties-{name}", "manifest_reference", text, data)


def other_cases() -> Iterator[Invalid]:
    """Give the cases that take more than one change."""
    draft = base()
    draft.text = changed_text("null,null]", f'"{HEX}",[null,[1e999,0,0]]]')
    text = "an error that is no finite float64"
    yield Invalid("run-errors-infinite", "manifest_invalid", text, draft.build())
    draft = base()
    draft.manifest["codecs"][1] = {"id": "bfp", "bits": 1, "scope": "block:8"}
    draft.manifest["runs"][1][2] = [[2**18], [1]]
    text = "block scopes in a run of several members and more than 2^18 elements"
    yield Invalid("run-block-scope-long", "codec_config", text, draft.build())
    draft = base()
    draft.manifest["runs"][0][1:3] = ["int8", [[2, 2]]]
    draft.manifest["pairs"] = [[0, 2]]
    draft.manifest["runs"][0][0] = 1
    draft.manifest["runs"][0][1] = "bfloat16"
    draft.manifest["tasks"][1]["tensors"] = []
    yield Invalid("task-pair-dtype", "manifest_reference", "a pair of two dtypes", draft.build())
    draft = base()
    draft.manifest["codecs"].append({"id": "bfp", "bits": 8})
    draft.manifest["runs"][2][0] = 2
    yield Invalid("task-pair-codec-id", "manifest_reference", "a pair of two codecs", draft.build())


def changed_text(old: str, new: str) -> bytes:
    """Change the text of the manifest of `base` in one place."""
    text = base().json()
    assert old.encode() in text
    return text.replace(old.encode(), new.encode(), 1)


def limit_cases() -> Iterator[Invalid]:
    """Count above the limits, and ask a small file for much."""
    for key, item in (("codecs", {"id": "raw"}), ("tasks", {"name": "", "tensors": []})):
        draft = plain()
        draft.manifest[key] = [item] * (2**16 + 1)
        yield Invalid(f"limit-{key}", "limit_exceeded", f"2^16 + 1 {key}", draft.build())
    draft = plain()
    draft.manifest["runs"][0][2] = [[0]] * (2**20 + 1)
    yield Invalid("limit-members", "limit_exceeded", "2^20 + 1 members", draft.build())
    draft = plain()
    half = {"name": "", "tensors": [["w", 0, 0]] * (2**19 + 1)}
    draft.manifest["tasks"] = [half, half]
    yield Invalid("limit-tensors", "limit_exceeded", "2^20 + 2 tensors in two tasks", draft.build())
    family = Family()
    family.add(raw("uint8", 1, [([2**25], bytes(2**25))]))
    draft = family.task("A", {f"w{i}": 0 for i in range(33)}).draft()
    assert all(c.coder == FILL for c in draft.chunks)
    text = "an array of 32 MiB in a few rows, named 33 times: more than 1 GiB"
    yield Invalid("limit-decoded", "decoded_too_large", text, draft.build())


def cases() -> Iterator[Invalid]:
    """All cases of this module."""
    yield from table_cases()
    yield from other_cases()
    yield from limit_cases()
