"""The serving example over real HTTP: threads that want both tasks each get their own's answers."""

from __future__ import annotations

import importlib
import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("torch")
pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")
httpx = pytest.importorskip("httpx")
pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
CLASSES = {"A": 10, "B": 2}
PATIENCE = 60.0
FIRST = ("digits", "torch_network", "service")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import from the example's folder, and forget it afterwards."""
    import sys

    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.syspath_prepend(str(EXAMPLES / "serving"))
    before = {name: sys.modules.pop(name, None) for name in FIRST}
    yield importlib.import_module
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


@pytest.fixture
def path(example: Any, tmp_path: Path) -> Path:
    example("torch_network").pack(tmp_path / "digits.mc")
    return tmp_path / "digits.mc"


def heldout(example: Any) -> tuple[Any, Any]:
    """Return every 20th of the held-out digits: images (n, 28, 28), and which digit each is."""
    images, digits = example("digits").heldout()
    return images[::20, :, :, 0], digits[::20]


def own(example: Any, path: Path) -> dict[str, Any]:
    """Return a model of its own for each task."""
    import mcodec.torch

    models = {}
    for name, classes in CLASSES.items():
        models[name] = example("torch_network").Digits(classes).eval()
        mcodec.torch.load_model(models[name], path, name)
    return models


def logits(model: Any, images: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model(torch.tensor(images)[:, None]).numpy()


def test_the_network_is_the_one_that_keras_trained(example: Any, path: Path) -> None:
    images, digits = heldout(example)
    models = own(example, path)
    for name, model in models.items():
        right = logits(model, images).argmax(1) == example("digits").labels(name, digits)
        assert right.mean() > 0.95


@pytest.fixture
def served(request: pytest.FixtureRequest, example: Any, path: Path) -> Iterator[str]:
    """Run the service in a thread, and give its address."""
    app = example("service").make_app(path, getattr(request, "param", "planes"))
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + PATIENCE
    while not server.started and time.monotonic() < end:
        time.sleep(0.01)
    assert server.started
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.parametrize("served", ["file", "planes", "weights"], indirect=True)
def test_both_tasks_at_once(example: Any, path: Path, served: str) -> None:
    images, _ = heldout(example)
    models, errors = own(example, path), []
    wanted = {name: logits(model, images) for name, model in models.items()}
    end, answered = time.monotonic() + 1.5, {"A": 0, "B": 0}

    def work(seed: int) -> None:
        rng = random.Random(seed)
        try:
            with httpx.Client(base_url=served, timeout=PATIENCE) as client:
                while time.monotonic() < end or not all(answered.values()):
                    name, at = rng.choice("AB"), rng.randrange(len(images) - 3)
                    some = images[at : at + 3].tolist()
                    reply = client.post(f"/tasks/{name}/predict", json={"images": some})
                    assert reply.status_code == 200, reply.text
                    answer, right = reply.json(), wanted[name][at : at + 3]
                    assert answer["task"] == name
                    np.testing.assert_allclose(answer["logits"], right, rtol=1e-4, atol=1e-4)
                    assert answer["classes"] == right.argmax(1).tolist()
                    answered[name] += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert not errors


def test_what_it_says_of_wrong_requests(served: str) -> None:
    with httpx.Client(base_url=served, timeout=PATIENCE) as client:
        about = client.get("/tasks").json()
        assert about["tasks"] == ["A", "B"]
        assert about["bytes"] > 0
        image = [[0.0] * 28] * 28
        reply = client.post("/tasks/C/predict", json={"images": [image]})
        assert reply.status_code == 404
        assert "no task 'C'" in reply.json()["detail"]
        for images in ([], [[[0.0] * 28] * 27], [[[0.0] * 27] * 28], "x"):
            reply = client.post("/tasks/A/predict", json={"images": images})
            assert reply.status_code == 422
