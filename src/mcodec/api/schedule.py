"""The gradual pruning schedule (paper 003, equation 1)."""

from __future__ import annotations

from mcodec.errors import UsageError


def gradual_sparsity(
    step: int, final: float, initial: float = 0.0, start: int = 0, *, steps: int
) -> float:
    """Return the sparsity that gradual pruning asks for at a training step.

    s_t = s_f + (s_i − s_f) · (1 − (t − t₀) / (n·Δt))³ (paper 003, equation 1): steep at first, flat
    at the end. Before `start` it is `initial`, and from ``start + steps`` on it is `final`.

    Parameters
    ----------
    step
        t.
    final, initial
        s_f and s_i, from 0 to 1.
    start
        t₀, the step at which pruning begins.
    steps
        n·Δt, the training steps from the first to the last pruning; 1 or more. The paper has
        250,000: 80 % of all, the others are for fine-tuning.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    UsageError
        A sparsity is not from 0 to 1, or `steps` is less than 1.

    Examples
    --------
    >>> round(gradual_sparsity(125_000, 0.8, steps=250_000), 6)
    0.7
    """
    check_sparsity("final", final)
    check_sparsity("initial", initial)
    if steps < 1:
        raise UsageError(f"steps, from the first pruning to the last, is 1 or more, not {steps}")
    done = min(max((step - start) / steps, 0.0), 1.0)
    return final + (initial - final) * (1.0 - done) ** 3


def check_sparsity(name: str, value: float) -> None:
    """Refuse a sparsity that is no number from 0 to 1.

    Raises
    ------
    UsageError
        It is not.
    """
    if not 0 <= value <= 1:  # NaN is not either
        raise UsageError(f"{name} is a part of all weights, from 0 to 1, not {value!r}")
