"""A worker process as the process that began it sees it.

It is started afresh and not forked: a fork has only the thread that forked, and where OpenMP's
threads were at work before, the first parallel loop of the child waits for ever (seen with torch
2.13, after one sum over 4 million numbers). Nor is it multiprocessing's: a process that this
spawns runs the user's script a second time.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

from relucid.compare.engines.workers.answers import Failure
from relucid.compare.engines.workers.parcel import Parcel
from relucid.compare.engines.workers.settings import Settings
from relucid.compare.experiment import Job
from relucid.errors import EngineError
from relucid.records.comparison import Point, Trained

READY = "ready"
"""Said by a worker that has unpacked the experiment."""

_START = """
import os, sys
pipes = os.dup(0), os.dup(1)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)  # what the user's code prints must not come between messages
sys.stdout.reconfigure(line_buffering=True)
sys.path[:] = {path!r}
from relucid.compare.engines.workers.serve import serve
serve(*pipes, reports={reports!r})
"""

_PATIENCE = 10.0
"""Seconds for what takes none, but could last for ever where a worker's child keeps its pipes."""

Message = str | Point | Trained | Failure | None
"""What comes from a worker; None where it has died."""
Inbox = SimpleQueue[tuple["Worker", Message]]


class Worker:
    """A worker process; a thread of its own puts what it says into the inbox of all."""

    def __init__(self, parcel: Parcel, reports: bool, inbox: Inbox) -> None:
        self.ready = False
        self.job: Job | None = None
        self._process = _started(parcel.settings, reports)
        self._inbox = inbox
        self._thread = Thread(target=self._listen, args=(parcel,), daemon=True)
        self._thread.start()

    def send(self, message: Job | bool | Parcel) -> None:
        """Send something; of a worker that has died the inbox is told elsewhere."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()

    def end(self) -> str:
        """Kill the worker and what it has started, and say in words how it ended."""
        if self._process.poll() is None:
            _kill(self._process)
        status = self._process.wait()
        self._thread.join(_PATIENCE)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # what it was being sent
            self._process.stdin.close()
        return _in_words(status)

    def _listen(self, parcel: Parcel) -> None:
        self.send(parcel)
        assert self._process.stdout is not None
        with self._process.stdout as stream, suppress(EOFError, pickle.UnpicklingError):
            while True:
                self._inbox.put((self, pickle.load(stream)))
        with suppress(subprocess.TimeoutExpired):  # the pipe is closed a little before the end
            self._process.wait(_PATIENCE)
        self._inbox.put((self, None))


def _started(settings: Settings, reports: bool) -> subprocess.Popen[bytes]:
    code = _START.format(path=list(settings.path), reports=reports)
    try:
        return subprocess.Popen(
            [sys.executable, *(f"-W{option}" for option in sys.warnoptions), "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # NumPy's threads are counted by this one.
            env={**os.environ, "OMP_NUM_THREADS": str(settings.threads)},
            # A session of its own: Ctrl-C in the terminal is for this process alone.
            start_new_session=True,
        )
    except OSError as error:
        raise EngineError(
            f"a worker process cannot be started ({error}); compare with fewer workers"
        ) from error


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:  # with its data loader's processes, which else look after their parent every 5 s
        os.killpg(process.pid, signal.SIGKILL)


def _in_words(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    name = signal.Signals(-status).name
    if name == "SIGKILL":
        return "was killed by SIGKILL, as the system does when memory runs out (try fewer workers)"
    return f"was killed by {name}"
