"""What the command prints, word for word (transcripts.py says how to write it anew)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import transcripts
import zstandard

if TYPE_CHECKING:
    from pathlib import Path

# Stored sizes are those of the libzstd that constraints.txt pins.
SAME_SIZES = zstandard.ZSTD_VERSION == (1, 5, 7)


@pytest.mark.parametrize(
    "path", sorted(transcripts.TRANSCRIPTS.glob("*.txt")), ids=lambda p: p.stem
)
def test_the_command_prints_what_the_transcript_says(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path.stem.startswith("sizes") and not SAME_SIZES:
        pytest.skip("another libzstd packs to other sizes")
    monkeypatch.chdir(tmp_path)
    transcripts.write_models(tmp_path)
    expected = path.read_text()
    assert expected.count("$ mcodec ") > 2
    assert transcripts.replay(expected) == expected
