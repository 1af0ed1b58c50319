"""What has been measured so far of a function, on disk after every block."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from relucid.errors import OutputError
from relucid.records.accuracy import Tally, read_document
from relucid.records.serialise import encode
from relucid.report.files import write_atomically
from relucid.verify.checks import Rest
from relucid.verify.plan import Plan
from relucid.verify.sources import deciding
from relucid.verify.sweep import Tallies

FORMAT = "relucid.verify.state"
VERSION = 2


@dataclass(frozen=True)
class Swept:
    """The blocks that are measured of one library, and what they add up to."""

    mark: str
    """Of the code and the libraries that decide this: what others measured is not added to it."""
    done: tuple[int, ...] = ()
    tallies: dict[str, Tally] | None = None
    """By what was measured; None until then, and for ever where the library lacks the function."""

    def with_block(self, block: int, found: dict[str, Tally] | None) -> Swept:
        """Return the same after one more block."""
        known = self.tallies
        if known is not None and found is not None:
            found = {which: tally + found[which] for which, tally in known.items()}
        return replace(self, done=(*self.done, block), tallies=found or known)


@dataclass(frozen=True)
class State:
    """What is measured of every library, and the checks beside the sweep."""

    libraries: dict[str, Swept]
    rest: Rest | None = None

    def left(self, blocks: int) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Every block that is not measured, with the libraries that lack it."""
        done = {name: frozenset(swept.done) for name, swept in self.libraries.items()}
        for block in range(blocks):
            lacking = tuple(name for name, blocks_done in done.items() if block not in blocks_done)
            if lacking:
                yield block, lacking

    def with_block(self, block: int, among: tuple[str, ...], found: Tallies) -> State:
        """Return the state after one more block of the libraries ``among`` them."""
        added = {name: self.libraries[name].with_block(block, found.get(name)) for name in among}
        return replace(self, libraries={**self.libraries, **added})


def default_folder() -> Path:
    """The folder for states: ``relucid/verify`` in the user's folder for caches."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "relucid" / "verify"


class Store:
    """The states in a folder, one file a plan."""

    def __init__(self, folder: Path, mark: str) -> None:
        """Use ``folder``, which is made where it is missing, for what ``mark`` measured.

        Raises :class:`~relucid.errors.OutputError` where it cannot be made.
        """
        self._folder, self._mark = folder, mark
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot keep the state of the run in {str(folder)!r}: {error.strerror}; name "
                "another folder with --state"
            ) from error

    def load(self, plan: Plan) -> State:
        """Return what is measured of a plan, without what other code or libraries measured.

        Raises :class:`~relucid.errors.RecordError` where the file is damaged.
        """
        path = self._path(plan)
        fresh = {
            library: Swept(f"{self._mark}-{deciding(plan, library)}") for library in plan.libraries
        }
        if not path.exists():
            return State(fresh)
        state: State = read_document(path.read_text("utf-8"), FORMAT, VERSION, State, "state")
        known = {n: state.libraries.get(n, swept) for n, swept in fresh.items()}
        kept = {n: known[n] if known[n].mark == swept.mark else swept for n, swept in fresh.items()}
        return State(kept, state.rest if kept == state.libraries else None)

    def save(self, plan: Plan, state: State) -> None:
        """Write the state wholly or not at all."""
        document = {"format": FORMAT, "version": VERSION, "state": encode(state)}
        write_atomically(self._path(plan), json.dumps(document, allow_nan=False))

    def forget(self, plan: Plan) -> None:
        """Remove the state of a plan."""
        self._path(plan).unlink(missing_ok=True)

    def _path(self, plan: Plan) -> Path:
        return self._folder / f"{plan.key}-{VERSION}.json"
