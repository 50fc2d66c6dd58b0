"""MiniLM out of a `.mc` file, beside MiniLM out of its safetensors file.

    python examples/bert/embed.py [model.safetensors] [--bits 12]

Without a file it takes all-MiniLM-L6-v2 out of a published package. No hub is asked, and no
tokenizer is needed: token ids are drawn.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import click
import safetensors.torch
import torch
import transformers

import mcodec
import mcodec.torch

CONFIG: Final = {
    "vocab_size": 30_522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1_536,
    "max_position_embeddings": 512,
}
SENTENCES, LONGEST = 8, 32
FIRST, LAST, WORDS = 101, 102, (1_000, 30_000)  # token ids: [CLS], [SEP], whole words


def build() -> Any:
    """Return the network, with random weights."""
    return transformers.BertModel(transformers.BertConfig(**CONFIG)).eval()


def wanted(name: str) -> str | None:
    """Leave out positions: they are 0 to 511, and models of newer releases do not store them."""
    return None if name == "embeddings.position_ids" else name


def from_safetensors(weights: Path) -> Any:
    """Return the network with the weights of a safetensors file."""
    model = build()
    state = safetensors.torch.load_file(weights)
    model.load_state_dict({key: value for key, value in state.items() if wanted(key)})
    return model


def from_mc(path: Path) -> Any:
    """Return the network with the weights of a `.mc` file, written into it in place."""
    model = build()
    mcodec.torch.load_model(model, path, rename=wanted)
    return model


def sentences(seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and the mask of what is no padding, both int64 (sentences, tokens)."""
    rng = torch.Generator().manual_seed(seed)
    ids = torch.randint(*WORDS, (SENTENCES, LONGEST), generator=rng)
    lengths = torch.randint(4, LONGEST, (SENTENCES, 1), generator=rng)
    at = torch.arange(LONGEST)
    ids[:, 0] = FIRST
    ids = ids.where(at != lengths - 1, LAST).where(at < lengths, 0)
    return ids, (at < lengths).long()


def embed(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return embeddings, float32 (sentences, 384), of length 1: the mean over tokens."""
    with torch.inference_mode():
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return torch.nn.functional.normalize(mean)


def published() -> Path | None:
    """Return all-MiniLM-L6-v2 out of its package; None where it cannot be had."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
    from corpus import fetch

    found: Path | None = fetch("minilm")
    return found


@click.command()
@click.argument("weights", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--bits", type=int, help="magnitude bits of a weight; default: every bit is kept")
def main(weights: Path | None, bits: int | None) -> None:
    """Compare embeddings of WEIGHTS packed into a `.mc` file with those of WEIGHTS."""
    source = weights or published()
    if source is None:
        raise click.ClickException("give a safetensors file of all-MiniLM-L6-v2")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "minilm.mc"
        mcodec.pack(source, path, bits=bits)
        size = path.stat().st_size / source.stat().st_size
        ours, theirs = (
            embed(from_mc(path), *sentences()),
            embed(from_safetensors(source), *sentences()),
        )
    cosine = (ours * theirs).sum(1)
    print(f"{path.name}: {size:.1%} of {source.name}")
    print(f"embeddings equal, bit for bit: {'yes' if torch.equal(ours, theirs) else 'no'}")
    print(f"cosine: {cosine.min():.6f} at least, {cosine.mean():.6f} on average")


if __name__ == "__main__":
    main()
