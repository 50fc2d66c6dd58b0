"""The manifest: steps 6 to 12 of spec/container.md, section 6, each with its reason code."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from mcodec import limits
from mcodec.codec.registry import from_config
from mcodec.container.checked import Checked
from mcodec.container.manifest import Manifest, Run, Task, Tensor, decode
from mcodec.errors import FormatError

DIGEST = "0" * 64
LOSSY = [[1.0, 2.0, 3.0], None]


def manifest() -> dict[str, Any]:
    """Return a manifest with every kind of thing in it."""
    return {
        "writer": "a test",
        "codecs": [{"id": "float"}, {"id": "bfp", "bits": 8}, {"id": "raw"}],
        "runs": [
            [1, "float32", [[2, 3], []], DIGEST, DIGEST, LOSSY],
            [1, "float32", [[2, 3], []], DIGEST, DIGEST, LOSSY],
            [0, "float32", [[5]], DIGEST, None, None],
            [2, "uint8", [[7]], DIGEST, None, None],
        ],
        "tasks": [
            {"name": "A", "tensors": [["w", 0, 0], ["b", 0, 1], ["again", 0, 0]], "skeleton": 3},
            {"name": "B", "tensors": [["", 1, 0]], "metadata": {"k": "v"}, "format": "hdf5"},
        ],
        "pairs": [[0, 1]],
    }


def check(value: Any, budget: int = 1 << 30) -> Checked:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Checked(decode(text), from_config, budget)


def code(value: Any, budget: int = 1 << 30) -> str:
    with pytest.raises(FormatError) as caught:
        check(value, budget)
    assert "\n" not in str(caught.value)
    return caught.value.code


def changed(path: str, new: Any) -> dict[str, Any]:
    """Return the manifest with the value at a path like ``runs.0.1`` replaced; None: taken away."""
    whole = copy.deepcopy(manifest())
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    inner: Any = whole
    for step in steps:
        inner = inner[step]
    if new is DELETE:
        del inner[last]
    else:
        inner[last] = new
    return whole


DELETE = object()


def test_a_manifest_that_keeps_all_rules() -> None:
    checked = check(manifest())
    assert [codec.codec_id for codec in checked.codecs] == ["float", "bfp", "raw"]
    assert [run.elements for run in checked.runs] == [9, 9, 5, 7]
    assert checked.codec(2).codec_id == "float"
    assert checked.manifest.tasks[1].metadata == {"k": "v"}


def test_what_is_written_is_read() -> None:
    runs = [Run(0, "float32", [(2,)], DIGEST, None, None)]
    whole = Manifest([{"id": "float"}], runs, [Task("A", [Tensor("w", 0, 0)])])
    text = whole.encode("a test")
    assert decode(text) == whole
    value = json.loads(text)
    assert value["writer"] == "a test"
    assert set(value) == {"writer", "codecs", "runs", "tasks"}
    assert set(value["tasks"][0]) == {"name", "tensors"}


@pytest.mark.parametrize("path", ["note", "tasks.0.note"])
def test_other_keys_are_ignored(path: str) -> None:
    check(changed(path, {"any": [None]}))


NAME = "ü" * 2048  # 4,096 bytes
SIDE = 2**48
CASES: list[tuple[str, Any, str]] = [
    ("codecs", DELETE, "manifest_invalid"),
    ("runs", DELETE, "manifest_invalid"),
    ("tasks", DELETE, "manifest_invalid"),
    ("codecs", {}, "manifest_invalid"),
    ("codecs.0", [], "manifest_invalid"),
    ("runs.0", {}, "manifest_invalid"),
    ("runs.0.5", DELETE, "manifest_invalid"),
    ("runs.0", [1, "float32", [], DIGEST, None, None, None], "manifest_invalid"),
    ("runs.0.0", 1.0, "manifest_invalid"),
    ("runs.0.0", True, "manifest_invalid"),
    ("runs.0.0", "1", "manifest_invalid"),
    ("runs.0.2.0", [2.0, 3], "manifest_invalid"),
    ("runs.0.2.0", [2, True], "manifest_invalid"),
    ("runs.0.2.0", [None], "manifest_invalid"),
    ("runs.0.3", None, "manifest_invalid"),
    ("runs.2.2", [], "manifest_invalid"),
    ("runs.0.5", [[1.0, 2.0], None], "manifest_invalid"),
    ("runs.0.5", [["1", 2.0, 3.0], None], "manifest_invalid"),
    ("tasks.0.name", DELETE, "manifest_invalid"),
    ("tasks.0.name", 1, "manifest_invalid"),
    ("tasks.0.tensors", DELETE, "manifest_invalid"),
    ("tasks.0.tensors.0", ["w", 0], "manifest_invalid"),
    ("tasks.0.tensors.0", ["w", 0, 0, 0], "manifest_invalid"),
    ("tasks.0.tensors.0", [1, 0, 0], "manifest_invalid"),
    ("tasks.1.metadata", {"k": 1}, "manifest_invalid"),
    ("tasks.1.metadata", [], "manifest_invalid"),
    ("tasks.1.format", 7, "manifest_invalid"),
    ("tasks.1.format", None, "manifest_invalid"),
    ("tasks.0.skeleton", "3", "manifest_invalid"),
    ("tasks.0.skeleton", None, "manifest_invalid"),
    ("pairs", [0, 1], "manifest_invalid"),
    ("codecs.0", {"id": "zfp"}, "codec_unknown"),
    ("codecs.0", {}, "manifest_invalid"),
    ("codecs.0", {"id": 5}, "manifest_invalid"),
    ("codecs.0", {"id": ""}, "codec_unknown"),
    ("codecs.0", {"id": "float", "keep": 99}, "codec_config"),
    ("codecs.1", {"id": "bfp", "bits": 8.0}, "codec_config"),
    ("runs.0.0", 3, "manifest_reference"),
    ("runs.0.0", -1, "manifest_reference"),
    ("runs.0.0", 2**70, "manifest_reference"),
    ("runs.0.1", "float31", "dtype_unknown"),
    ("runs.0.1", "V65537", "dtype_unknown"),
    ("runs.0.2.0", [1] * 65, "limit_exceeded"),
    ("runs.0.2.0", [0, SIDE], "limit_exceeded"),
    ("runs.0.2.0", [0, 2**24, 2**24], "limit_exceeded"),
    ("runs.0.2.0", [2**100], "limit_exceeded"),
    ("runs.0.2", [[SIDE // 2], [SIDE // 2]], "limit_exceeded"),
    ("runs.0.2.0", [-1], "manifest_invalid"),
    ("runs.0.3", "0" * 63, "manifest_invalid"),
    ("runs.0.3", "A" * 64, "manifest_invalid"),
    ("runs.0.3", DIGEST + "\n", "manifest_invalid"),
    ("runs.0.4", "g" * 64, "manifest_invalid"),
    ("runs.0.4", None, "manifest_invalid"),
    ("runs.0.5", None, "manifest_invalid"),
    ("runs.0.5", [None], "manifest_invalid"),
    ("runs.0.5", [[-1.0, 0.0, 0.0], None], "manifest_invalid"),
    ("runs.2.4", DIGEST, "manifest_invalid"),
    ("runs.2.1", "int32", "codec_config"),
    ("tasks.0.name", "", "manifest_invalid"),
    ("tasks.1.name", "A", "manifest_invalid"),
    ("tasks.1.name", NAME + "x", "limit_exceeded"),
    ("tasks.0.tensors.1.0", "w", "manifest_invalid"),
    ("tasks.0.tensors.1.0", NAME + "x", "limit_exceeded"),
    ("tasks.0.tensors.0.1", 4, "manifest_reference"),
    ("tasks.0.tensors.0.1", -1, "manifest_reference"),
    ("tasks.0.tensors.0.2", 2, "manifest_reference"),
    ("tasks.0.tensors.0.2", -1, "manifest_reference"),
    ("tasks.0.skeleton", 4, "manifest_reference"),
    ("tasks.0.skeleton", -1, "manifest_reference"),
    ("tasks.0.skeleton", 2, "manifest_reference"),
    ("runs.3.2", [[1, 7]], "manifest_reference"),
    ("runs.3.2", [[7], [1]], "manifest_reference"),
    ("pairs", [[0]], "manifest_invalid"),
    ("pairs", [[]], "manifest_invalid"),
    ("pairs", [[0, 0]], "manifest_reference"),
    ("pairs", [[0, 1], [1, 0]], "manifest_reference"),
    ("pairs", [[0, 4]], "manifest_reference"),
    ("pairs", [[-1, 0]], "manifest_reference"),
    ("pairs", [[0, 2]], "manifest_reference"),
    ("runs.1.2", [[3, 2], []], "manifest_reference"),
    ("runs.1.1", "float16", "manifest_reference"),
]


@pytest.mark.parametrize(("path", "new", "expected"), CASES, ids=lambda value: str(value)[:40])
def test_every_rule(path: str, new: Any, expected: str) -> None:
    assert code(changed(path, new)) == expected


@pytest.mark.parametrize(
    ("path", "new"),
    [
        ("pairs", []),
        ("pairs", DELETE),
        ("tasks", []),
        ("tasks.0.tensors", []),
        ("tasks.0.name", NAME),
        ("tasks.0.tensors.1.0", NAME),
        ("runs.2.2", [[0, 2**47]]),
        ("runs.2.2", [[1] * 64]),
        ("runs.2.1", "bfloat16"),
        ("runs.0.5", [[0, 0, 0], None]),
        ("runs.3.2", [[0]]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_edges_that_are_inside(path: str, new: Any) -> None:
    check(changed(path, new))


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"{", b"[]", b"null", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"codecs": NaN}', b"{} x"),
        json.dumps(manifest()).encode() + b"\0",
        b'{"codecs":[],"runs":[],"tasks":[],"a":"\\ud800"}',
    ],
)
def test_text_that_is_no_manifest(text: bytes) -> None:
    assert code(text) == "manifest_invalid"


def test_infinity_is_no_number() -> None:
    text = json.dumps(manifest()).replace("2.0", "1e999", 1).encode()
    assert code(text) == "manifest_invalid"


def nested(depth: int) -> bytes:
    """Return a manifest in which brackets nest `depth` deep."""
    inner = "[" * (depth - 1) + "]" * (depth - 1)
    return b'{"codecs":[],"runs":[],"tasks":[],"note":' + inner.encode() + b"}"


def test_the_depth_of_brackets() -> None:
    check(nested(limits.MAX_JSON_DEPTH))
    assert code(nested(limits.MAX_JSON_DEPTH + 1)) == "limit_exceeded"
    assert code(b"[" * 100_000) == "limit_exceeded"
    assert code(b'{"a":' * 33) == "limit_exceeded"


@pytest.mark.parametrize("text", ["[" * 100, "{[" * 50, '\\"[' * 60, "]" * 99, "\\\\"])
def test_brackets_in_strings_do_not_count(text: str) -> None:
    value = json.dumps({**manifest(), "note": text}).encode()
    check(value)


def test_the_budget_counts_aliases_and_the_skeleton() -> None:
    total = 4 * (6 + 1 + 6) + 7
    check(manifest(), total)
    assert code(manifest(), total - 1) == "decoded_too_large"
    with pytest.raises(FormatError, match="--max-decoded"):
        check(manifest(), 1)


@pytest.mark.parametrize("name", ["MAX_CODECS", "MAX_TASKS", "MAX_TENSORS"])
def test_counts(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    most = {"MAX_CODECS": 3, "MAX_TASKS": 2, "MAX_TENSORS": 6}[name]
    monkeypatch.setattr(limits, name, most)
    check(manifest())
    monkeypatch.setattr(limits, name, most - 1)
    assert code(manifest()) == "limit_exceeded"
