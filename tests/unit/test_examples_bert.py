"""A Transformers model with weights out of a `.mc` file embeds as with those of safetensors."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import mcodec

if TYPE_CHECKING:
    from collections.abc import Iterator

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "bert"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield importlib.import_module("embed")
    sys.modules.pop("embed", None)


@pytest.fixture
def weights(example: Any) -> Path:
    path = example.published()
    if path is None:
        pytest.skip("the package of MiniLM cannot be had here")
    return Path(path)


def test_embeddings(example: Any, weights: Path, tmp_path: Path) -> None:
    ids, mask = example.sentences()
    assert ids.shape == mask.shape == (8, 32)
    assert bool(((ids != 0) == (mask != 0)).all())
    theirs = example.embed(example.from_safetensors(weights), ids, mask)
    assert theirs.shape == (8, 384)
    assert float((theirs @ theirs.T).fill_diagonal_(0).max()) < 0.99  # sentences differ
    for bits, least in ((None, 1.0), (12, 0.999), (8, 0.95)):
        mcodec.pack(weights, tmp_path / "x.mc", bits=bits)
        ours = example.embed(example.from_mc(tmp_path / "x.mc"), ids, mask)
        if bits is None:
            assert torch.equal(ours, theirs)
        else:
            assert not torch.equal(ours, theirs)
            assert float((ours * theirs).sum(1).min()) > least


def test_the_script(example: Any, weights: Path) -> None:
    from click.testing import CliRunner

    done = CliRunner().invoke(example.main, [str(weights), "--bits", "12"])
    assert done.exit_code == 0, done.output
    assert "bit for bit: no" in done.output
    assert "cosine: 0.999" in done.output or "cosine: 1.0" in done.output
