"""A worker process of the engine ``processes``: it trains one job after the other."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

from relucid.compare.engines.workers.answers import Failure
from relucid.compare.engines.workers.process import READY
from relucid.compare.training import train
from relucid.records.comparison import Point


def serve(source: int, target: int, *, reports: bool) -> None:
    """Read the experiment and then jobs from one file descriptor, and write results to another.

    It goes on until it is killed, or the process at the other end is no more.
    """
    orders: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_listen, args=(os.fdopen(source, "rb"), orders), daemon=True).start()
    outbox = os.fdopen(target, "wb")

    def say(message: Any) -> None:
        with suppress(BrokenPipeError):  # no one is there: the thread ends this process
            pickle.dump(message, outbox)
            outbox.flush()

    def tell(point: Point) -> bool:
        say(point)
        return bool(orders.get())

    try:
        parcel = orders.get()
        parcel.settings.apply()
        experiment = parcel.opened()
        say(READY)
        while True:
            say(train(experiment, orders.get(), tell if reports else None))
    except Exception as error:  # whatever the user's code raises: it is raised anew over there
        say(Failure.of(error))
    orders.get()  # nothing more comes but the end


def _listen(inbox: BinaryIO, orders: SimpleQueue[Any]) -> None:
    """Hand orders on; where there is no one to give any more, end in the middle of a run."""
    try:
        while True:
            orders.put(pickle.load(inbox))
    finally:
        _end()


def _end() -> None:
    if sys.platform == "win32":
        os._exit(1)
    os.killpg(0, signal.SIGKILL)  # with the processes that load data for it
