"""Counts the fixtures that passed, and says so at the end of every run that had some."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.fixtures import Fixture

ALL_KERAS: Final = "MCODEC_ALL_KERAS"  # set to 1: all families are loaded with Keras


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the long proof over all Keras files to those who ask for it."""
    if os.environ.get(ALL_KERAS) == "1":
        return
    skip = pytest.mark.skip(reason=f"{ALL_KERAS}=1 runs every family")
    for item in items:
        if item.get_closest_marker("keras_all"):
            item.add_marker(skip)


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Callable[[Fixture, str], None]:
    """Note what became of a fixture: accepted, refused, taken or not taken."""

    def note(fixture: Fixture, outcome: str) -> None:
        request.node.user_properties.append(
            ("fixture", (fixture.name, fixture.verdict, fixture.sets, outcome))
        )

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts of each set; an entry counts if none of its tests failed."""
    seen: dict[str, tuple[str, tuple[str, ...], str]] = {}
    failed = set()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for key, value in getattr(report, "user_properties", ()):
                if key == "fixture":
                    name, *rest = value
                    seen[name] = tuple(rest)
                    failed |= {name} if outcome == "failed" else set()
    for label in ("own", "shared"):
        mine = {n: row for n, row in seen.items() if label in row[1]}
        if mine:
            terminalreporter.write_line(_line(label, mine, failed))


def _line(label: str, seen: dict[str, tuple[str, tuple[str, ...], str]], failed: set[str]) -> str:
    sums = Counter((v, outcome) for n, (v, _, outcome) in seen.items() if n not in failed)
    taken, refused = sums["either", "accepted"], sums["either", "refused"]
    wrong = sum(name in seen for name in failed)
    return (
        f"fixtures, {label} set: {sums['accept', 'accepted']} accepted, "
        f"{sums['refuse', 'refused']} refused, {taken + refused} either ({taken} taken, "
        f"{refused} refused){f', {wrong} FAILED' * bool(wrong)}"
    )
