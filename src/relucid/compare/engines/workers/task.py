"""What a Ray worker does for a comparison."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from relucid.compare.engines.workers.answers import Failure
from relucid.compare.engines.workers.cluster import import_ray
from relucid.compare.engines.workers.settings import Settings
from relucid.compare.experiment import Experiment, Job
from relucid.compare.training import train
from relucid.errors import EngineError
from relucid.machine import own_version
from relucid.records.comparison import Point, Trained

if TYPE_CHECKING:
    from ray import ObjectRef


def versions() -> dict[str, str]:
    """Return what must be the same here and on the workers."""
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__.partition("+")[0],  # +cpu here and +cu128 there is fine
        "relucid": own_version(),
    }


def carry_out(
    parcel: list[ObjectRef], job: Job, mailbox: Any, expected: dict[str, str]
) -> Trained | Failure:
    """Carry out a job on a worker.

    ``parcel`` is in a list, else Ray would fetch it for each job. An error of the user's code is
    returned: where one is raised, Ray makes it another class.
    """
    ask = None if mailbox is None else _asking(mailbox, job)
    try:
        _check_versions(expected)
        settings, experiment = _opened(parcel[0])
        with settings.applied():
            return train(experiment, job, ask)
    except Exception as error:  # whatever the user's code raises: it is raised anew over there
        return Failure.of(error)


def _asking(mailbox: Any, job: Job) -> Callable[[Point], bool]:
    ray = import_ray()
    return lambda point: bool(ray.get(mailbox.ask.remote(job, point)))


def _check_versions(expected: dict[str, str]) -> None:
    found = versions()
    other = [f"{n} {found[n]} and not {v}" for n, v in expected.items() if found[n] != v]
    if other:
        raise EngineError(
            f"the Ray worker on {platform.node()} has {', '.join(other)}, and results of different "
            "versions must not be compared; install the same there as here"
        )


@lru_cache(maxsize=1)
def _opened(parcel: ObjectRef) -> tuple[Settings, Experiment]:
    """Return an experiment, which a worker fetches and unpacks for its first run only."""
    sent = import_ray().get(parcel)
    with sent.settings.applied():
        try:
            return sent.settings, sent.opened()
        except ModuleNotFoundError as error:
            raise EngineError(
                f"the Ray worker on {platform.node()} cannot import {error.name!r}; start relucid "
                "by ray job submit --working-dir . -- ..., or call "
                "ray.init(runtime_env={'working_dir': '.'}) before relucid.compare"
            ) from error


def mailbox() -> Any:
    """Start a mailbox; one that dies is started again, and what was under way is asked again."""
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
    return import_ray().remote(_Mailbox).options(**options).remote()


class _Mailbox:
    """An actor by which runs on workers ask the process that began them about their points.

    A point is the same each time that a run passes it, so an answer serves all who asked.
    """

    def __init__(self) -> None:
        self._questions: asyncio.Queue[tuple[Job, Point] | None] = asyncio.Queue()
        self._answers: dict[tuple[Job, int], asyncio.Future[bool]] = {}

    async def ask(self, job: Job, point: Point) -> bool:
        """Return the answer on a point, when it has come."""
        await self._questions.put((job, point))
        return await self._answer(job, point)

    async def question(self) -> tuple[Job, Point] | None:
        """Return what is asked next, when it is; None when the mailbox is closed."""
        return await self._questions.get()

    async def close(self) -> None:
        """Let who waits for a question go."""
        await self._questions.put(None)

    async def answer(self, job: Job, point: Point, answer: bool) -> None:
        """Give the answer on a point."""
        future = self._answer(job, point)
        if not future.done():
            future.set_result(answer)

    def _answer(self, job: Job, point: Point) -> asyncio.Future[bool]:
        new = asyncio.get_running_loop().create_future()
        return self._answers.setdefault((job, point.step), new)
