"""Files made to harm: refused in one line by a process with little memory, or taken rightly."""

from __future__ import annotations

import filecmp
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest

from support.command import Outcome, call
from support.equal import check_same
from support.fixtures import PAYLOAD, SECRET, Fixture, Limited, fixtures, parameters, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    Count = Callable[[Fixture, str], None]
    Trials = dict[str, Future[tuple["Trial", Outcome]]]

# Damaged at random: what an HDF5 library makes of them is its own affair.
FUZZ: Final = "/fuzz_"
# Plain files that others must not lead to; 1234.5 is theirs.
OUTSIDE: Final = "hostile/outside/"


class Trial:
    """A hostile file, and the command run on it in an empty folder beside it."""

    def __init__(self, fixture: Fixture, folder: Path) -> None:
        self.fixture = fixture
        self.path = place(fixture, folder)
        self.work = folder / "work"
        self.work.mkdir()
        self._folder = folder
        self._before = self._outside()

    def _outside(self) -> dict[str, bytes]:
        """Return all that lies outside of the working folder."""
        return {
            str(path): path.read_bytes()
            for path in sorted(self._folder.rglob("*"))
            if path.is_file() and self.work not in path.parents
        }

    def convert(self) -> Outcome:
        """Convert it, in a process of its own."""
        return Limited(self.work, "convert", self.path, "out.safetensors").finish()

    def check_harmless(self, *outcomes: Outcome) -> None:
        """Check that no payload ran, and that nothing outside was read or changed."""
        assert not list(self._folder.rglob(PAYLOAD))
        assert self._outside() == self._before
        if self.fixture.name.startswith(OUTSIDE):
            return
        for path in self.work.rglob("*"):
            assert path.is_dir() or SECRET not in path.read_bytes()
        for outcome in outcomes:
            assert "1234.5" not in outcome.out + outcome.err

    def check_refused(self, outcome: Outcome) -> None:
        outcome.assert_fails(3)
        assert self.path.name in outcome.err


@pytest.fixture(scope="module")
def trials(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trials]:
    """Convert what the tests of this run ask for, several at a time, while they go on."""

    def run(fixture: Fixture) -> tuple[Trial, Outcome]:
        trial = Trial(fixture, tmp_path_factory.mktemp("hostile"))
        return trial, trial.convert()

    items = [item for item in request.session.items if item.path == request.path]
    calls = [getattr(item, "callspec", None) for item in items]
    chosen: list[Fixture] = [call.params["fixture"] for call in calls if call]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield {fixture.name: pool.submit(run, fixture) for fixture in chosen}
        pool.shutdown(cancel_futures=True)


# Packing reads by the same readers, so it is tried in this process: where these can be stopped
# only by the limits of a process, the first verb has shown it.
@pytest.mark.parametrize("fixture", parameters("refuse"))
def test_refused(
    fixture: Fixture, trials: Trials, counted: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, converted = trials[fixture.name].result()
    counted(fixture, "refused")
    trial.check_refused(converted)
    monkeypatch.chdir(trial.work)
    packed = call("pack", trial.path, "-o", "out.mc")
    trial.check_refused(packed)
    assert not list(trial.work.iterdir())
    trial.check_harmless(converted, packed)


@pytest.mark.parametrize("fixture", parameters("either", good=False))
def test_taken_or_refused(
    fixture: Fixture, trials: Trials, counted: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both verbs judge alike; what is taken comes back, as far as it can be looked at."""
    trial, converted = trials[fixture.name].result()
    taken = converted.code == 0
    counted(fixture, "accepted" if taken else "refused")
    if not taken:
        trial.check_refused(converted)
    monkeypatch.chdir(trial.work)
    packed = call("pack", trial.path, "-o", "out.mc")
    trial.check_harmless(converted, packed)
    if taken:
        assert packed.code == 0, packed
        check_back(trial)
    else:
        trial.check_refused(packed)
        assert not list(trial.work.iterdir())


def check_back(trial: Trial) -> None:
    """Check that what was converted, and packed, gives the file again."""
    found: list[Path] = []
    for verb, source in (("convert", "out.safetensors"), ("unpack", "out.mc")):
        restored = trial.work / verb / trial.fixture.path.name
        restored.parent.mkdir()
        out = ("-o", restored) if verb == "unpack" else (restored,)
        assert call(verb, source, *out, "--to", trial.fixture.format).code == 0
        if any(filecmp.cmp(restored, other, shallow=False) for other in found):
            continue  # looked at already; bombs take a while
        found.append(restored)
        if FUZZ not in trial.fixture.name:
            check_same(trial.fixture.format, trial.path, restored)
        assert call("diff", trial.path, restored).code == 0
    trial.check_harmless()


def test_there_is_something_to_refuse() -> None:
    kinds = {fixture.name.split("/")[1] for fixture in fixtures() if fixture.verdict == "refuse"}
    assert kinds == {"gguf", "h5", "keras", "npz", "onnx", "safetensors", "torch"}
