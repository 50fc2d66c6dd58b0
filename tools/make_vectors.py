"""Make the vectors of `spec/vectors`, or check them.

``python tools/make_vectors.py`` writes the vectors that are not there yet and never overwrites
one: vectors are append-only (spec/README.md). ``--check`` makes all of them again in memory and
compares what they decode to (a zstd frame's bytes may differ from one libzstd to the next).
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vectors import (
    invalid_based,
    invalid_bases,
    invalid_chunks,
    invalid_front,
    invalid_int8,
    invalid_manifest,
    invalid_rows,
    invalid_sparse,
    valid_bases,
    valid_bfp,
    valid_container,
    valid_csr,
    valid_delta,
    valid_int8,
    valid_mask,
    valid_plain,
)

if TYPE_CHECKING:
    from types import ModuleType

    from vectors.cases import Invalid, Valid

SPEC = Path(__file__).resolve().parent.parent / "spec"
FOLDER = SPEC / "vectors"
SINCE = "1.0"
VALID = [valid_plain, valid_bfp, valid_container, valid_int8, valid_csr, valid_bases]
VALID += [valid_delta, valid_mask]
INVALID = [invalid_front, invalid_manifest, invalid_rows, invalid_chunks]
INVALID += [invalid_bases, invalid_sparse, invalid_based, invalid_int8]


def reference_decoder() -> ModuleType:
    """Load the reference decoder, which is not installed."""
    sys.path.insert(0, str(SPEC))
    try:
        return importlib.import_module("reference_decoder")
    finally:
        sys.path.remove(str(SPEC))


def all_cases() -> dict[str, Valid | Invalid]:
    """Give all cases by the path of their file in the folder."""
    cases: dict[str, Valid | Invalid] = {}
    for module in VALID:
        cases |= {f"valid/{case.name}.mc": case for case in module.cases()}
    for other in INVALID:
        cases |= {f"invalid/{case.name}.mc": case for case in other.cases()}
    return cases


def read_manifest() -> dict[str, Any]:
    """Read what is known of the vectors: path -> entry."""
    path = FOLDER / "manifest.json"
    entries: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return entries


def shown(tasks: dict[str, Any]) -> dict[str, Any]:
    """Describe decoded tasks as the manifest does."""
    return {
        task: {
            name: {"dtype": dtype, "shape": list(shape), "sha256": hashlib.sha256(data).hexdigest()}
            | ({"hex": data.hex()} if len(data) <= 64 else {})
            for name, (dtype, shape, data) in tensors.items()
        }
        for task, tensors in tasks.items()
    }


def outcome(data: bytes, entry: dict[str, Any], decoder: ModuleType) -> dict[str, Any]:
    """Decode or be refused, and describe that as the entry of the manifest would."""
    found = {k: v for k, v in entry.items() if k in ("sha256", "since", "shows", "partial")}
    partial = entry.get("partial", False)
    try:
        found["tasks"] = shown(decoder.decode(data, partial))
        for ask in entry.get("derived", []):
            planes, mid, dither = ask["planes"], ask["midpoint"], ask["dither"]
            tasks = decoder.decode(data, partial, planes=planes, mid=mid, dither=dither)
            found.setdefault("derived", []).append(ask | {"tasks": shown(tasks)})
    except decoder.Refused as refusal:
        return {k: v for k, v in found.items() if k != "tasks"} | {"code": refusal.code}
    return found


def write() -> int:
    """Write the vectors that are not there."""
    entries = read_manifest()
    new = {path: case for path, case in all_cases().items() if path not in entries}
    for path, case in new.items():
        target = FOLDER / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:  # refuses to overwrite
            file.write(case.data)
        entries[path] = {
            "sha256": hashlib.sha256(case.data).hexdigest(),
            "since": SINCE,
        } | case.entry()
    text = ",\n".join(
        f" {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in entries.items()
    )
    (FOLDER / "manifest.json").write_text("{\n" + text + "\n}\n", "utf-8")
    print(f"{len(new)} vectors written, {len(entries)} in all")
    return 0


def check() -> int:
    """Make all vectors again in memory, and compare what they decode to."""
    decoder = reference_decoder()
    entries, cases = read_manifest(), all_cases()
    wrong = [f"{path}: in the manifest or made, not both" for path in entries.keys() ^ cases.keys()]
    wrong += [
        f"{path}: made again, it decodes to something else"
        for path in entries.keys() & cases.keys()
        if outcome(cases[path].data, entries[path], decoder) != entries[path]
    ]
    print("\n".join(sorted(wrong) or [f"{len(entries)} vectors are as they were"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit("usage: python tools/make_vectors.py [--check]")
    sys.exit(check() if sys.argv[1:] else write())
