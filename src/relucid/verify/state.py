"""What has been measured so far of a function, on disk after every block."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from relucid.errors import OutputError
from relucid.records.accuracy import Tally, read_document
from relucid.records.serialise import encode
from relucid.report.files import write_atomically
from relucid.verify.checks import Rest
from relucid.verify.plan import Plan
from relucid.verify.sweep import Tallies

FORMAT = "relucid.verify.state"
VERSION = 1


@dataclass(frozen=True)
class State:
    """The blocks that are measured, what they add up to, and the checks beside the sweep."""

    fingerprint: str
    """Of the code and the libraries that measured: what others measured is not added to it."""
    done: tuple[int, ...] = ()
    tallies: dict[str, dict[str, Tally]] | None = None
    rest: Rest | None = None

    def with_block(self, block: int, found: Tallies) -> State:
        """Return the state after one more block."""
        return replace(self, done=(*self.done, block), tallies=_added(self.tallies, found))


def _added(known: Tallies | None, found: Tallies) -> Tallies:
    if known is None:
        return found
    return {
        library: {which: tally + found[library][which] for which, tally in by.items()}
        for library, by in known.items()
    }


def default_folder() -> Path:
    """The folder for states: ``relucid/verify`` in the user's folder for caches."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "relucid" / "verify"


def fingerprint(versions: dict[str, str]) -> str:
    """A digest of relucid's source and of the versions of what it runs on."""
    digest = hashlib.sha256(repr(sorted(versions.items())).encode())
    source = Path(__file__).parents[1]
    for path in sorted(source.rglob("*.py")):
        digest.update(path.relative_to(source).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Store:
    """The states in a folder, one file a plan."""

    def __init__(self, folder: Path, mark: str) -> None:
        """Use ``folder``, which is made where it is missing, for states of fingerprint ``mark``.

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
        """Return what is measured of a plan: nothing if other code or libraries measured it.

        Raises :class:`~relucid.errors.RecordError` where the file is damaged.
        """
        path, fresh = self._path(plan), State(self._mark)
        if not path.exists():
            return fresh
        state: State = read_document(path.read_text("utf-8"), FORMAT, VERSION, State, "state")
        return state if state.fingerprint == self._mark else fresh

    def save(self, plan: Plan, state: State) -> None:
        """Write the state wholly or not at all."""
        document = {"format": FORMAT, "version": VERSION, "state": encode(state)}
        write_atomically(self._path(plan), json.dumps(document, allow_nan=False))

    def forget(self, plan: Plan) -> None:
        """Remove the state of a plan."""
        self._path(plan).unlink(missing_ok=True)

    def _path(self, plan: Plan) -> Path:
        return self._folder / f"{plan.key}.json"
