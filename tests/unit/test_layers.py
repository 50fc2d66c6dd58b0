"""The shape of the code: small files, and nothing heavy behind `ls` and `--help`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mcodec
from support import cases

ROOT = Path(__file__).parents[2]
MOST_LINES = 320
HEAVY = (
    "numpy",
    "ml_dtypes",
    "h5py",
    "torch",
    "keras",
    "rich",
    "fsspec",
    "safetensors",
    "matplotlib",
)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_file_is_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{lines} lines: cut it in two"


def loaded(code: str, *arguments: str) -> set[str]:
    """Run code in a Python of its own, and return the top names that it imported."""
    code += "\nimport json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    modules: list[str] = json.loads(done.stderr.splitlines()[-1])
    return {name.partition(".")[0] for name in modules}


MAIN = """
import sys
from mcodec.cli.app import main
try:
    main(sys.argv[1:])
except SystemExit as error:
    assert error.code == 0, error.code
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["ls", "--help"], ["pack", "--help"], ["sweep", "--help"]],
    ids=str,
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert loaded(MAIN, *arguments).isdisjoint(HEAVY)


@pytest.mark.parametrize("options", [[], ["--json"]], ids=str)
def test_ls_loads_nothing_heavy(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack({"A": cases.network(1), "B": cases.network(2)}, path, bits=12, jobs=1)
    assert loaded(MAIN, "ls", str(path), *options).isdisjoint(HEAVY)


def test_opening_a_file_loads_nothing_heavy(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    plan = tmp_path / "plan.toml"
    plan.write_text('[[tensor]]\nmatch = "*"\ncodec = "bfp(bits=8,step=0.5)"')
    mcodec.pack({"A": {"w": cases.weights("float32", (9, 9))}}, path, plan=plan, jobs=1)
    code = "import sys, mcodec\nwith mcodec.open(sys.argv[1]) as f: assert f.tasks == ('A',)"
    assert loaded(code, str(path)).isdisjoint(HEAVY)


def test_the_package_itself_is_light() -> None:
    names = loaded("import mcodec\nmcodec.errors.FormatError")
    assert names.isdisjoint((*HEAVY, "msgspec", "zstandard", "xxhash"))


def test_reading_loads_no_format(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack({"A": cases.network()}, path, jobs=1)
    code = "import sys, mcodec\nwith mcodec.open(sys.argv[1]) as f: dict(f.task())"
    assert loaded(code, str(path)).isdisjoint(("h5py", "torch", "keras", "rich", "fsspec"))
