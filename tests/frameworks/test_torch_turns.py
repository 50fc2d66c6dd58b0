"""Many threads and several tasks: what one sees inside `use` is its task, and all get in."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import mcodec
from mcodec.errors import InputOutputError, UsageError
from support import cases, torch_models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

KINDS = ("file", "planes", "weights")
PATIENCE = 60.0  # seconds after which a thread counts as stuck


def models() -> dict[str, Any]:
    return {
        name: {
            "w": cases.weights("float32", (190, 180), seed),
            "b": cases.weights("float32", (40 if name == "A" else 30,), seed),
            "same": cases.weights("float32", (50,), 9),
        }
        for seed, name in enumerate("AB")
    }


def make(tmp_path: Path, resident: str = "planes") -> Any:
    mcodec.pack(models(), tmp_path / "x.mc", jobs=1)
    model = torch_models.holder(models()["A"], zero=True)
    return mcodec.torch.TaskSwitcher(
        model, tmp_path / "x.mc", resident=resident, rename=torch_models.key, jobs=2
    )


def together(*works: Callable[[], None]) -> None:
    """Run functions in threads, and give the first error; none may hang."""
    errors: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a thread is stuck"
    if errors:
        raise errors[0]


@pytest.mark.parametrize("resident", KINDS)
def test_what_threads_see(tmp_path: Path, resident: str) -> None:
    with make(tmp_path, resident) as tasks:
        digests = {n: torch_models.digest(torch_models.holder(m)) for n, m in models().items()}
        end, seen = time.monotonic() + 1.0, {"A": 0, "B": 0}

        def work(seed: int) -> None:
            rng = random.Random(seed)
            while time.monotonic() < end or not all(seen.values()):
                name = rng.choice("AB")
                if rng.random() < 0.1:
                    tasks.switch(name, force=rng.random() < 0.5)
                with tasks.use(name) as model:
                    assert tasks.task == name
                    assert torch_models.digest(model) == digests[name]
                    with tasks.use(name) as again:
                        assert again is model
                    seen[name] += 1

        together(*(lambda seed=seed: work(seed) for seed in range(8)))


def test_nested(tmp_path: Path) -> None:
    with make(tmp_path) as tasks:
        with tasks.use("A"):
            with tasks.use("A"):
                tasks.switch("A")
            for change in (
                lambda: tasks.switch("B"),
                lambda: tasks.switch("A", force=True),
                lambda: tasks.use("B").__enter__(),
                tasks.refine,
            ):
                with pytest.raises(UsageError, match="uses task 'A': leave that `use` before"):
                    change()
            assert tasks.task == "A"
        with tasks.use("B"):
            assert tasks.task == "B"
        with pytest.raises(ZeroDivisionError), tasks.use("A"):
            raise ZeroDivisionError
        tasks.switch("B")


def test_a_switch_waits_for_who_is_inside(tmp_path: Path) -> None:
    with make(tmp_path) as tasks:
        inside, leave, done = threading.Event(), threading.Event(), threading.Event()

        def user() -> None:
            with tasks.use("A") as model:
                before = torch_models.digest(model)
                inside.set()
                assert leave.wait(PATIENCE)
                assert torch_models.digest(model) == before

        def changer() -> None:
            assert inside.wait(PATIENCE)
            tasks.switch("B")
            assert leave.is_set()
            done.set()

        def watcher() -> None:
            assert inside.wait(PATIENCE)
            assert not done.wait(0.1)
            leave.set()

        together(user, changer, watcher)
        assert tasks.task == "B"


def test_those_of_one_task_are_inside_together(tmp_path: Path) -> None:
    with make(tmp_path) as tasks:
        meeting = threading.Barrier(5, timeout=PATIENCE)

        def user() -> None:
            with tasks.use("B"):
                meeting.wait()

        together(*[user] * 5)


def test_the_order_is_who_came_first(tmp_path: Path) -> None:
    # Who wants the task that is there still waits behind who came before and wants another.
    with make(tmp_path) as tasks:
        order: list[str] = []
        first = threading.Event()
        queue = tasks._turns._queue

        def holder() -> None:
            with tasks.use("A"):
                first.set()
                end = time.monotonic() + PATIENCE
                while len(queue) < 4 and time.monotonic() < end:
                    time.sleep(0.001)

        def user(place: int, name: str) -> None:
            assert first.wait(PATIENCE)
            end = time.monotonic() + PATIENCE
            while len(queue) < place and time.monotonic() < end:
                time.sleep(0.001)
            with tasks.use(name):
                order.append(f"{place}{name}")

        wanted = list(enumerate("BABA"))
        together(holder, *(lambda p=p, n=n: user(p, n) for p, n in wanted))
        assert order == ["0B", "1A", "2B", "3A"]


def test_who_cannot_have_its_task_lets_others_in(tmp_path: Path) -> None:
    tasks = make(tmp_path, "file")
    tasks.switch("A")
    with tasks.use("A"):
        waiting: list[type] = []

        def user() -> None:
            try:
                tasks.switch("B")
            except InputOutputError as error:
                waiting.append(type(error))

        thread = threading.Thread(target=user, daemon=True)
        thread.start()
        tasks.close()
    thread.join(PATIENCE)
    assert waiting == [InputOutputError]
    with tasks.use("A"):
        pass


def test_a_generator_may_be_left_by_another_thread(tmp_path: Path) -> None:
    # As frameworks do that run what is before and what is after a request in a pool of threads.
    with make(tmp_path) as tasks:
        use = tasks.use("A")
        together(use.__enter__)
        together(lambda: use.__exit__(None, None, None))
        tasks.switch("B")
        assert tasks.task == "B"


def test_close_in_the_middle(tmp_path: Path) -> None:
    tasks = make(tmp_path)
    end = time.monotonic() + 0.3

    def user() -> None:
        try:
            while True:
                for name in "AB":
                    with tasks.use(name):
                        pass
        except InputOutputError:
            pass

    def closer() -> None:
        time.sleep(max(0.0, end - time.monotonic()))
        tasks.close()

    together(user, user, closer)
    digest = torch_models.digest(tasks.model)
    assert digest == torch_models.digest(torch_models.holder(models()[tasks.task]))
