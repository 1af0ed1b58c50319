"""A PostgreSQL server of the test's own, on loopback and in a temporary folder."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

_DATABASES = count()


class Server:
    """A server that runs; its programs are those of ``programs``."""

    def __init__(self, programs, folder, port, user):
        self._programs, self._folder, self._port, self._user = programs, folder, port, user

    def run(self, program, *arguments):
        """Run a program of PostgreSQL's as the user that the server runs as."""
        command = [str(self._programs / program), *map(str, arguments)]
        kept = {"cwd": self._folder, "check": True, "stdin": subprocess.DEVNULL}
        output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, user=self._user, **kept, **output)

    def database(self):
        """Make a database and return its URL, with a password that no message may show."""
        name = f"relucid{next(_DATABASES)}"
        self.run("createdb", "-h", self._folder, "-p", self._port, "-U", "tester", name)
        return f"postgresql://tester:s3cret@127.0.0.1:{self._port}/{name}"


@contextmanager
def server():
    """Start a server and stop it; skip the test where PostgreSQL is not installed."""
    programs, user = _programs(), _user()
    pytest.importorskip("psycopg", reason="psycopg, which speaks with PostgreSQL, is missing")
    # Not in pytest's folder: only its owner may enter that, and the server does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="relucid-postgres-"))
    shutil.chown(folder, user or os.geteuid())
    started = Server(programs, folder, _free_port(), user)
    try:
        started.run("initdb", "-D", folder / "data", "-U", "tester", "-A", "trust", "--no-sync")
        options = f"-p {started._port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = ("pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w")
        started.run(*control, "-o", options, "start")
        try:
            yield started
        finally:
            started.run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _programs():
    installed = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    installed += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)  # Debian's place
    for folder in installed:
        if (folder / "initdb").exists():
            return folder
    pytest.skip("PostgreSQL is not installed")


def _user():
    """Return the user to start the server as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("there is no user postgres, and PostgreSQL does not run as root")


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
