"""A service that answers for two tasks with one model in memory.

    python examples/serving/service.py digits.mc --port 8000

packs the two example networks into `digits.mc` if there is none, and serves

    GET  /tasks                 the tasks, and the bytes that they take beside the model
    POST /tasks/B/predict       {"images": [[[0.0, …], …]]}: classes and logits of 28 by 28 images
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import fastapi
import pydantic
import torch
import torch_network
import uvicorn

import mcodec.torch
from mcodec.errors import UnknownTaskError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Row = Annotated[list[float], pydantic.Field(min_length=28, max_length=28)]
Image = Annotated[list[Row], pydantic.Field(min_length=28, max_length=28)]


class Question(pydantic.BaseModel):  # type: ignore[misc]
    """Images, 28 by 28, from 0 (black) to 1 (white)."""

    images: Annotated[list[Image], pydantic.Field(min_length=1, max_length=256)]


class Answer(pydantic.BaseModel):  # type: ignore[misc]
    """The class and the logits of each image."""

    task: str
    classes: list[int]
    logits: list[list[float]]


def make_app(path: str | Path, resident: str = "planes") -> fastapi.FastAPI:
    """Return the service for a `.mc` file of tasks for `torch_network.Digits`."""
    model = torch_network.Digits().eval()
    switcher = mcodec.torch.TaskSwitcher(model, path, resident=resident)

    @asynccontextmanager
    async def lifespan(_: fastapi.FastAPI) -> AsyncIterator[None]:
        with switcher:
            yield

    app = fastapi.FastAPI(title="Digits", lifespan=lifespan)

    @app.get("/tasks")  # type: ignore[untyped-decorator]
    def tasks() -> dict[str, Any]:
        return {"tasks": switcher.tasks, "bytes": switcher.nbytes}

    # A plain function: requests run in threads, and `use` makes those of other tasks wait.
    @app.post("/tasks/{task}/predict")  # type: ignore[untyped-decorator]
    def predict(task: str, question: Question) -> Answer:
        images = torch.tensor(question.images)[:, None]
        try:
            with switcher.use(task) as weights, torch.inference_mode():
                logits = weights(images)
        except UnknownTaskError as error:
            raise fastapi.HTTPException(404, str(error)) from error
        classes = logits.argmax(1).tolist()
        return Answer(task=task, classes=classes, logits=logits.tolist())

    return app


@click.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--port", default=8000, show_default=True)
@click.option("--resident", default="planes", show_default=True, help="file, planes or weights")
def main(path: Path, port: int, resident: str) -> None:
    """Serve the tasks of PATH on this machine."""
    if not path.exists():
        torch_network.pack(path)
    uvicorn.run(make_app(path, resident), host="127.0.0.1", port=port)


if __name__ == "__main__":
    main()
