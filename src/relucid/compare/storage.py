"""Optuna's storage: where it is, how it is opened, and what its errors mean."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from relucid.errors import MissingDependencyError, RelucidError, StoreError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy import URL

VARIABLE = "RELUCID_STORE"
PATIENCE = 60
"""Seconds to wait for another process that is writing into the same file."""
_CONNECTING = 10
_ATTEMPTS = 6
_SQLITE = {
    "SQLITE_NOTADB": "name another file",
    "SQLITE_CORRUPT": "put back a copy of it, or name another file",
    "SQLITE_FULL": "make room there, or name a file on another disk",
    "SQLITE_READONLY": "let it be written, or name another file",
    "SQLITE_CANTOPEN": "name a file in a folder that can be written",
    "SQLITE_BUSY": "wait until the other program is done, or keep the runs in PostgreSQL",
    "SQLITE_IOERR": "see to the disk, or name a file on another",
}
"""What to do, by the beginning of SQLite's name of the error."""


@dataclass(frozen=True)
class Place:
    """Where runs are kept."""

    url: URL
    shown: str
    """For messages: without password, and without options, which may hold one."""

    @property
    def is_file(self) -> bool:
        """Whether it is a SQLite file."""
        return self.url.get_backend_name() == "sqlite"


def place_of(where: str | PathLike[str] | None) -> Place:
    """Return the place of a path or URL; of None, what ``RELUCID_STORE`` names, or a file.

    Raises :class:`~relucid.errors.StoreError` for a URL that names no such place.
    """
    text = fspath(where) if where is not None else os.environ.get(VARIABLE) or str(_default())
    if "://" not in text:
        return _file(Path(text))
    url = _parsed(text)
    if url.get_backend_name() == "sqlite":
        return _file(Path(_database(url)))
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")  # before 2.1 SQLAlchemy takes psycopg2
    return Place(url, url.set(drivername="postgresql", query={}).render_as_string())


def opened(place: Place) -> RDBStorage:
    """Open Optuna's storage, which is made where there is none.

    Raises :class:`~relucid.errors.StoreError`, or
    :class:`~relucid.errors.MissingDependencyError` where the driver is missing.
    """
    if place.is_file:
        _make_folder(place)
    with told(place, f"the store {place.shown} cannot be opened"):
        for attempt in range(1, _ATTEMPTS):
            storage = _tried(place)
            if storage is not None:
                return storage
            time.sleep(0.1 * attempt)
        return _made(place)


@contextmanager
def told(place: Place, what: str) -> Iterator[None]:
    """Turn errors of the database into a StoreError that says what failed, why, and a cure."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with quiet():
            yield
    except (StorageInternalError, SQLAlchemyError) as error:
        raise _translated(place, what, error) from None
    except KeyError:  # what Optuna raises for a row that it had
        raise StoreError(
            f"{what} (its study is no longer there: was it deleted?); start the comparison again"
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what Optuna tells of each study; its settings are as before afterwards."""
    import optuna.logging

    logger = logging.getLogger(optuna.logging.__name__.partition(".")[0])
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _default() -> Path:
    return Path(platformdirs.user_data_dir("relucid")) / "comparisons.db"


def _file(path: Path) -> Place:
    import sqlalchemy

    whole = str(path.absolute())
    url = sqlalchemy.URL.create("sqlite", database=whole)
    if sqlalchemy.make_url(url.render_as_string()).database != whole:
        # before SQLAlchemy 2.1, a question mark
        raise StoreError(f"the store {path} has a name that no URL can hold; give it another")
    return Place(url, str(path))


def _parsed(text: str) -> URL:
    """Read a URL. It may hold a password, so that no message repeats it."""
    import sqlalchemy

    cure = "give a file, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    if text.startswith("postgres://"):  # as PostgreSQL's own programs take it
        text = text.replace("postgres", "postgresql", 1)
    try:
        url = sqlalchemy.make_url(text)
        backend = url.get_backend_name()
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise StoreError(f"the URL of the store cannot be read; {cure}") from None
    if backend not in ("sqlite", "postgresql"):
        raise StoreError(f"runs are kept in SQLite or PostgreSQL, not in {backend}; {cure}")
    return url


def _database(url: URL) -> str:
    if url.database in (None, "", ":memory:"):
        raise StoreError("a store in memory keeps nothing; give a file, sqlite:///runs.db")
    return str(url.database)


def _make_folder(place: Place) -> None:
    folder = Path(_database(place.url)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the store {place.shown} cannot be made ({error.strerror}: {folder}); name a file in "
            "a folder that can be written"
        ) from None


def _tried(place: Place) -> RDBStorage | None:
    """Open the storage, or return None where another process is just making its tables."""
    from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

    try:
        return _made(place)
    except (IntegrityError, OperationalError, ProgrammingError) as error:
        if isinstance(error, IntegrityError) or "already exists" in str(error.orig):
            return None
        raise


def _made(place: Place) -> RDBStorage:
    from optuna.storages import RDBStorage
    from sqlalchemy.pool import NullPool

    url = place.url.render_as_string(hide_password=False)
    # Without a pool nothing stays open in a process that is forked or killed, and a server that
    # is started anew between two runs is not noticed.
    options = {"poolclass": NullPool, "connect_args": _waiting(place)}
    try:
        return RDBStorage(url.replace("{", "{{").replace("}", "}}"), options)  # Optuna formats it
    except ImportError as error:
        raise _missing(place) from error
    except RuntimeError as error:  # Optuna's tables are of another version
        raise StoreError(f"the store {place.shown} cannot be used: {error}") from None


def _waiting(place: Place) -> dict[str, Any]:
    if place.is_file:
        return {"timeout": PATIENCE}
    return {} if "connect_timeout" in place.url.query else {"connect_timeout": _CONNECTING}


def _missing(place: Place) -> MissingDependencyError:
    driver = place.url.get_driver_name()
    package = "psycopg[binary]" if driver == "psycopg" else driver
    return MissingDependencyError(
        f"the store {place.shown} needs {driver}, which cannot be imported here; install it with: "
        f'pip install "{package}"'
    )


def _translated(place: Place, what: str, error: Exception) -> RelucidError:
    cause = getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error
    reason = " ".join(str(cause).split())
    return StoreError(f"{what} ({reason}); {_cure(place, cause)}")


def _cure(place: Place, cause: BaseException) -> str:
    if not place.is_file:
        return (
            "see that the server runs and takes connections from here, that the database is there "
            "(createdb) and has room, and that the user may write to it"
        )
    name = getattr(cause, "sqlite_errorname", "")
    return next((cure for code, cure in _SQLITE.items() if name.startswith(code)), "name another")
