"""What the command prints, word for word (transcripts.py says how to write it anew)."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

import pytest
import transcripts
import zstandard

if TYPE_CHECKING:
    from pathlib import Path

# Stored sizes are those of the libzstd that constraints.txt pins, the help's form is its click's.
NEEDS = {
    "sizes": zstandard.ZSTD_VERSION == (1, 5, 7),
    "help": importlib.metadata.version("click").startswith("8.5."),
}


@pytest.mark.parametrize(
    "path", sorted(transcripts.TRANSCRIPTS.glob("*.txt")), ids=lambda p: p.stem
)
def test_the_command_prints_what_the_transcript_says(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not NEEDS.get(path.stem.split("-", maxsplit=1)[0], True):
        pytest.skip("written with another version of a library")
    monkeypatch.chdir(tmp_path)
    transcripts.write_models(tmp_path)
    expected = path.read_text()
    assert expected.count("$ mcodec ") > 2
    assert transcripts.replay(expected) == expected
