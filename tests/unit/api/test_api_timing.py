"""Ways that take turns, and what is known of the machine."""

from __future__ import annotations

import gc
import re

import pytest

from mcodec.api import timing
from mcodec.api.timing import Machine, Way, alternate


def test_ways_take_turns_in_both_orders_after_a_warm_up() -> None:
    order: list[str] = []
    told: list[tuple[int, int]] = []
    found = alternate(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")},
        3,
        progress=lambda done, total: told.append((done, total)),
    )
    assert order == list("baabbaab")
    assert list(found) == ["a", "b"]
    assert all(seconds >= 0 for seconds in found.values())
    assert told == [(done, 8) for done in range(9)]


def test_what_comes_before_a_run_is_given_to_it() -> None:
    made: list[int] = []
    seen: list[int] = []

    def before() -> int:
        made.append(len(made))
        return made[-1]

    alternate({"a": Way(seen.append, before)}, 2)
    assert seen == made == [0, 1, 2]


def test_medians_leave_out_the_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([9.0, 1.0, 5.0, 2.0])
    monkeypatch.setattr(Way, "seconds", lambda way: next(taken))
    assert alternate({"a": lambda: None}, 3) == {"a": 2.0}


def test_a_slow_way_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([3.0, 4.0, 5.0])
    monkeypatch.setattr(Way, "seconds", lambda way: next(taken))
    assert alternate({"a": lambda: None}, 5, most=7) == {"a": 4.0}
    assert alternate({"a": lambda: None}, 5, most=5) == {"a": 5.0}
    assert next(taken, None) is None


def test_garbage_is_collected_again_after_an_error() -> None:
    def fail() -> None:
        assert not gc.isenabled()
        raise KeyError

    with pytest.raises(KeyError):
        alternate({"a": fail}, 1)
    assert gc.isenabled()


def test_the_machine_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(r".+, [0-9]+ cores", timing.machine())
    here = Machine.here()
    assert here.cores >= 1
    assert here.kernels
    assert set(here.versions) == {"mcodec", "python", "numpy", "safetensors", "libzstd"}
    assert all("\n" not in line for line in here.words())
    monkeypatch.setattr(timing, "_CPUINFO", "/nowhere/cpuinfo")
    assert timing.processor()
