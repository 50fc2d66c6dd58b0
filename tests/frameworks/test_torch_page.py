"""The snippets of docs/serving.md run, in order, and do what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def test_the_snippets_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(snippets) >= 6
    names: dict[str, Any] = {}
    for snippet in snippets:
        before = text[: text.index(snippet)].count("\n")
        # Lines of an error are those of the page; `open` without `with` would be a warning.
        exec(compile("\n" * before + snippet, str(PAGE), "exec"), names)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("B ('A', 'B') ")
    assert said[1] == "torch.Size([1, 10])"
    there, whole = (int(number) for number in re.findall(r"\d+", said[2]))
    assert 0 < there < whole
    assert said[3:] == ["True None"]
    head = names["model"][2].weight
    assert head.shape == (2, 32)
    assert torch.equal(head.cpu(), torch.load("B.pt")["2.weight"])
    assert names["room"]["2.weight"].tobytes() == head.detach().cpu().numpy().tobytes()
