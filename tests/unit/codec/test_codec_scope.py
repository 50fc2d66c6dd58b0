"""Scopes of runs: which exponent or scale each element has, by the parts that kernels are given."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.codec.scope import Scope
from mcodec.types import RunSpec
from support import cases

SIDES = st.sampled_from([0, 1, 3, 8, 16, 24])


@given(
    shapes=st.lists(
        st.tuples(st.lists(SIDES, max_size=2).map(tuple), st.integers(1, 4)),
        min_size=1,
        max_size=6,
    )
)
def test_each_member_of_a_run_is_a_scope(shapes: list[tuple[tuple[int, ...], int]]) -> None:
    run = RunSpec.of("float32", [shape for shape, count in shapes for _ in range(count)])
    scope = Scope("tensor")
    full = [index for index, size in enumerate(run.sizes) if size]
    assert scope.count_in_run(run) == len(full)
    wanted = np.full(run.elements, -1)
    for number, index in enumerate(full):
        wanted[run.starts[index] :][: run.sizes[index]] = number
    found = np.full(run.elements, -1)
    parts = list(scope.parts(run, 0, np.arange(len(full)))) if run.blocks else []
    for start, stop, scopes, own in parts:
        assert own is not None
        places = np.arange(stop - start) + scopes.first
        found[start:stop] = own[places // scopes.inner % scopes.count]
    assert found.tolist() == wanted.tolist()
    neighbours = pairwise([size for size in run.sizes if size])
    joined = sum(one == two and one % 8 == 0 for one, two in neighbours)
    assert len(parts) == len(full) - joined


def test_members_alike_have_the_bits_that_they_have_alone() -> None:
    """Also where a factor is no normal number, which is told for all of a call at once."""
    scales = [1.0, 1e-40, 3e38, 1e-20, 0.0, 1.0, -1e30]
    model = {
        f"{scale} {shape} {number}": cases.weights("float32", shape, number) * np.float32(scale)
        for shape in [(4, 8), (5, 3), (32, 32)]
        for number, scale in enumerate(scales)
    }
    alone = {}
    for name, array in model.items():
        with mcodec.loads(mcodec.dumps({"A": {name: array}}, bits=7)) as file:
            alone[name] = file.task().load()[name]
    for options in ({"bits": 7}, {"bits": 7, "rounding": "truncate"}):
        with mcodec.loads(mcodec.dumps({"A": model}, **options)) as file:
            cases.assert_same_model(file.task().load(), dict(file.task()))
            if options == {"bits": 7}:
                cases.assert_same_model(file.task().load(), alone)
