"""Rows that are finished, kept in a file so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from relucid.bench.choices import Peer
from relucid.bench.plan import Task
from relucid.bench.record import Machine, Row
from relucid.records.serialise import decode, encode
from relucid.report.files import write_atomically


class Store:
    """The finished rows. With a path they are kept there too, a line each as it comes.

    A file that another machine, other code or another effort wrote is begun anew. A line that
    an interruption cut short is dropped. Raises :class:`~relucid.errors.OutputError` where the
    path cannot be written.
    """

    def __init__(self, path: Path | None, machine: Machine, quick: bool) -> None:
        self._path, self._rows = path, dict[Task, Row]()
        self._head = json.dumps({"machine": encode(machine), "quick": quick})
        if path is not None:
            self._read(path)
            lines = [self._head, *(_line(task, row) for task, row in self._rows.items())]
            write_atomically(path, "\n".join([*lines, ""]))

    def finished(self, task: Task) -> Row | None:
        """The row of a task that was measured before, or None."""
        return self._rows.get(task)

    def add(self, task: Task, row: Row) -> None:
        """Keep a row."""
        self._rows[task] = row
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(_line(task, row) + "\n")

    def discard(self) -> None:
        """Remove the file, when the whole result is written elsewhere."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if lines[:1] != [self._head]:
            return
        for line in lines[1:]:
            with suppress(ValueError, KeyError, TypeError):  # cut short
                stored = json.loads(line)
                row: Row = decode(Row, stored["row"])
                self._rows[Task(row.setting, tuple(map(Peer, stored["peers"])))] = row


def _line(task: Task, row: Row) -> str:
    return json.dumps({"peers": task.peers, "row": encode(row)}, allow_nan=False)
